"""The variables of an expression, from documents as the read model keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from tiercel_api.eval_variables import MASK, JsonObject, variables_of
from tiercel_api.evaluation import evaluate, reach
from tiercel_engine.errors import NotFound
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.registry import PluginRegistry

SOURCE = """
id: rooms
namespace: hotel.east
variables:
  greeting: welcome
inputs:
  - id: guest
    type: STRING
  - id: door.code
    type: SECRET
tasks:
  - id: floors
    type: io.kestra.plugin.core.flow.ForEach
    values: ["1", "2"]
    tasks:
      - id: rooms
        type: io.kestra.plugin.core.flow.ForEach
        values: ["a", "b"]
        tasks:
          - id: check
            type: io.kestra.plugin.core.flow.If
            condition: "{{ true }}"
            then:
              - id: clean
                type: io.kestra.plugin.core.debug.Return
                format: x
  - id: sum
    type: io.kestra.plugin.core.debug.Return
    format: x
"""


@pytest.fixture(scope="module")
def flow() -> Flow:
    return load_flow(SOURCE, PluginRegistry.load())


def run(
    run_id: str, task: str, parent: str | None = None, outputs: Any = None, **more: Any
) -> JsonObject:
    """A task run as the read model keeps it."""
    row: JsonObject = {
        "id": run_id,
        "taskId": task,
        "outputs": outputs or {},
        "attempts": [{}],
        "state": {"current": "SUCCESS", "startDate": "2024-05-06T07:08:09Z"},
        **more,
    }
    if parent is not None:
        row["parentTaskRunId"] = parent
    return row


def document(*runs: JsonObject, **more: Any) -> JsonObject:
    """An execution of the flow."""
    return {
        "id": "e1",
        "namespace": "hotel.east",
        "flowId": "rooms",
        "flowRevision": 3,
        "state": {"current": "RUNNING", "startDate": "2024-05-06T07:08:00Z"},
        "taskRunList": list(runs),
        **more,
    }


NESTED = (
    run("f1", "floors"),
    run("r1", "rooms", "f1", value="1", iteration=0),
    run("c1", "check", "r1", value="a", iteration=0),
    # The children of an If stand in the each, yet have no value of their own.
    run("l1", "clean", "c1", {"value": "1a"}),
    run("r2", "rooms", "f1", value="2", iteration=1),
    run("c2", "check", "r2", value="b", iteration=1),
    run("l2", "clean", "c2", {"value": "2b"}),
    run("s1", "sum", None, {"value": 2}),
)


def text(template: str, doc: JsonObject, flow: Flow, task_run: str | None = None, **o: Any) -> str:
    """What a template gives in a document, or its error."""
    fetch = o.get("fetch") or (lambda claim: pytest.fail(f"fetched {claim}"))
    found = evaluate(template, variables_of(doc, flow, "main", fetch, task_run), RenderContext())
    return found.value if found.problem is None else found.problem.message


def test_flow_execution_labels_and_trigger_have_the_names_that_tasks_see(flow: Flow) -> None:
    doc = document(
        labels=[
            {"key": "team", "value": "blue"},
            {"key": "team", "value": "red"},
            {"key": "system.correlationId", "value": "e0"},
        ],
        trigger={"id": "hook", "type": "t", "variables": {"body": {"n": 1}}},
        originalId="e0",
    )

    assert text("{{ flow }}", doc, flow) == (
        '{"id":"rooms","namespace":"hotel.east","revision":3,"tenantId":"main"}'
    )
    assert text("{{ execution.originalId }} {{ execution.state }}", doc, flow) == "e0 RUNNING"
    assert text("{{ labels.team }} {{ labels.system.correlationId }}", doc, flow) == "blue e0"
    assert text("{{ trigger.body.n }} {{ vars.greeting }}", doc, flow) == "1 welcome"


def test_outputs_in_eaches_stand_under_the_values_outermost_first(flow: Flow) -> None:
    doc = document(*NESTED)

    assert text("{{ outputs.clean['1']['a'].value }}", doc, flow) == "1a"
    assert text("{{ outputs.clean['2'].b.value }}", doc, flow) == "2b"
    assert text("{{ outputs.sum.value }} {{ tasks.sum.state }}", doc, flow) == "2 SUCCESS"


def test_a_task_run_sees_itself_and_its_parents(flow: Flow) -> None:
    doc = document(*NESTED)

    assert text("{{ taskrun.value }} {{ task.id }}", doc, flow, "c2") == "b check"
    assert text("{{ task.id }}", doc, flow, "l2") == "clean"
    assert text("{{ task.type }}", doc, flow, "l2") == "io.kestra.plugin.core.debug.Return"
    assert text("{{ parent.taskrun.value }}", doc, flow, "l2") == "b"
    assert text("{{ parents[1].taskrun.value }}", doc, flow, "l2") == "2"
    assert text("{{ taskrun.id }}", doc, flow) == (
        "Unable to find `taskrun` used in the expression `{{ taskrun.id }}` at line 1"
    )


def test_a_task_run_of_another_execution_is_not_found(flow: Flow) -> None:
    with pytest.raises(NotFound):
        variables_of(document(), flow, "main", lambda claim: None, "l2")


def test_a_secret_input_is_masked(flow: Flow) -> None:
    doc = document(inputs={"guest": "Ada", "door": {"code": "4711", "side": "left"}})

    assert text("{{ inputs.guest }} {{ inputs.door.side }}", doc, flow) == "Ada left"
    assert text("{{ inputs.door.code }}", doc, flow) == MASK
    assert "4711" not in text("{{ inputs }}{{ printContext() }}", doc, flow)


def claim(name: str) -> JsonObject:
    return {"$claim": {"uri": f"kestra:///{name}", "size_bytes": 70_000, "sha256": "0"}}


def test_a_stored_value_is_fetched_once_and_only_when_it_is_asked_for(flow: Flow) -> None:
    # given
    fetched: list[str] = []

    def fetch(receipt: JsonObject) -> Any:
        fetched.append(receipt["uri"])
        return {"value": "large", "variables": {"date": "today"}, "door": {"code": "4711"}}

    doc = document(
        run("s1", "sum", None, claim("sum")),
        run("f1", "floors", None, claim("floors")),
        inputs=claim("inputs"),
        trigger=claim("trigger"),
    )
    variables = variables_of(doc, flow, "main", fetch)

    # when
    shown = {row.name: row.type for row in reach(variables)}
    before = list(fetched)
    value = evaluate("{{ outputs.sum.value }}{{ outputs.sum.value }}", variables, RenderContext())
    trigger = evaluate("{{ trigger.date }} {{ inputs.door.code }}", variables, RenderContext())

    # then
    assert before == []
    assert shown["outputs.sum"] == "70000 bytes in storage"
    assert value.value == "largelarge"
    assert trigger.value == f"today {MASK}"
    assert fetched == ["kestra:///sum", "kestra:///trigger", "kestra:///inputs"]
