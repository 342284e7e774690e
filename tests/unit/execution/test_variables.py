"""What a job carries for its templates: each variable only when it is referred to."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.engine_harness import Engine

from tiercel_engine.execution.model import ERRORS_MAX
from tiercel_engine.execution.variables import VALUED_RUNS_MAX
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.server import ServerVariables, envs_of
from tiercel_schemas.common import Payload

HEAD = "id: flow\nnamespace: a.b\n"


def engine(tasks: str, **server: Any) -> Engine:
    found = Engine(HEAD + tasks)
    for plan in found.world.plans.values():
        plan.server = ServerVariables(**server)
    return found


def variables(found: Engine) -> dict[str, Any]:
    """Those of the newest job."""
    value: dict[str, Any] = msgspec.json.decode(found.jobs[-1].variables.json)
    return value


def work(task_id: str, message: str = "", indent: str = "") -> str:
    lines = [f"- id: {task_id}", "  type: test.Work", f'  message: "{message}"']
    return "".join(f"{indent}{line}\n" for line in lines)


def rendered(tasks: str, template: str, **server: Any) -> str:
    """What the only task's template gives on a worker."""
    found = engine(f"tasks:\n{work('t', template)}", **server)
    found.create()
    return Renderer().text(template, variables(found))


def test_the_environment_is_cut_to_prefixes_and_the_newer_one_wins() -> None:
    environment = {
        "KESTRA_TEST1": "true",
        "KESTRA_BOTH": "old",
        "ENV_BOTH": "new",
        "ENV_": "nothing",
        "SECRET_X": "hidden",
        "PATH": "/bin",
    }

    assert envs_of(environment) == {"test1": "true", "both": "new"}


def test_templates_see_the_server() -> None:
    server: dict[str, Any] = {
        "envs": {"zone": "west"},
        "globals": {"nested": {"int": 2}, "flag": True},
        "environment": "production",
        "url": "https://flows.example",
    }

    assert rendered("", "{{ envs.zone }}", **server) == "west"
    assert rendered("", "{{ env('ZONE') }} {{ env('none', 'else') }}", **server) == "west else"
    assert rendered("", "{{ globals.nested.int }} {{ globals.flag }}", **server) == "2 true"
    assert rendered("", "{{ kestra.environment }} {{ kestra.url }}", **server) == (
        "production https://flows.example"
    )


def test_a_job_carries_of_the_server_what_its_templates_name() -> None:
    found = engine(f"tasks:\n{work('t', '{{ envs.zone }}')}", envs={"zone": "w"}, globals={"a": 1})

    found.create()

    assert variables(found).keys() == {"flow", "execution", "task", "taskrun", "envs"}


def test_an_execution_of_a_schedule_has_the_old_name_of_its_trigger() -> None:
    found = engine(f"tasks:\n{work('t', '{{ schedule.date }}')}")
    trigger = {
        "id": "daily",
        "type": "io.kestra.plugin.core.trigger.Schedule",
        "variables": {"date": "2026-01-01T00:00:00Z"},
    }

    found.create(trigger=Payload(json=msgspec.json.encode(trigger).decode()))

    assert variables(found)["schedule"] == {"date": "2026-01-01T00:00:00Z"}


def test_another_trigger_has_no_schedule() -> None:
    found = engine(f"tasks:\n{work('t', '{{ schedule }} {{ trigger.x }}')}")
    trigger = {"id": "w", "type": "io.kestra.plugin.core.trigger.Webhook", "variables": {"x": 1}}

    found.create(trigger=Payload(json=msgspec.json.encode(trigger).decode()))

    assert variables(found)["trigger"] == {"x": 1}
    assert "schedule" not in variables(found)


ERRORS = f"""tasks:
{work("bad")}errors:
{
    work(
        "told",
        "{{ error.taskId }}: {{ error.message }}|"
        "{% for line in errorLogs() %}{{ line.taskId }}={{ line.message }};{% endfor %}",
    )
}"""


