"""The supervisor: readiness, restarts, giving up, stopping everything."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tiercel_cli import supervisor as module
from tiercel_cli.supervisor import Child, Supervisor, plan_children
from tiercel_engine.config import Settings

READY = "import json, os; print(json.dumps({'ready': 'x', 'url': None}), flush=True)\n"
WAIT_FOR_STDIN = "import sys; sys.stdin.read()\n"
SETTINGS = Settings(kafka="nowhere:9092", stop_timeout_s=5)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_FIRST_S", 0.001)
    monkeypatch.setattr(module, "RESTART_LONGEST_S", 0.001)


def child(script: str) -> Child:
    return Child("worker", [sys.executable, "-c", script])


def supervise(*children: Child) -> tuple[int, int]:
    """Run until ready, then stop; return the exit code and how often ready was said."""
    said = []

    async def main() -> int:
        def ready(url: str | None) -> None:
            said.append(url)
            supervisor.stop()

        supervisor = Supervisor(children, SETTINGS, ready)
        return await asyncio.wait_for(supervisor.run(), 60)

    return asyncio.run(main()), len(said)


def test_it_is_ready_once_every_process_is_and_stops_them_all() -> None:
    children = [child(READY + WAIT_FOR_STDIN), child(READY + WAIT_FOR_STDIN)]

    assert supervise(*children) == (0, 1)

    assert all(c.process is not None and c.process.returncode is not None for c in children)


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    died = tmp_path / "died"
    dies_once = (
        f"import os, pathlib; died = pathlib.Path({str(died)!r})\n"
        "if not died.exists(): died.touch(); os.kill(os.getpid(), 9)\n"
    )

    assert supervise(child(dies_once + READY + WAIT_FOR_STDIN)) == (0, 1)

    assert died.exists()


def test_a_process_that_never_becomes_ready_makes_it_give_up() -> None:
    healthy, hopeless = child(READY + WAIT_FOR_STDIN), child("raise SystemExit(7)")

    assert supervise(healthy, hopeless) == (1, 0)

    assert hopeless.failures == module.FAILURES_MAX


def test_processes_get_the_settings_and_no_stray_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIERCEL_PORT", "99")
    checks = (
        "import os; assert os.environ['TIERCEL_KAFKA'] == 'nowhere:9092'\n"
        "assert 'TIERCEL_PORT' not in os.environ\n"
    )

    assert supervise(child(checks + READY + WAIT_FOR_STDIN)) == (0, 1)


def test_every_process_without_an_api_serves_its_metrics_on_a_free_port() -> None:
    commands = {child.role: list(child.command) for child in plan_children(SETTINGS)}

    api = commands.pop("api")
    assert "--metrics-port" not in api
    assert set(commands) == {"executor", "worker", "scheduler", "indexer"}
    assert all(command[-2:] == ["--metrics-port", "0"] for command in commands.values())
