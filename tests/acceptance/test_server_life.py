"""The life of `tiercel server`: start, stop, crash, start again."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.acceptance.running import (
    RunningServer,
    eventually,
    running_server,
    start_server,
    stop_server,
    tiercel,
)
from tests.acceptance.test_executions_page import GREETING

SLEEPS = """
id: sleeps
namespace: night
tasks:
  - id: sleep
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT{seconds}S
  - id: wake
    type: io.kestra.plugin.core.log.Log
    message: awake
"""


def is_running(server: RunningServer, execution_id: str) -> None:
    """Wait until the first task runs."""
    eventually(
        lambda: server.client.execution(execution_id),
        lambda e: (
            bool(e.get("taskRunList")) and e["taskRunList"][0]["state"]["current"] == "RUNNING"
        ),
    )


def woken(server: RunningServer, execution_id: str) -> int:
    """How often the last task has run, once it has."""
    said = eventually(lambda: server.messages(execution_id), lambda found: "awake" in found)
    return said.count("awake")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(tmp_path: Path, number: int) -> None:
    server = start_server(tmp_path)

    assert stop_server(server, number) == 0

    events = [json.loads(line)["event"] for line in server.log().splitlines()]
    assert events[-1] == "stopped"
    assert "stopping" in events


def test_executions_and_flows_are_there_after_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.save(GREETING.format(namespace="evening"))
        first = server.post("/executions/evening/welcome-guest", params={"wait": "true"}).json()

    with running_server(tmp_path) as server:
        assert server.client.execution(first["id"])["state"] == first["state"]
        second = server.post("/executions/evening/welcome-guest", params={"wait": "true"}).json()
        assert second["state"]["current"] == "SUCCESS"


def test_what_runs_when_it_stops_goes_on_when_it_starts_again(tmp_path: Path) -> None:
    with running_server(tmp_path, "--worker-drain-s", "0.1") as server:
        server.save(SLEEPS.format(seconds=2))
        execution_id = server.post("/executions/night/sleeps").json()["id"]
        is_running(server, execution_id)

    with running_server(tmp_path) as server:
        assert server.ended(execution_id)["state"]["current"] == "SUCCESS"
        assert woken(server, execution_id) == 1


def test_what_runs_when_it_is_killed_goes_on_when_it_starts_again(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    server.save(SLEEPS.format(seconds=1))
    execution_id = server.post("/executions/night/sleeps").json()["id"]
    is_running(server, execution_id)
    server.process.kill()
    server.process.communicate()

    with running_server(tmp_path) as again:
        assert again.ended(execution_id)["state"]["current"] == "SUCCESS"
        assert woken(again, execution_id) == 1


def test_the_read_model_can_be_dropped_and_rebuilt(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.save(GREETING.format(namespace="evening"))
        before = server.post("/executions/evening/welcome-guest", params={"wait": "true"}).json()
        server.messages(before["id"])
        before = server.client.execution(before["id"])
    for file in tmp_path.glob("index.db*"):
        file.unlink()

    rebuilt = tiercel("index", "rebuild", "--data", str(tmp_path), "--json")

    assert json.loads(rebuilt.stdout)["records"] > 0
    with running_server(tmp_path) as server:
        assert server.client.execution(before["id"]) == before
        assert server.messages(before["id"]) == ["good evening"]


def test_a_second_server_on_the_same_data_is_refused(
    embedded_server: RunningServer,
) -> None:
    second = tiercel("server", "--port", "0", "--data", str(embedded_server.data))

    assert second.returncode == 2
    assert str(embedded_server.data) in second.stderr


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = tiercel("server", "--port", str(port), "--data", str(tmp_path))

    assert refused.returncode == 2
    assert "--port" in refused.stderr


def test_health_readiness_and_metrics_are_served(server: RunningServer) -> None:
    assert server.client.is_ready()
    for path in ("/health", "/ready", "/prometheus"):
        assert server.get(f"/../..{path}").status_code == 200


@pytest.mark.kafka
def test_a_role_that_is_killed_is_started_again_under_its_name(
    kafka_server: RunningServer, namespace: str
) -> None:
    kafka_server.save(GREETING.format(namespace=namespace))
    (lock,) = (kafka_server.data / "run").glob("executor-*.lock")
    old = int(lock.read_text())

    os.kill(old, signal.SIGKILL)

    execution_id = kafka_server.post(f"/executions/{namespace}/welcome-guest").json()["id"]
    assert kafka_server.ended(execution_id)["state"]["current"] == "SUCCESS"
    assert int(lock.read_text()) != old


@pytest.mark.kafka
def test_a_killed_supervisor_takes_its_roles_along(tmp_path: Path, kafka_bootstrap: str) -> None:
    options = ("--kafka", kafka_bootstrap, "--topic-prefix", f"life-{tmp_path.name}.")
    server = start_server(tmp_path, *options)
    roles = [int(lock.read_text()) for lock in (tmp_path / "run").glob("*.lock")]
    assert len(roles) == 5

    server.process.kill()
    server.process.communicate()

    eventually(lambda: [pid for pid in roles if Path(f"/proc/{pid}").exists()], lambda p: not p)
