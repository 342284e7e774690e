"""Loops that go round until a condition holds, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

import pytest
from tests.acceptance.running import RunningServer

POLL = """
id: poll
namespace: {namespace}
tasks:
  - id: until
    type: io.kestra.plugin.core.flow.{kind}
    condition: "{{{{ outputs.count.value == '3' }}}}"
    checkFrequency:
      interval: PT0.05S
      maxIterations: {times}
    failOnMaxReached: true
    tasks:
      - id: count
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ outputs.until.iterationCount }}}}"
"""


@pytest.mark.parametrize("kind", ["LoopUntil", "WaitFor"])
def test_a_loop_ends_when_its_condition_holds(
    server: RunningServer, namespace: str, kind: str
) -> None:
    server.save(POLL.format(namespace=namespace, kind=kind, times=10))

    ended = server.ended(server.post(f"/executions/{namespace}/poll").json()["id"])

    assert ended["state"]["current"] == "SUCCESS"
    until, count = ended["taskRunList"]
    assert until["outputs"] == {"iterationCount": 3}
    assert (count["outputs"], count["iteration"]) == ({"value": "3"}, 3)


def test_a_loop_fails_after_its_last_time(server: RunningServer, namespace: str) -> None:
    server.save(POLL.format(namespace=namespace, kind="LoopUntil", times=2))

    ended = server.ended(server.post(f"/executions/{namespace}/poll").json()["id"])

    assert ended["state"]["current"] == "FAILED"
    assert ended["taskRunList"][0]["outputs"] == {"iterationCount": 2}
