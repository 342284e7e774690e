"""The `kestra` package from PyPI, unchanged, against both kinds of server."""

from __future__ import annotations

import json
from pathlib import Path

import kestra
import pytest
from tests.acceptance.running import RunningServer
from tests.acceptance.test_executions_page import GREETING, READS_FILE


@pytest.fixture(autouse=True)
def _server_address(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESTRA_HOSTNAME", server.url)


def test_execute_waits_for_the_end_and_brings_the_log(
    server: RunningServer, namespace: str
) -> None:
    server.save(GREETING.format(namespace=namespace))

    result = kestra.Flow().execute(namespace, "welcome-guest", {"greeting": "hi from Python"})

    assert result.status == "SUCCESS"
    assert result.error is None
    assert result.log.endswith("INFO hi from Python")


def test_execute_without_inputs(server: RunningServer, namespace: str) -> None:
    server.save(GREETING.format(namespace=namespace))

    result = kestra.Flow(poll_interval=0).execute(namespace, "welcome-guest")

    assert result.status == "SUCCESS"


def test_execute_with_a_file(server: RunningServer, namespace: str, orders: Path) -> None:
    server.save(READS_FILE.format(namespace=namespace))

    with orders.open("rb") as file:
        result = kestra.Flow().execute(
            namespace, "reads-file", {"files": ("letter", file, "text/plain")}
        )

    assert result.status == "SUCCESS"
    assert "miller,5" in result.log


def test_execute_sets_labels_from_inputs_and_does_not_wait(
    server: RunningServer, namespace: str
) -> None:
    server.save(GREETING.format(namespace=namespace))
    flow = kestra.Flow(wait_for_completion=False, labels_from_inputs=True, tenant="main")

    result = flow.execute(namespace, "welcome-guest", {"greeting": "ahoy"})

    assert result.status == "STARTED"
    execution = server.ended(result.execution_id)
    assert {"key": "greeting", "value": "ahoy"} in execution["labels"]


def test_a_failed_execution_is_told(server: RunningServer, namespace: str) -> None:
    server.save(f"""
id: fails
namespace: {namespace}
tasks:
  - id: no
    type: io.kestra.plugin.core.execution.Fail
    errorMessage: not today
""")

    result = kestra.Flow().execute(namespace, "fails")

    assert result.status == "FAILED"
    assert "not today" in result.log


def test_lines_of_the_client_inside_a_script_become_outputs_and_metrics(
    server: RunningServer, namespace: str
) -> None:
    lines = [
        kestra.Kestra.format({"outputs": {"guests": 3}}),
        kestra.Kestra.format(
            {"metrics": [{"name": "guests", "type": "counter", "value": 3, "tags": {}}]}
        ),
    ]
    commands = json.dumps([f"echo '{line}'" for line in lines])
    server.save(f"""
id: script
namespace: {namespace}
tasks:
  - id: count
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner:
      type: io.kestra.plugin.core.runner.Process
    commands: {commands}
""")

    result = kestra.Flow().execute(namespace, "script")

    execution = server.client.execution(result.execution_id)
    assert execution["taskRunList"][0]["outputs"]["vars"] == {"guests": 3}
    assert [m["value"] for m in server.client.metrics(result.execution_id)] == [3]
