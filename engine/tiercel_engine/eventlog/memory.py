"""The log in memory, for tests and the deterministic simulation, with seeded faults.

The same partitions, groups, transactions and fencing as the other logs: only the storage differs.
Nothing runs in the background: an append is written within the call, hence one thread driving
everything gives the same history for the same seed. Follows what a producer that retries, a broker
that dies mid-commit and a group that rebalances do to their clients.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from tiercel_engine.clock import Clock
from tiercel_engine.errors import CommitUncertain, LogBusy
from tiercel_engine.eventlog.base import Appender, Delivered, NewRecord, Record, TopicPartition
from tiercel_engine.eventlog.local import LocalLog, Write
from tiercel_engine.eventlog.local_consumer import LocalConsumer
from tiercel_schemas.topics import Topic

#: How many appends may be held back at once.
DELAYED_MAX = 10_000

_OFFSET = attrgetter("offset")


class SimulatedCrash(BaseException):
    """The process died here. No handler of ordinary errors may catch it."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each fault is, from 0 to 1, at each chance it gets.

    Attributes:
        delay: an append stays invisible until a later append or poll; order is kept.
        duplicate: an append is written twice, as by a producer that retries.
        uncertain: a commit raises `CommitUncertain`; a coin decides whether it took place.
        crash: `SimulatedCrash` before or after a write or as a poll begins.
        rebalance: the polling member loses its partitions and gets them back.
        gap: a transaction leaves an unused offset behind, as Kafka's commit markers do.
    """

    delay: float = 0.0
    duplicate: float = 0.0
    uncertain: float = 0.0
    crash: float = 0.0
    rebalance: float = 0.0
    gap: float = 0.0


class MemoryLog(LocalLog):
    """An `EventLog` that forgets everything with its process.

    Args:
        clock: stamps the records.
        seed: of the faults; the same seed gives the same ones.
        faults: may be replaced at any time, as by a test that calms the storm at its end.
    """

    def __init__(self, clock: Clock, *, seed: int = 0, faults: Faults | None = None) -> None:
        super().__init__(MemoryStorage(), clock)
        self.faults = faults or Faults()
        self._random = random.Random(seed)
        self._delayed: deque[tuple[NewRecord, Delivered | None]] = deque()

    def appender(self) -> Appender:
        return MemoryAppender(self)

    def write(self, write: Write) -> None:
        self._crash_point()
        if write.owner and self._happens(self.faults.uncertain):
            if self._happens(0.5):
                super().write(write)
            raise CommitUncertain("Expected an answer to the commit, but none came (simulated)")
        super().write(write)
        if write.owner and self._happens(self.faults.gap):
            self._leave_gap({record.topic for record in write.records})
        self._crash_point()

    def append(self, record: NewRecord, delivered: Delivered | None) -> None:
        """Write `record` now, or hold it back."""
        self.check(record)
        if len(self._delayed) == DELAYED_MAX:
            raise LogBusy(f"Expected at most {DELAYED_MAX} delayed appends, but there are more")
        self._delayed.append((record, delivered))
        if not self._happens(self.faults.delay):
            self.settle()

    def settle(self) -> None:
        """Write every append that was held back."""
        while self._delayed:
            record, delivered = self._delayed.popleft()
            copies = 2 if self._happens(self.faults.duplicate) else 1
            self._append([record] * copies)
            if delivered is not None:
                delivered(None)

    def polling(self, consumer: LocalConsumer) -> None:
        self._crash_point()
        if self._delayed and not self._happens(self.faults.delay):
            self.settle()
        if consumer.group is not None and self._happens(self.faults.rebalance):
            self.force_rebalance(consumer)

    def force_rebalance(self, consumer: LocalConsumer) -> None:
        """Take all partitions from `consumer` at once: it loses them before it hears of it."""
        assert consumer.group is not None, "only a group member can lose partitions"
        with self.write_lock:
            consumer.group.strip(consumer.assignment())

    def _leave_gap(self, topics: Iterable[str]) -> None:
        with self.write_lock, self.tail_lock:
            for topic in topics:
                for lane in self.lanes(topic):
                    lane.end += 1

    def _crash_point(self) -> None:
        if self._happens(self.faults.crash):
            raise SimulatedCrash

    def _happens(self, probability: float) -> bool:
        # No draw for faults that are off: switching one on leaves the others' sequence alone.
        return probability > 0 and self._random.random() < probability


class MemoryAppender:
    """Appends within the call."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        self._log.append(record, delivered)

    def flush(self, timeout_s: float) -> None:
        self._log.settle()

    def close(self) -> None:
        self._log.settle()


class MemoryStorage:
    """Lists and dictionaries."""

    def __init__(self) -> None:
        self._records: dict[TopicPartition, list[Record]] = {}
        self._epochs: dict[str, int] = {}

    def topics(self) -> Iterable[Topic]:
        return ()

    def create_topic(self, topic: Topic) -> None:
        for number in range(topic.partitions):
            self._records[TopicPartition(topic.name, number)] = []

    def ends(self) -> Mapping[TopicPartition, int]:
        return {}

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        # The group itself keeps them; nothing outlives it here.
        return {}

    def next_epoch(self, owner: str) -> int:
        self._epochs[owner] = self._epochs.get(owner, 0) + 1
        return self._epochs[owner]

    def write(
        self,
        batches: Sequence[Sequence[Record]],
        group: str,
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        for batch in batches:
            self._records[TopicPartition(batch[0].topic, batch[0].partition)].extend(batch)

    def read(self, at: TopicPartition, start: int, end: int, limit: int) -> list[Record]:
        records = self._records[at]
        low = bisect_left(records, start, key=_OFFSET)
        high = bisect_left(records, end, low, key=_OFFSET)
        return records[low : min(high, low + limit)]

    def close(self) -> None:
        """Nothing to release."""
