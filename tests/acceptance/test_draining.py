"""What clients of a server see while it stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from tests.acceptance.running import END_TIMEOUT_S, RunningServer, eventually, running_server
from tests.acceptance.test_server_life import SLEEPS, is_running


def opened(server: RunningServer, path: str) -> Iterator[bytes]:
    """The lines of a stream whose first event has come."""
    response = requests.get(f"{server.url}/api/v1{path}", stream=True, timeout=END_TIMEOUT_S)
    lines: Iterator[bytes] = response.iter_lines(chunk_size=1)
    assert next(lines).startswith(b"id: ")
    return lines


def test_a_stopping_server_starts_nothing_and_sends_its_readers_elsewhere(tmp_path: Path) -> None:
    with running_server(tmp_path, "--worker-drain-s", "10") as server:
        # given: an execution that runs for a while, one that is waited for, and its readers
        server.save(SLEEPS.format(seconds=4))
        execution_id = server.post("/executions/night/sleeps").json()["id"]
        is_running(server, execution_id)
        stream = opened(server, f"/executions/{execution_id}/follow")
        held: list[Any] = []
        waiting = threading.Thread(
            target=lambda: held.append(server.post("/executions/night/sleeps?wait=true").json())
        )
        waiting.start()
        eventually(lambda: server.get("/executions/search").json()["total"], lambda n: n == 2)

        # when
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.get("/../../ready").status_code, lambda status: status == 503)
        refused = server.post("/executions/night/sleeps")
        shown = server.get(f"/executions/{execution_id}")
        again = server.get(f"/executions/{execution_id}/follow")
        rest = list(stream)
        waiting.join(END_TIMEOUT_S)

        # then: the worker lets its attempts end meanwhile
        assert refused.status_code == 503
        assert refused.headers["Connection"] == "close"
        assert int(refused.headers["Retry-After"]) >= 1
        assert "This server stops" in refused.json()["message"]
        assert (shown.status_code, shown.headers["Connection"]) == (200, "close")
        assert again.status_code == 503
        event, retry, data = [line for line in rest if line][-3:]
        assert (event, data) == (b"event: reconnect", b"data:")
        assert retry.startswith(b"retry: ")
        assert held[0]["state"]["current"] in ("CREATED", "RUNNING")
    with running_server(tmp_path) as server:
        assert server.ended(execution_id)["state"]["current"] == "SUCCESS"
