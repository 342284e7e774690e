"""A worker over a real log, with a test in the executor's place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import Consumer, EventLog, NewRecord
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.codec import decode, encode
from tiercel_schemas.commands import EndAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import Revocation, TaskJob
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.topics import Topic, Topics
from tiercel_worker.service import Worker
from tiercel_worker.tasks import PLUGINS
from tiercel_worker.triggers import PLUGINS as TRIGGERS

DEADLINE_S = 15.0


class Gate(RunnableTask):
    """A task that ends when the test says so, and ignores its cancellation if told."""

    TYPE: ClassVar[str] = "test.Gate"

    stubborn: bool = False

    opened: ClassVar[threading.Event] = threading.Event()
    running: ClassVar[list[str]] = []
    most: ClassVar[int] = 0

    def run(self, context: RunContext) -> None:
        Gate.running.append(context.task_run_id)
        Gate.most = max(Gate.most, len(Gate.running))
        while not Gate.opened.wait(0.005):
            if context.is_cancelled() and not self.stubborn:
                break
        Gate.running.remove(context.task_run_id)


class Bench:
    """One log, any number of workers."""

    def __init__(self, log: EventLog, folder: Path, topics: Topics | None = None) -> None:
        self.log = log
        self.topics = topics or Topics()
        self.storage = Storage(folder / "storage")
        self.registry = PluginRegistry()
        for plugin in (*PLUGINS, *TRIGGERS, Gate):
            self.registry.register(plugin)
        log.create_topics(self.topics.all())
        Gate.opened = threading.Event()
        Gate.running = []
        Gate.most = 0
        self._appender = log.appender()
        self._seen: dict[str, list[Any]] = {}
        self._tails: dict[str, Consumer] = {}

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._appender.close()
        self.log.close()

    @contextmanager
    def worker(self, worker_id: str = "w1", **options: Any) -> Iterator[Worker]:
        worker = Worker(
            self.log, self.topics, self.storage, self.registry, SystemClock(), worker_id, **options
        )
        thread = threading.Thread(target=worker.run, name=worker_id)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def append(self, topic: Topic, key: str, value: bytes) -> None:
        self._appender.append(NewRecord(topic.name, key, value))
        self._appender.flush(DEADLINE_S)

    def submit(
        self,
        task: dict[str, Any],
        run: str = "r1",
        epoch: int = 1,
        attempt: int = 1,
        variables: dict[str, Any] | Payload | None = None,
        **changes: Any,
    ) -> TaskJob:
        """Put a job on the jobs topic."""
        if not isinstance(variables, Payload):
            known = {
                "flow": {"id": "flow", "namespace": "acme.test"},
                "execution": {"id": f"e-{run}"},
            }
            variables = Payload(json=msgspec.json.encode(known | (variables or {})).decode())
        text = msgspec.json.encode({"id": "task", **task}).decode()
        job = TaskJob(
            *(
                changes.pop("execution_id", f"e-{run}"),
                run,
                attempt,
                epoch,
                "acme.test",
                "flow",
                1,
                "task",
                text,
                variables,
                1,
            ),
            **changes,
        )
        self.append(self.topics.jobs, run, encode(job))
        return job

    def revoke(self, job: TaskJob, reason: str, worker_id: str | None = None) -> None:
        revocation = Revocation(
            job.execution_id, job.task_run_id, job.attempt, job.epoch, reason, 1, worker_id
        )
        self.append(self.topics.revocations, job.execution_id, encode(revocation))

    def all_of(self, topic: Topic) -> list[Any]:
        """Every record of a topic so far."""
        seen = self._seen.setdefault(topic.name, [])
        if topic.name not in self._tails:
            self._tails[topic.name] = self.log.tail([topic.name], True)
        while records := self._tails[topic.name].poll(1_000, 0):
            seen.extend(decode(record.value) for record in records)
        return seen

    def of_kind(self, topic: Topic, kind: type[Any]) -> list[Any]:
        return [record for record in self.all_of(topic) if isinstance(record, kind)]

    def ends(self) -> list[EndAttempt]:
        return self.of_kind(self.topics.commands, EndAttempt)

    def end(self, run: str = "r1") -> EndAttempt:
        """Wait for the result of a task run."""
        found = self.until(lambda: next((e for e in self.ends() if e.task_run_id == run), None))
        assert isinstance(found, EndAttempt)
        return found

    def lines(self, run: str = "r1") -> list[tuple[str, str]]:
        entries: list[LogEntry] = self.of_kind(self.topics.logs, LogEntry)
        mine = [e for e in entries if e.task_run_id == run]
        return [(e.level, e.message) for e in sorted(mine, key=lambda e: e.at_us)]

    def metrics(self) -> list[MetricEntry]:
        return self.of_kind(self.topics.metrics, MetricEntry)

    def outputs(self, end: EndAttempt) -> Any:
        assert end.outputs is not None
        assert end.outputs.json is not None
        return msgspec.json.decode(end.outputs.json)

    def until(self, condition: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
        """The condition's first true value."""
        deadline_s = time.monotonic() + within_s
        tick = threading.Event()
        while not (value := condition()):
            assert time.monotonic() < deadline_s, "Expected it to happen in time"
            tick.wait(0.005)
        return value
