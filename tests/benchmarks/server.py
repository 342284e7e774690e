"""A `tiercel server` for benchmarks, with the CPU and memory of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from tiercel_cli.kafka_broker import free_port
from tiercel_worker.task_runner import zygote

READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0

LOG_FLOW = """id: log
namespace: bench
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: "Hello {{ execution.id }}"
"""

#: The processes of a server by a word of their command lines.
ROLES = {name: name.encode() for name in ("executor", "worker", "indexer", "api")}
#: What Python scripts are forked from.
ROLES["scripts"] = zygote.__file__.encode()


class Server:
    """The server as a user starts it, on a free port, with its data in a temporary folder."""

    def __init__(self, kafka: str | None, *options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tiercel-bench-")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        command = [sys.executable, "-m", "tiercel_cli.main", "server", "--port", str(self._port)]
        command += ["--data", self._folder.name, *options]
        if kafka is not None:
            command += ["--kafka", kafka]
        self._output = open(Path(self._folder.name) / "server.out", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(command, stdout=self._output, stderr=self._output)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_ready():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.1)
        self.add_flow(LOG_FLOW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.output()[-4_000:], file=sys.stderr)
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def output(self) -> str:
        return Path(self._output.name).read_text(errors="replace")

    def add_flow(self, source: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/api/v1/flows",
            source.encode(),
            {"Content-Type": "application/x-yaml"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200

    def usage(self) -> dict[str, tuple[float, float]]:
        """Role -> (CPU seconds so far, peak memory in MiB) of every process of the server."""
        found: dict[str, tuple[float, float]] = {}
        for pid in [self._process.pid, *descendants(self._process.pid)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue  # A script that has ended.
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            role = next((name for name, word in ROLES.items() if word in words), "server")
            peak_kib = next(
                (int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")), 0
            )
            found[role] = (cpu_s, peak_kib / 1_024)
        return found


def descendants(pid: int) -> list[int]:
    """The processes below a process (Linux)."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in path.read_text().split()]
    return [p for child in children for p in (child, *descendants(child))]
