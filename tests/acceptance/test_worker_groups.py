"""Tasks for workers of a group, with a worker of one group beside those of none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.acceptance.running import (
    STOP_TIMEOUT_S,
    TIERCEL,
    RunningServer,
    clean_environment,
    eventually,
)

FLOW = """
id: {id}
namespace: {namespace}
tasks:
  - id: plain
    type: io.kestra.plugin.scripts.shell.Commands
    commands: ["echo $ROOM of none"]
  - id: by-key
    type: io.kestra.plugin.scripts.shell.Commands
    workerGroup: {{key: "{{{{ 'gp' ~ 'u' }}}}"}}
    commands: ["echo $ROOM by key"]
  - id: by-tags
    type: io.kestra.plugin.scripts.shell.Commands
    workerSelector: {{tags: [gpu], fallback: WAIT}}
    commands: ["echo $ROOM by tags"]
  - id: nobody
    type: io.kestra.plugin.core.log.Log
    workerSelector: {{tags: [tpu]}}
    allowFailure: true
    message: never
  - id: anybody
    type: io.kestra.plugin.core.log.Log
    workerSelector: {{tags: [tpu], fallback: IGNORE}}
    message: by anybody
"""


@contextmanager
def worker_of(group: str, options: tuple[str, ...], server: RunningServer) -> Iterator[None]:
    """A worker of a group until the block ends; its scripts see the group as ROOM."""
    with (server.data / f"worker-{group}.log").open("ab") as output:
        process = subprocess.Popen(
            [*TIERCEL, "worker", "--worker-group", group, "--data", server.data, *options],
            stdout=output,
            stderr=output,
            env={**clean_environment(), "ROOM": group},
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


@pytest.mark.kafka
def test_a_task_of_a_group_waits_for_a_worker_of_it(
    kafka_server: RunningServer, kafka_options: tuple[str, ...], namespace: str
) -> None:
    kafka_server.save(FLOW.format(id="grouped", namespace=namespace))
    started = kafka_server.post(f"/executions/{namespace}/grouped").json()["id"]
    waiting = eventually(
        lambda: kafka_server.client.execution(started),
        lambda found: len(found.get("taskRunList") or ()) == 2,
    )
    assert waiting["taskRunList"][1]["state"]["current"] == "CREATED"

    with worker_of("gpu", kafka_options, kafka_server):
        ended = kafka_server.ended(started)

    assert ended["state"]["current"] == "WARNING", kafka_server.client.logs(started)
    assert [(run["taskId"], run["state"]["current"]) for run in ended["taskRunList"]] == [
        ("plain", "SUCCESS"),
        ("by-key", "SUCCESS"),
        ("by-tags", "SUCCESS"),
        ("nobody", "WARNING"),
        ("anybody", "SUCCESS"),
    ]
    lines = kafka_server.messages(started, 5)
    said = [line for line in lines if line in ("of none", "gpu by key", "gpu by tags")]
    assert said == ["of none", "gpu by key", "gpu by tags"]
