"""Executions that start executions of other flows, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from typing import Any

from tests.acceptance.running import RunningServer, eventually

CHILD = """
id: child
namespace: {namespace}
inputs:
  - id: number
    type: INT
tasks:
  - id: double
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ inputs.number * 2 }}}}"
outputs:
  - id: doubled
    type: STRING
    value: "{{{{ outputs.double.value }}}}"
"""
PARENT = """
id: parent
namespace: {namespace}
labels:
  team: red
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1, 2, 3]
    concurrencyLimit: 0
    tasks:
      - id: sub
        type: io.kestra.core.tasks.flows.Flow
        namespace: {namespace}
        flowId: child
        inheritLabels: true
        inputs:
          number: "{{{{ taskrun.value }}}}"
  - id: tell
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ outputs.sub['3'].outputs.doubled }}}}"
"""
OLD = """
id: old
namespace: {namespace}
tasks:
  - id: sub
    type: io.kestra.plugin.core.flow.Subflow
    namespace: {namespace}
    flowId: plain
    outputs:
      heard: "{{{{ outputs.say.value }}}}"
"""
PLAIN = """
id: plain
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.debug.Return
    format: hello
"""
SLOW = """
id: slow
namespace: {namespace}
tasks:
  - id: sleep
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT1M
"""


def test_each_value_has_a_child_whose_outputs_come_back(
    server: RunningServer, namespace: str
) -> None:
    # given
    server.save(CHILD.format(namespace=namespace))
    server.save(PARENT.format(namespace=namespace))

    # when
    parent = server.ended(server.post(f"/executions/{namespace}/parent").json()["id"])

    # then
    assert parent["state"]["current"] == "SUCCESS"
    assert server.messages(parent["id"]) == ["6"]
    runs = [run for run in parent["taskRunList"] if run["taskId"] == "sub"]
    assert [run["outputs"]["outputs"] for run in runs] == [{"doubled": str(n)} for n in (2, 4, 6)]
    assert [len(run["attempts"]) for run in runs] == [1, 1, 1]
    child: dict[str, Any] = server.ended(runs[0]["outputs"]["executionId"])
    assert child["inputs"] == {"number": 1}
    assert {label["key"]: label["value"] for label in child["labels"]} == {
        "team": "red",
        "system.correlationId": parent["id"],
    }
    assert child["trigger"]["id"] == "sub"
    assert child["trigger"]["variables"] == {
        "executionId": parent["id"],
        "namespace": namespace,
        "flowId": "parent",
        "flowRevision": 1,
    }


def test_outputs_of_the_task_are_rendered_where_the_child_ends(
    server: RunningServer, namespace: str
) -> None:
    server.save(PLAIN.format(namespace=namespace))
    server.save(OLD.format(namespace=namespace))

    ended = server.ended(server.post(f"/executions/{namespace}/old").json()["id"])

    outputs = ended["taskRunList"][0]["outputs"]
    assert ended["state"]["current"] == "SUCCESS"
    assert (outputs["state"], outputs["outputs"]) == ("SUCCESS", {"heard": "hello"})


def test_a_kill_reaches_the_child(server: RunningServer, namespace: str) -> None:
    # given
    server.save(SLOW.format(namespace=namespace))
    server.save(OLD.format(namespace=namespace).replace("plain", "slow"))
    execution_id = server.post(f"/executions/{namespace}/old").json()["id"]
    children = eventually(
        lambda: server.get(f"/executions?namespace={namespace}&flowId=slow").json()["results"],
        lambda found: bool(found) and found[0]["state"]["current"] == "RUNNING",
    )

    # when
    server.client.kill(execution_id)

    # then
    assert server.ended(execution_id)["state"]["current"] == "KILLED"
    assert server.ended(children[0]["id"])["state"]["current"] == "KILLED"


def test_a_missing_flow_fails_the_task(server: RunningServer, namespace: str) -> None:
    server.save(OLD.format(namespace=namespace).replace("plain", "nowhere"))

    execution_id = server.post(f"/executions/{namespace}/old").json()["id"]

    assert server.ended(execution_id)["state"]["current"] == "FAILED"
    assert "nowhere" in server.messages(execution_id)[0]


FRAGILE = """
id: fragile
namespace: {namespace}
tasks:
  - id: first
    type: io.kestra.plugin.core.debug.Return
    format: done
  - id: fails-once
    type: io.kestra.plugin.core.execution.Fail
    condition: "{{{{ taskrun.attemptsCount == 0 }}}}"
"""
MIDDLE = """
id: {flow_id}
namespace: {namespace}
tasks:
  - id: sub
    type: io.kestra.plugin.core.flow.Subflow
    namespace: {namespace}
    flowId: {child}
"""


def test_a_restart_reaches_failed_subflows_of_subflows_in_their_place(
    server: RunningServer, namespace: str
) -> None:
    # given a child of a child that fails
    server.save(FRAGILE.format(namespace=namespace))
    server.save(MIDDLE.format(namespace=namespace, flow_id="middle", child="fragile"))
    server.save(MIDDLE.format(namespace=namespace, flow_id="outer", child="middle"))
    started = server.post(f"/executions/{namespace}/outer").json()["id"]
    failed = server.ended(started)
    assert failed["state"]["current"] == "FAILED"
    middle_id = failed["taskRunList"][0]["outputs"]["executionId"]
    inner_id = server.ended(middle_id)["taskRunList"][0]["outputs"]["executionId"]

    # when
    server.post(f"/executions/{started}/restart").raise_for_status()

    # then
    ended = server.ended(started)
    assert ended["state"]["current"] == "SUCCESS", ended
    assert ended["taskRunList"][0]["outputs"]["executionId"] == middle_id
    inner = server.ended(inner_id)
    assert inner["state"]["current"] == "SUCCESS"
    assert [len(run["attempts"]) for run in inner["taskRunList"]] == [1, 2]
