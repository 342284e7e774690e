"""Flow triggers on real servers: one flow that is told of every failure, chains with outputs."""

from __future__ import annotations

from typing import Any

from tests.acceptance.running import RunningServer, eventually

ALERT = """id: tell-of-failures
namespace: {namespace}.operations
tasks:
  - id: tell
    type: io.kestra.core.tasks.log.Log
    message: "{{{{ trigger.flowId ~ ' ' ~ trigger.state ~ ' at ' ~ trigger.firstFailedTaskId }}}}"
triggers:
  - id: failed
    type: io.kestra.core.models.triggers.types.Flow
    conditions:
      - type: io.kestra.core.models.conditions.types.ExecutionStatusCondition
        in: [FAILED, WARNING]
      - type: io.kestra.core.models.conditions.types.ExecutionNamespaceCondition
        namespace: {namespace}
        prefix: true
"""
FAILS = """id: {flow_id}
namespace: {namespace}.production
tasks:
  - {{id: begin, type: io.kestra.core.tasks.log.Log, message: hi}}
  - {{id: break, type: io.kestra.core.tasks.executions.Fail}}
"""
WORKS = """id: extract
namespace: {namespace}
tasks:
  - id: rows
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ range(10000, 29999) | join(',') }}}}"
  - {{id: size, type: io.kestra.plugin.core.debug.Return, format: "3"}}
outputs:
  - {{id: size, type: INT, value: "{{{{ outputs.size.value }}}}"}}
"""
FOLLOWS = """id: transform
namespace: {namespace}
inputs:
  - {{id: size, type: INT}}
  - {{id: letters, type: INT}}
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "{{{{ inputs.size }}}}"}}
triggers:
  - id: after
    type: io.kestra.plugin.core.trigger.Flow
    inputs:
      size: "{{{{ trigger.outputs.size }}}}"
      letters: "{{{{ outputs.rows.value | length }}}}"
    preconditions:
      id: both
      flows:
        - {{namespace: "{namespace}", flowId: extract, states: [SUCCESS]}}
"""


def executions(server: RunningServer, namespace: str, flow_id: str) -> list[dict[str, Any]]:
    return list(server.client.executions(namespace, flow_id, [], 1, 100)["results"])


def run(server: RunningServer, namespace: str, flow_id: str) -> dict[str, Any]:
    path = f"/executions/{namespace}/{flow_id}?wait=true"
    answer = server.post(path, files={"none": (None, "")})
    assert answer.status_code == 200, answer.text
    ended: dict[str, Any] = answer.json()
    return ended


def test_one_flow_is_told_of_every_failure_in_the_namespaces_below(
    server: RunningServer, namespace: str
) -> None:
    server.save(ALERT.format(namespace=namespace))
    for flow_id in ("imports", "exports"):
        server.save(FAILS.format(namespace=namespace, flow_id=flow_id))
    server.save(WORKS.format(namespace=f"{namespace}.production"))
    operations = f"{namespace}.operations"

    # when
    failed = [run(server, f"{namespace}.production", name) for name in ("imports", "exports")]
    run(server, f"{namespace}.production", "extract")
    failed.append(run(server, f"{namespace}.production", "imports"))

    # then
    def told() -> list[dict[str, Any]]:
        return executions(server, operations, "tell-of-failures")

    alerts = eventually(
        told, lambda found: [x["state"]["current"] for x in found] == ["SUCCESS"] * 3
    )
    sources = {x["trigger"]["variables"]["executionId"] for x in alerts}
    assert sources == {x["id"] for x in failed}
    said = {message for x in alerts for message in server.messages(x["id"])}
    assert said == {"imports FAILED at break", "exports FAILED at break"}


def test_a_flow_follows_another_with_its_outputs_large_ones_too(
    server: RunningServer, namespace: str
) -> None:
    server.save(WORKS.format(namespace=namespace))
    server.save(FOLLOWS.format(namespace=namespace))

    source = run(server, namespace, "extract")

    (created,) = eventually(
        lambda: executions(server, namespace, "transform"), lambda found: len(found) == 1
    )
    assert created["inputs"] == {"size": 3, "letters": 119_999}
    assert created["trigger"]["variables"]["executionId"] == source["id"]
    assert created["trigger"]["variables"]["lastTaskId"] == "size"
