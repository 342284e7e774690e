"""One worker for many tests of task types: each attempt is a task run of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.unit.worker.harness import Bench

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.storage.uri import input_file
from tiercel_schemas.commands import EndAttempt

CORE = "io.kestra.plugin.core."


class Rig:
    """Runs tasks by their short type, such as kv.Set, in the namespace acme.test."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.storage = bench.storage
        self._numbers = count(1)
        self.last_run = ""

    def run(
        self, kind: str, variables: dict[str, Any] | None = None, **properties: Any
    ) -> EndAttempt:
        """The end of one attempt. A property `from` is given as `from_`."""
        self.last_run = f"r{next(self._numbers)}"
        named = {name.removesuffix("_"): value for name, value in properties.items()}
        kind = kind if kind.startswith(("io.", "tiercel.")) else CORE + kind
        self.bench.submit({"type": kind, **named}, self.last_run, variables=variables)
        return self.bench.end(self.last_run)

    def outputs(self, kind: str, variables: dict[str, Any] | None = None, **properties: Any) -> Any:
        """The outputs of a task that succeeds."""
        end = self.run(kind, variables, **properties)
        assert end.state == "SUCCESS", end.error
        return None if end.outputs is None else self.bench.outputs(end)

    def failure(self, kind: str, variables: dict[str, Any] | None = None, **properties: Any) -> str:
        """The error of a task that fails."""
        end = self.run(kind, variables, **properties)
        assert end.state == "FAILED"
        return end.error or ""

    def file(self, name: str, content: bytes | str) -> str:
        """The address of a new file of the execution."""
        uri = input_file("acme.test", "flow", f"e{next(self._numbers)}", "file", name)
        self.storage.put(uri, content if isinstance(content, bytes) else content.encode())
        return uri

    def text(self, uri: str) -> str:
        """What lies at an address."""
        return self.storage.get(uri).decode()

    def metrics(self) -> dict[str, float]:
        """The metrics of the last task run."""
        return {m.name: m.value for m in self.bench.metrics() if m.task_run_id == self.last_run}

    def lines(self) -> list[tuple[str, str]]:
        """The log of the last task run."""
        return self.bench.lines(self.last_run)


@contextmanager
def rig_in(folder: Path, log: EventLog | None = None, **options: Any) -> Iterator[Rig]:
    """A worker until the block ends, on a log in memory or on another one.

    `options`: those of the worker.
    """
    bench = Bench(log or MemoryLog(SystemClock()), folder)
    with bench.worker(**options):
        yield Rig(bench)
    bench.close()
