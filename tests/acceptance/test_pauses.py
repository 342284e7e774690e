"""Pausing and resuming, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from typing import Any

from tests.acceptance.running import RunningServer, eventually

APPROVAL = """
id: approval
namespace: {namespace}
tasks:
  - id: ask
    type: io.kestra.core.tasks.flows.Pause
    onResume:
      - id: answer
        type: STRING
      - id: amount
        type: INT
        defaults: 3
  - id: tell
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ outputs.ask.onResume.answer }}}} {{{{ outputs.ask.onResume.amount + 1 }}}}"
"""
NAP = """
id: nap
namespace: {namespace}
tasks:
  - id: nap
    type: io.kestra.plugin.core.flow.Pause
    delay: PT0.2S
    tasks:
      - id: yawn
        type: io.kestra.plugin.core.log.Log
        message: awake
"""
STEPS = """
id: steps
namespace: {namespace}
tasks:
  - id: slow
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT1S
  - id: after
    type: io.kestra.plugin.core.log.Log
    message: done
"""


def passed(state: dict[str, Any]) -> list[str]:
    """The states that something went through."""
    return [change["state"] for change in state["histories"]]


def in_state(server: RunningServer, execution_id: str, state: str) -> dict[str, Any]:
    """The execution once it is in this state."""
    return eventually(
        lambda: server.client.execution(execution_id), lambda e: e["state"]["current"] == state
    )


def test_a_paused_execution_goes_on_with_what_it_was_resumed_with(
    server: RunningServer, namespace: str
) -> None:
    # given
    server.save(APPROVAL.format(namespace=namespace))
    execution_id = server.post(f"/executions/{namespace}/approval").json()["id"]
    paused = in_state(server, execution_id, "PAUSED")

    # when
    refused = server.post(f"/executions/{execution_id}/resume")
    resumed = server.post(f"/executions/{execution_id}/resume", files={"answer": (None, "yes")})

    # then
    assert [run["state"]["current"] for run in paused["taskRunList"]] == ["PAUSED"]
    assert refused.status_code == 422
    assert "answer" in refused.text
    assert (resumed.status_code, resumed.content) == (204, b"")
    ended = server.ended(execution_id)
    assert passed(ended["state"]) == [
        *("CREATED", "RUNNING", "PAUSED", "RESTARTED", "RUNNING", "SUCCESS")
    ]
    ask = ended["taskRunList"][0]
    assert passed(ask["state"]) == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
    assert ask["outputs"] == {"onResume": {"answer": "yes", "amount": 3}}
    assert server.messages(execution_id) == ["yes 4"]
    again = server.post(f"/executions/{execution_id}/resume")
    assert again.status_code == 409


def test_a_delay_ends_a_pause(server: RunningServer, namespace: str) -> None:
    server.save(NAP.format(namespace=namespace))

    execution_id = server.post(f"/executions/{namespace}/nap").json()["id"]

    assert server.ended(execution_id)["state"]["current"] == "SUCCESS"
    assert server.messages(execution_id) == ["awake"]


def test_a_running_execution_is_paused_and_killed_by_request(
    server: RunningServer, namespace: str
) -> None:
    # given
    server.save(STEPS.format(namespace=namespace))
    first = server.post(f"/executions/{namespace}/steps").json()["id"]
    second = server.post(f"/executions/{namespace}/steps").json()["id"]
    for execution_id in (first, second):
        in_state(server, execution_id, "RUNNING")

    # when
    plain = server.post(f"/executions/{first}/pause")
    action = server.post(f"/main/executions/{second}/actions/pause")

    # then
    assert (plain.status_code, plain.content) == (200, b"")
    assert action.json()["state"]["current"] == "PAUSED"
    assert server.post(f"/executions/{first}/pause").status_code == 422
    server.client.kill(second)
    assert server.ended(second)["state"]["current"] == "KILLED"
    eventually(
        lambda: server.client.execution(first)["taskRunList"],
        lambda runs: [run["state"]["current"] for run in runs] == ["SUCCESS"],
    )
    resumed = server.post(f"/main/executions/{first}/actions/resume")
    assert resumed.status_code == 200
    assert server.ended(first)["state"]["current"] == "SUCCESS"
    assert server.messages(first)[-1] == "done"
