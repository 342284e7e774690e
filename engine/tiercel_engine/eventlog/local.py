"""The log of one process: partitions, groups, fencing and tails, over a small `Storage`.

`embedded.SqliteLog` and `memory.MemoryLog` are this class with a different storage below.

How it works. Every write, whether from a transaction or from the appender, goes through
`LocalLog.write`: under the write lock it is checked (owner epoch, ownership of the partitions),
stamped with offsets, stored in one storage transaction and then published. Publishing puts the
records into the bounded in-memory tail of their lanes and wakes the consumers that wait for them:
a consumer that keeps up never touches the storage. Changes of partition ownership take the same
write lock, hence a commit is either wholly before or wholly after the loss of a partition.

Two locks, always taken in this order: the write lock (held while storing), the tail lock (held for
microseconds). Must not know: SQL, files, what the records mean.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from tiercel_engine.clock import Clock
from tiercel_engine.errors import (
    CommitUncertain,
    LogUnavailable,
    OwnerFenced,
    PartitionsLost,
    ProgrammingError,
    RecordTooLarge,
)
from tiercel_engine.eventlog.base import (
    RECORD_BYTES_MAX,
    Appender,
    Consumer,
    NewRecord,
    RebalanceListener,
    Record,
    TopicPartition,
    Transactions,
)
from tiercel_engine.eventlog.local_appender import BatchAppender
from tiercel_engine.eventlog.local_consumer import LocalConsumer
from tiercel_engine.eventlog.local_group import Group
from tiercel_schemas.topics import Topic, partition_for

#: Records and bytes of one lane kept in memory; up to twice that between two trims.
TAIL_RECORDS = 1_024
TAIL_BYTES = 1 << 20

_OFFSET = attrgetter("offset")

#: Records fetched from the storage at once by `LocalLog.read`.
READ_CHUNK = 500


class Storage(Protocol):
    """Where records, group offsets and owner epochs stay. Writes come from one thread at a time."""

    def topics(self) -> Iterable[Topic]: ...

    def create_topic(self, topic: Topic) -> None: ...

    def ends(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition; 0 where missing."""

    def group_offsets(self, group: str) -> dict[TopicPartition, int]: ...

    def next_epoch(self, owner: str) -> int:
        """Store and return an epoch above all earlier ones of `owner`."""

    def write(
        self,
        batches: Sequence[Sequence[Record]],
        group: str,
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        """Store records (one sequence per partition) and offsets of `group`, all or nothing."""

    def read(self, at: TopicPartition, start: int, end: int, limit: int) -> list[Record]:
        """At most `limit` records with offsets in [start, end). From any thread."""

    def close(self) -> None: ...


class Lane:
    """One partition: its end, and its newest records in memory."""

    __slots__ = ("at", "end", "readers", "tail", "tail_bytes", "tail_start")

    def __init__(self, at: TopicPartition, end: int) -> None:
        self.at = at
        self.end = end
        #: Every record with an offset of at least `tail_start` is in `tail`.
        self.tail_start = end
        self.tail: list[Record] = []
        self.tail_bytes = 0
        self.readers: set[LocalConsumer] = set()

    def extend(self, batch: Sequence[Record]) -> None:
        self.tail.extend(batch)
        self.tail_bytes += sum(len(record.value or b"") for record in batch)
        self.end = batch[-1].offset + 1
        if len(self.tail) > 2 * TAIL_RECORDS or self.tail_bytes > 2 * TAIL_BYTES:
            self._trim()

    def newest(self, start: int, limit: int) -> list[Record]:
        """Records from offset `start` on, which must not be below `tail_start`."""
        index = bisect_left(self.tail, start, key=_OFFSET)
        return self.tail[index : index + limit]

    def _trim(self) -> None:
        keep = size = 0
        for record in reversed(self.tail):
            size += len(record.value or b"")
            if keep == TAIL_RECORDS or size > TAIL_BYTES:
                size -= len(record.value or b"")
                break
            keep += 1
        self.tail = self.tail[len(self.tail) - keep :]
        self.tail_bytes = size
        self.tail_start = self.tail[0].offset if self.tail else self.end


class Write(msgspec.Struct, frozen=True):
    """What one storage transaction shall hold. `owner` is empty outside `Transactions`."""

    records: Sequence[NewRecord]
    consumed: Mapping[TopicPartition, int] = {}
    consumer: LocalConsumer | None = None
    owner: str = ""
    epoch: int = 0


class LocalLog:
    """An `EventLog` within one process."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self.write_lock = threading.RLock()
        self.tail_lock = threading.Lock()
        self._lanes: dict[str, list[Lane]] = {}
        self._groups: dict[str, Group] = {}
        self._epochs: dict[str, int] = {}
        self._appender = BatchAppender(self._append, self.check)
        ends = storage.ends()
        for topic in storage.topics():
            self._open_lanes(topic, ends)

    # ---- topics

    def create_topics(self, topics: Iterable[Topic]) -> None:
        with self.write_lock:
            fresh = [topic for topic in topics if topic.name not in self._lanes]
            for topic in fresh:
                self._storage.create_topic(topic)
                self._open_lanes(topic, {})
            if fresh:
                for group in self._groups.values():
                    group.rebalance(self.partitions())

    def partition_count(self, topic: str) -> int:
        return len(self.lanes(topic))

    def end_offset(self, topic: str, partition: int) -> int:
        with self.write_lock:
            return self.lane(TopicPartition(topic, partition)).end

    def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        with self.write_lock:
            return {lane.at: lane.end for topic in topics for lane in self.lanes(topic)}

    def group_offsets(self, group: str, topic: str) -> dict[TopicPartition, int]:
        with self.write_lock:
            joined = self._groups.get(group)
            stored = self._storage.group_offsets(group) if joined is None else joined.offsets
            return {lane.at: stored.get(lane.at, 0) for lane in self.lanes(topic)}

    def lanes(self, topic: str) -> list[Lane]:
        """Raises `ProgrammingError` when the topic was never created."""
        lanes = self._lanes.get(topic)
        if lanes is None:
            raise ProgrammingError(f"Expected topic {topic!r} to exist, but it was never created")
        return lanes

    def lane(self, at: TopicPartition) -> Lane:
        lanes = self.lanes(at.topic)
        if not 0 <= at.partition < len(lanes):
            raise ProgrammingError(
                f"Expected {at.topic!r} to have {at.partition + 1} partitions, but has {len(lanes)}"
            )
        return lanes[at.partition]

    def partitions(self) -> list[TopicPartition]:
        return [lane.at for lanes in self._lanes.values() for lane in lanes]

    def _open_lanes(self, topic: Topic, ends: Mapping[TopicPartition, int]) -> None:
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        self._lanes[topic.name] = [Lane(at, ends.get(at, 0)) for at in places]

    # ---- writing

    def appender(self) -> Appender:
        return self._appender.handle()

    def transactions(self, owner: str) -> Transactions:
        with self.write_lock:
            self._epochs[owner] = self._storage.next_epoch(owner)
            return LocalTransactions(self, owner, self._epochs[owner])

    def check(self, record: NewRecord) -> None:
        """Raises `RecordTooLarge`, or `ProgrammingError` for a place that does not exist."""
        if record.value is not None and len(record.value) > RECORD_BYTES_MAX:
            raise RecordTooLarge(
                f"Expected a value of at most {RECORD_BYTES_MAX} bytes for {record.topic!r}, "
                f"but it has {len(record.value)}"
            )
        lanes = self.lanes(record.topic)
        if record.partition is not None and not 0 <= record.partition < len(lanes):
            self.lane(TopicPartition(record.topic, record.partition))

    def write(self, write: Write) -> None:
        """Check, store and publish, all or nothing. The only way into the log."""
        with self.write_lock:
            self._permit(write)
            stamped = self._stamp(write.records)
            group = write.consumer.group if write.consumer is not None else None
            self._storage.write(list(stamped.values()), group.name if group else "", write.consumed)
            if group is not None:
                group.offsets.update(write.consumed)
            self._publish(stamped)

    def commit_offsets(
        self, consumer: LocalConsumer, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """Store offsets of the consumer's group. Raises `PartitionsLost`."""
        self.write(Write((), offsets, consumer))

    def _append(self, records: Sequence[NewRecord]) -> None:
        self.write(Write(records))

    def _permit(self, write: Write) -> None:
        if write.owner and self._epochs[write.owner] != write.epoch:
            raise OwnerFenced(f"Expected to be the only {write.owner!r}, but a newer one exists")
        if write.consumer is None:
            return
        for at in write.consumer.assignment() | write.consumed.keys():
            if not write.consumer.owns(at):
                raise PartitionsLost(f"Expected to own {at.topic}-{at.partition}, but lost it")

    def _stamp(self, records: Sequence[NewRecord]) -> dict[Lane, list[Record]]:
        now_ms = self._clock.now_us() // 1_000
        stamped: dict[Lane, list[Record]] = {}
        for new in records:
            lanes = self._lanes[new.topic]
            number = new.partition
            if number is None:
                number = partition_for(new.key, len(lanes))
            lane = lanes[number]
            batch = stamped.setdefault(lane, [])
            offset = lane.end + len(batch)
            batch.append(Record(new.topic, number, offset, new.key, new.value, now_ms, new.headers))
        return stamped

    def _publish(self, stamped: Mapping[Lane, Sequence[Record]]) -> None:
        with self.tail_lock:
            for lane, batch in stamped.items():
                lane.extend(batch)
                for reader in lane.readers:
                    reader.notify()

    # ---- reading

    def consumer(
        self, group: str, topics: Sequence[str], member: str, listener: RebalanceListener | None
    ) -> Consumer:
        with self.write_lock:
            joined = self._groups.get(group)
            if joined is None:
                joined = Group(group, self._storage.group_offsets(group))
                self._groups[group] = joined
            consumer = LocalConsumer(self, joined, member, frozenset(topics), listener)
            joined.join(consumer, self.partitions())
            return consumer

    def tail(self, topics: Sequence[str], from_beginning: bool) -> Consumer:
        with self.write_lock:
            lanes = [lane for topic in topics for lane in self.lanes(topic)]
            return self.tail_from({lane.at: 0 if from_beginning else lane.end for lane in lanes})

    def tail_from(self, positions: Mapping[TopicPartition, int]) -> Consumer:
        consumer = LocalConsumer(self, None, "", frozenset(), None)
        consumer.start(positions)
        return consumer

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[Record]:
        lane = self.lane(TopicPartition(topic, partition))
        with self.write_lock:
            stop = lane.end if end is None else min(end, lane.end)
        return self._read(lane, start, stop)

    def _read(self, lane: Lane, start: int, stop: int) -> Iterator[Record]:
        while start < stop:
            chunk = self.stored(lane, start, stop, READ_CHUNK)
            yield from chunk
            if len(chunk) < READ_CHUNK:
                return
            start = chunk[-1].offset + 1

    def stored(self, lane: Lane, start: int, end: int, limit: int) -> list[Record]:
        """At most `limit` records of [start, end), from the storage."""
        return self._storage.read(lane.at, start, end, limit)

    def polling(self, consumer: LocalConsumer) -> None:
        """Called as each `poll` begins; faults are put in here."""

    def close(self) -> None:
        self._appender.close()
        self._storage.close()


class LocalTransactions:
    """Transactions under one owner name and epoch."""

    def __init__(self, log: LocalLog, owner: str, epoch: int) -> None:
        self._log = log
        self._owner = owner
        self._epoch = epoch

    def commit(
        self,
        records: Sequence[NewRecord],
        consumed: Mapping[TopicPartition, int],
        consumer: Consumer,
    ) -> None:
        assert isinstance(consumer, LocalConsumer), "a consumer of this log is needed"
        for record in records:
            self._log.check(record)
        try:
            self._log.write(Write(records, consumed, consumer, self._owner, self._epoch))
        except LogUnavailable as error:
            raise CommitUncertain(str(error)) from error

    def close(self) -> None:
        """Nothing is held between commits."""
