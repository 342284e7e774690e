"""Starts and stops a real server, and waits for what it says over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from tiercel_cli.client import Client
from tiercel_schemas.state import is_terminated

TIERCEL = (sys.executable, "-m", "tiercel_cli.main")
STOP_TIMEOUT_S = 60
END_TIMEOUT_S = 60.0
POLL_S = 0.02

T = TypeVar("T")
JsonObject = dict[str, Any]


@dataclass
class RunningServer:
    """A server that takes work at `url`; its own log is in `data/server.log`."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    @property
    def client(self) -> Client:
        return Client(self.url)

    def save(self, source: str) -> JsonObject:
        """Store a new flow."""
        return self.client.create_flow(source)

    def post(self, path: str, **options: Any) -> requests.Response:
        """POST below /api/v1, as any HTTP client does."""
        return requests.post(f"{self.url}/api/v1{path}", timeout=END_TIMEOUT_S, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}/api/v1{path}", timeout=END_TIMEOUT_S, **options)

    def put(self, path: str, **options: Any) -> requests.Response:
        return requests.put(f"{self.url}/api/v1{path}", timeout=END_TIMEOUT_S, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return requests.delete(f"{self.url}/api/v1{path}", timeout=END_TIMEOUT_S, **options)

    def ended(self, execution_id: str) -> JsonObject:
        """The execution once it has ended."""
        return eventually(
            lambda: self.client.execution(execution_id),
            lambda execution: is_terminated(execution["state"]["current"]),
        )

    def messages(self, execution_id: str, count: int = 1) -> list[str]:
        """The execution's log messages, once there are at least `count`."""
        entries = eventually(
            lambda: self.client.logs(execution_id), lambda found: len(found) >= count
        )
        return [entry["message"] for entry in entries]

    def log(self) -> str:
        return (self.data / "server.log").read_text(errors="replace")


def eventually(look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """What `look` sees once it `holds`. Fails with the last look after `END_TIMEOUT_S`."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"It did not come to hold: {seen}"
        time.sleep(POLL_S)


def clean_environment() -> dict[str, str]:
    """This process's variables without settings of a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIERCEL_")}


def start_server(data: Path, *options: str) -> RunningServer:
    """Start one on a free port and wait until it is ready."""
    command = [*TIERCEL, "server", "--port", "0", "--data", str(data), "--stop-with-stdin"]
    return launch([*command, *options], data)


def launch(command: Sequence[str], data: Path) -> RunningServer:
    """Run a command that serves, and wait until it is ready; its log is `data/server.log`."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            # Ends with this test run, however that ends; then the server stops too.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=clean_environment(),
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.communicate()
        raise AssertionError((data / "server.log").read_text(errors="replace"))
    return RunningServer(json.loads(line)["url"], data, process)


def stop_server(server: RunningServer, number: int = signal.SIGTERM) -> int:
    """Stop it; return its exit code."""
    server.process.send_signal(number)
    server.process.wait(STOP_TIMEOUT_S)
    server.process.communicate()
    return server.process.returncode


@contextmanager
def running_server(data: Path, *options: str) -> Iterator[RunningServer]:
    """A server until the block ends; then it must stop in order."""
    server = start_server(data, *options)
    try:
        yield server
    except BaseException:
        server.process.kill()
        server.process.communicate()
        raise
    assert stop_server(server) == 0, server.log()


def tiercel(
    *arguments: str, server: RunningServer | None = None, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    environment = clean_environment()
    if server is not None:
        environment["TIERCEL_SERVER"] = server.url
    command: Sequence[str] = [*TIERCEL, *arguments]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        timeout=STOP_TIMEOUT_S,
        check=False,
    )
