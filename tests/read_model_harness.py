"""A log, and what indexes it into a store: step by step, or as a service in a thread."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import EventLog, NewRecord, Record
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.indexer.projector import Projector
from tiercel_engine.indexer.service import Indexer
from tiercel_engine.repository.base import Store
from tiercel_schemas import events as e
from tiercel_schemas.codec import AvroRecord, encode
from tiercel_schemas.common import Label, Payload
from tiercel_schemas.logs import LogEntry, LogsDeleted, MetricEntry, MetricsDeleted
from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import TriggerState

#: 2023-11-14T22:13:20Z, where the fake clock stands.
START_US = 1_700_000_000_000_000
MS = 1_000

DEADLINE_S = 30.0


class Journal:
    """Writes histories of executions into a log and indexes them.

    Attributes:
        sequences: execution id -> number of its last event.
    """

    def __init__(
        self, store: Store, log: EventLog | None = None, topics: Topics | None = None
    ) -> None:
        self.clock = FakeClock(START_US)
        self.log: EventLog = log or MemoryLog(self.clock)
        self.topics = topics or Topics(partitions=2)
        self.log.create_topics(self.topics.all())
        self.store = store
        self.appender = self.log.appender()
        self.sequences: Counter[str] = Counter()
        kinds = self.topics.indexed()
        self.lanes = [(t.name, p) for t in kinds for p in range(t.partitions)]

    def happen(self, execution_id: str, *events: e.Event, after_ms: int = 0) -> e.EventBatch:
        """Append the next events of an execution, `after_ms` after the start of time."""
        batch = e.EventBatch(
            execution_id=execution_id,
            first_seq=self.sequences[execution_id] + 1,
            at_us=START_US + after_ms * MS,
            cause="Test",
            events=events,
        )
        self.sequences[execution_id] += len(events)
        self.append(execution_id, batch)
        return batch

    def append(self, key: str, record: AvroRecord | bytes) -> None:
        """Append a record to the topic that it belongs to; bytes go to executions."""
        topic = self.topics.executions
        if isinstance(record, LogEntry | LogsDeleted):
            topic = self.topics.logs
        elif isinstance(record, TriggerState):
            topic = self.topics.triggers
        elif isinstance(record, MetricEntry | MetricsDeleted):
            topic = self.topics.metrics
        value = record if isinstance(record, bytes) else encode(record)
        self.appender.append(NewRecord(topic.name, key, value))
        self.appender.flush(5.0)

    def projector(self) -> Projector:
        """A projector over all partitions, open at the store's offsets."""
        projector = Projector(self.topics, self.store, self.appender)
        projector.open(self.lanes)
        return projector

    def unindexed(self) -> list[Record]:
        """What the store has not seen, partition by partition."""
        offsets = self.store.open_lanes(self.lanes)
        return [r for lane, at in offsets.items() for r in self.log.read(*lane, at)]

    def index(self) -> dict[str, int]:
        """Index what is new in one batch; the newest event number of each execution in it."""
        return self.projector().index_all(self.unindexed())

    def dead_letters(self) -> Iterator[Record]:
        return self.log.read(self.topics.dead_letters.name, 0, 0)


def created(
    namespace: str = "company.team",
    flow_id: str = "hello",
    *,
    inputs: str | None = "{}",
    trigger: str | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    parent_id: str | None = None,
    kind: str = "NORMAL",
) -> e.ExecutionCreated:
    """The first event of an execution."""
    return e.ExecutionCreated(
        namespace=namespace,
        flow_id=flow_id,
        flow_revision=1,
        inputs=Payload(json=inputs),
        trigger=Payload(json=trigger),
        original_id="first",
        labels=tuple(Label(key, value) for key, value in labels),
        parent_id=parent_id,
        kind=kind,
    )


def state(name: str) -> e.ExecutionStateChanged:
    return e.ExecutionStateChanged(state=name)


def started(task_run_id: str, at_ms: int, attempt: int = 1, epoch: int = 1) -> e.AttemptStarted:
    return e.AttemptStarted(task_run_id, attempt, epoch, "worker", START_US + at_ms * MS)


def ended(
    task_run_id: str,
    started_ms: int,
    ended_ms: int,
    state: str = "SUCCESS",
    attempt: int = 1,
    outputs: Payload | None = None,
) -> e.AttemptEnded:
    return e.AttemptEnded(
        task_run_id=task_run_id,
        attempt=attempt,
        epoch=1,
        state=state,
        started_us=START_US + started_ms * MS,
        ended_us=START_US + ended_ms * MS,
        outputs=outputs,
    )


def line(
    message: str,
    at_ms: int = 0,
    *,
    execution_id: str | None = "one",
    level: str = "INFO",
    task_id: str | None = "log",
    task_run_id: str | None = "run",
    trigger_id: str | None = None,
    attempt: int = 1,
    namespace: str = "company.team",
) -> LogEntry:
    """A line of a task's log."""
    return LogEntry(
        namespace=namespace,
        flow_id="hello",
        at_us=START_US + at_ms * MS,
        level=level,
        message=message,
        execution_id=execution_id,
        task_run_id=task_run_id,
        task_id=task_id,
        trigger_id=trigger_id,
        attempt=attempt,
        thread="worker_1",
    )


def metric(name: str, value: float, at_ms: int = 0, task_id: str = "log") -> MetricEntry:
    """A counter of a task run of execution `one`."""
    return MetricEntry(
        namespace="company.team",
        flow_id="hello",
        execution_id="one",
        task_run_id="run",
        task_id=task_id,
        type="counter",
        name=name,
        value=value,
        at_us=START_US + at_ms * MS,
        tags={"format": "csv"},
    )


class Progress:
    """What indexers told, to wait for."""

    def __init__(self) -> None:
        self._sequences: dict[str, int] = {}
        self._changed = threading.Condition()

    def __call__(self, sequences: Mapping[str, int]) -> None:
        with self._changed:
            self._sequences.update(sequences)
            self._changed.notify_all()

    def wait(self, execution_id: str, sequence: int) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._sequences.get(execution_id, 0) >= sequence, DEADLINE_S
            ), f"Expected event {sequence} of {execution_id}, but only {self._sequences} came."


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that nobody tells of."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "Expected it to hold in time, but it did not."
        time.sleep(0.01)


class Running:
    """An indexer in a thread."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self.thread = threading.Thread(target=indexer.run)
        self.thread.start()

    def stop(self) -> None:
        self._indexer.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


@contextmanager
def indexing(
    journal: Journal, progress: Callable[[Mapping[str, int]], None], member: str = "a"
) -> Iterator[Running]:
    indexer = Indexer(journal.log, journal.topics, journal.store, journal.clock, member)
    indexer.on_indexed(progress)
    running = Running(indexer)
    yield running
    running.stop()