def test_the_errors_branch_sees_what_failed() -> None:
    found = engine(ERRORS)
    found.create()

    found.run("bad", "FAILED")

    template = found.flow.errors[0].properties["message"]
    assert Renderer().text(template, variables(found)) == "bad: it failed|bad=it failed;"


def test_a_job_that_asks_for_no_errors_carries_none() -> None:
    found = engine(f"tasks:\n{work('bad')}errors:\n{work('told', '{{ execution.id }}')}")
    found.create()

    found.run("bad", "FAILED")

    assert "errorLogs" not in variables(found)


def test_an_execution_remembers_the_newest_errors_only() -> None:
    found = engine(
        "tasks:\n- id: bad\n  type: test.Work\n  message: '{{ errorLogs() }}'\n"
        "  retry:\n    type: constant\n    interval: PT0S\n    maxAttempts: 1000\n"
    )
    found.create()
    from tiercel_engine.execution.timers import RetryDue

    for attempt in range(1, ERRORS_MAX + 3):
        found.run("bad", "FAILED")
        found.do(RetryDue(found.execution.id, found.run_of("bad").id, attempt))

    logs = variables(found)["errorLogs"]
    assert len(logs) == ERRORS_MAX
    assert [logs[0]["attemptNumber"], logs[-1]["attemptNumber"]] == [2, ERRORS_MAX + 1]


def test_a_flowable_that_cannot_be_resolved_is_an_error_too() -> None:
    found = engine(
        "tasks:\n- id: choice\n  type: io.kestra.plugin.core.flow.If\n"
        f"  condition: '{{{{ nothing }}}}'\n  then:\n{work('t', indent='  ')}"
        f"errors:\n{work('told', '{{ error.message }}')}"
    )

    found.create()

    assert "Unable to find `nothing`" in variables(found)["error"]["message"]


EACH = f"""tasks:
- id: each
  type: io.kestra.plugin.core.flow.ForEach
  values: VALUES
  concurrencyLimit: 0
  tasks:
{work("inner", indent="  ")}{work("next", "TEMPLATE", indent="  ")}"""


def each(values: list[str], template: str) -> Engine:
    source = EACH.replace("VALUES", msgspec.json.encode(values).decode())
    found = engine(source.replace("TEMPLATE", template))
    found.create()
    return found


def test_the_states_of_tasks_in_an_each_stand_under_their_values() -> None:
    found = each(["a"], "{{ tasks.inner.a.state }} {{ tasks.each.state }}")

    found.run("inner")

    assert variables(found)["tasks"] == {
        "inner": {"a": {"state": "SUCCESS"}},
        "each": {"state": "RUNNING"},
    }


def test_tasks_with_a_state_are_found_by_it() -> None:
    template = "{{ tasksWithState('success') }}"
    found = each(["a"], template)

    found.run("inner")

    assert Renderer().value(template, variables(found)) == [
        {"taskId": "inner", "state": "SUCCESS", "value": "a"}
    ]


def test_of_very_many_values_a_task_sees_its_own_unless_it_asks_for_all() -> None:
    values = [str(number) for number in range(VALUED_RUNS_MAX + 1)]
    few = each(values, "{{ tasks.inner }}")
    all_ = each(values, "{{ tasksWithState('SUCCESS') }}")

    few.run("inner")
    all_.run("inner")

    assert list(variables(few)["tasks"]["inner"]) == [values[-1]]
    assert len(variables(all_)["tasks"]["inner"]) == len(values)


def test_a_sibling_in_the_same_iteration_is_named_by_current_each_output() -> None:
    template = "{{ currentEachOutput(outputs.inner).value }}"
    found = each(["a", "b"], template)

    found.run("inner", outputs='{"value": "of b"}')

    assert Renderer().text(template, variables(found)) == "of b"
