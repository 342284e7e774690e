"""What the contract tests of the event log share: unique topics, polling until, a recorder."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence

from tiercel_engine.eventlog.base import Consumer, EventLog, NewRecord, Record, TopicPartition
from tiercel_schemas.topics import Topic

#: How long anything may take before a test fails, in seconds. A broker's rebalance is the slowest.
PATIENCE_S = 90.0


def unique(name: str) -> str:
    """A name that no other test uses; a broker outlives them all."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def make_topic(log: EventLog, partitions: int = 1, **policy: bool | int) -> str:
    """Create a topic of its own for a test; its name."""
    name = unique("topic")
    compacted = bool(policy.get("compacted", False))
    log.create_topics([Topic(name, partitions, compacted, int(policy.get("retained_ms", -1)))])
    return name


def put(log: EventLog, topic: str, keys: Iterable[str], partition: int | None = None) -> None:
    """Append one record per key, its value the key's bytes, and wait until they are durable."""
    appender = log.appender()
    for key in keys:
        appender.append(NewRecord(topic, key, key.encode(), partition))
    appender.flush(PATIENCE_S)
    appender.close()


def take(consumer: Consumer, count: int) -> list[Record]:
    """Poll until `count` records came."""
    records: list[Record] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(records) < count:
        assert time.monotonic() < deadline_s, f"only {len(records)} of {count} records came"
        records += consumer.poll(count - len(records), 0.2)
    return records


def poll_until(consumers: Sequence[Consumer], done: Callable[[], bool]) -> list[Record]:
    """Poll all in turn until `done`; what they returned."""
    records: list[Record] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        for consumer in consumers:
            records += consumer.poll(100, 0.05)
    return records


def wait_until(done: Callable[[], bool]) -> None:
    """Ask again and again until `done`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s, "it did not happen in time"


def keys(records: Iterable[Record]) -> list[str]:
    return [record.key for record in records]


class Recorder:
    """A `RebalanceListener` that notes what it is told, and what is owned by then."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[TopicPartition, ...]]] = []
        self.owned: set[TopicPartition] = set()

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.calls.append(("assigned", tuple(sorted(partitions))))
        self.owned.update(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.calls.append(("revoked", tuple(sorted(partitions))))
        self.owned.difference_update(partitions)
