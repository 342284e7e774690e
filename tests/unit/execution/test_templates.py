"""Which revision of a template an execution runs."""

from __future__ import annotations

from tests.engine_harness import Engine, registry

from tiercel_engine.execution.plan import Plan
from tiercel_engine.flow.parse import load_flow
from tiercel_schemas.ids import FlowKey, template_key

FLOW = """\
id: templated
namespace: tests
tasks:
  - id: first
    type: io.kestra.plugin.core.flow.Template
    namespace: tests
    templateId: shared
    args: {name: "{{ flow.id }}"}
  - id: second
    type: io.kestra.plugin.core.flow.Template
    namespace: tests
    templateId: shared
"""
TEMPLATE = """\
# template
id: shared
namespace: tests
tasks:
  - id: %s
    type: test.Work
    message: "{{ parent.outputs.args.name }}"
"""
KEY = template_key("main", "tests", "shared")


def opened() -> Engine:
    engine = Engine(f"{FLOW}---\n{TEMPLATE % 'old'}")
    engine.create()
    return engine


def change(engine: Engine) -> None:
    engine.world.plans[KEY, 2] = Plan(load_flow(TEMPLATE % "new", registry(), revision=2))


def test_an_execution_keeps_the_revision_that_it_opened_first() -> None:
    # given
    engine = opened()
    change(engine)

    # when
    engine.run("old")
    engine.run("old")

    # then
    assert [job.task_id for job in engine.jobs] == ["old", "old"]
    assert engine.execution.state == "SUCCESS"


def test_a_new_execution_runs_the_newest_revision() -> None:
    engine = Engine(f"{FLOW}---\n{TEMPLATE % 'old'}")
    change(engine)

    engine.create()

    assert [job.task_id for job in engine.jobs] == ["new"]


def test_its_tasks_read_the_arguments_as_outputs_of_their_parent() -> None:
    engine = opened()

    assert '"args":{"name":"templated"}' in (engine.jobs[0].variables.json or "")


def test_an_execution_whose_template_is_gone_fails() -> None:
    # given
    engine = opened()
    engine.start("old")
    del engine.world.plans[KEY, 1]
    engine.world.plans[FlowKey("main", "tests", "templated"), 1] = Plan(engine.flow)

    # when
    engine.end("old", "SUCCESS")

    # then
    assert engine.execution.state == "FAILED"
