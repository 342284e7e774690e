"""What flows say of their executions as a whole, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from tests.acceptance.running import RunningServer, eventually

NARROW = """
id: narrow
namespace: {namespace}
concurrency: {{limit: 1}}
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
afterExecution:
  - id: report
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ execution.state }}}}"
"""
PROMPT = """
id: prompt
namespace: {namespace}
inputs: [{{id: rows, type: INT}}]
checks:
  - {{when: "{{{{ inputs.rows > 0 }}}}", message: "not {{{{ inputs.rows }}}} rows"}}
sla:
  - {{id: quick, type: MAX_DURATION, duration: PT0.5S, behavior: CANCEL, labels: {{sla: missed}}}}
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
"""


def states_of(execution: dict[str, object]) -> list[str]:
    state = execution["state"]
    assert isinstance(state, dict)
    return [change["state"] for change in state["histories"]]


def test_one_too_many_waits_for_its_turn(server: RunningServer, namespace: str) -> None:
    server.save(NARROW.format(namespace=namespace))
    first, second = (server.post(f"/executions/{namespace}/narrow").json()["id"] for _ in range(2))

    def state(execution_id: str) -> str:
        return str(server.client.execution(execution_id)["state"]["current"])

    eventually(lambda: {state(first), state(second)}, lambda s: s == {"PAUSED", "QUEUED"})
    waiting = first if state(first) == "QUEUED" else second
    running = second if waiting == first else first
    server.post(f"/executions/{running}/resume")
    eventually(lambda: state(waiting), lambda s: s == "PAUSED")
    server.post(f"/executions/{waiting}/resume")
    ended = server.ended(waiting)

    assert states_of(ended)[:3] == ["CREATED", "QUEUED", "RUNNING"]
    report = eventually(
        lambda: server.client.execution(waiting)["taskRunList"][-1],
        lambda run: bool(run["state"]["current"] == "SUCCESS" and run["taskId"] == "report"),
    )
    assert report["outputs"] == {"value": "SUCCESS"}


def test_an_execution_that_takes_too_long_is_cancelled(
    server: RunningServer, namespace: str
) -> None:
    server.save(PROMPT.format(namespace=namespace))

    ended = server.ended(
        server.post(f"/executions/{namespace}/prompt", files={"rows": (None, "1")}).json()["id"]
    )

    assert ended["state"]["current"] == "CANCELLED"
    assert {"key": "sla", "value": "missed"} in ended["labels"]


def test_an_execution_whose_inputs_a_check_refuses_does_not_come_to_be(
    server: RunningServer, namespace: str
) -> None:
    server.save(PROMPT.format(namespace=namespace))
    rows = {"rows": (None, "0")}

    shown = server.post(f"/executions/{namespace}/prompt/validate", files=rows).json()
    refused = server.post(f"/executions/{namespace}/prompt", files=rows)

    assert [check["message"] for check in shown["checks"]] == ["not 0 rows"]
    assert refused.status_code == 422
    assert "not 0 rows" in refused.text
