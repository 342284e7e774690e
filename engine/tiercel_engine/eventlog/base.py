"""The event log's port: ordered, partitioned, durable records.

Every role meets the others in a topic, through this protocol. Three adapters keep it, and one
contract suite (`tests/contract/test_eventlog.py`) holds all three to it: `kafka.KafkaLog`,
`embedded.SqliteLog` and `memory.MemoryLog`. No caller knows which log is behind it.

What each adapter promises:

1. Records of one partition have growing offsets and are read in that order by everyone.
2. A record appended is read by consumers only once it is durable; one of a transaction only once
   that transaction has committed ("read committed"). An aborted transaction leaves nothing.
3. `Transactions.commit` writes its records and the consumed offsets together or not at all.
4. Opening `transactions(owner)` fences every earlier holder of that owner name: its next commit
   raises `OwnerFenced` and leaves nothing. A commit of a consumer that no longer owns what it
   was assigned raises `PartitionsLost` and leaves nothing, even if it consumed nothing.
5. A value above `RECORD_BYTES_MAX` is refused with `RecordTooLarge` before anything is written.

Offsets may have gaps. A topic or partition that was never created is a `ProgrammingError`; a log
that does not answer in time is `LogUnavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tiercel_schemas.topics import Topic

#: The largest value of one record. Kafka's own default for a message is 1,048,588 bytes with its
#: framing; what is larger belongs in internal storage (claim check).
RECORD_BYTES_MAX = 1_000_000

#: Called once per appended record: None when it is durable, else why it is not.
Delivered = Callable[[Exception | None], None]


class TopicPartition(NamedTuple):
    """One ordered lane of a topic."""

    topic: str
    partition: int


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. `partition` None means `topics.partition_for(key, count)`."""

    topic: str
    key: str
    value: bytes | None
    partition: int | None = None
    headers: Mapping[str, bytes] | None = None


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. `value` None is a tombstone; `timestamp_ms` is when it was appended."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None
    timestamp_ms: int
    headers: Mapping[str, bytes] | None = None


class RebalanceListener(Protocol):
    """What a group member does when its partitions change.

    Runs in the member's thread, inside `poll` or `close`. The new owner of a partition gets it only
    after `revoked` has returned here, unless this member did not poll for too long.
    """

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are now ours, before any of their records is returned by `poll`."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are no longer ours; a commit for them would be refused."""


class Consumer(Protocol):
    """A reader of topics. Belongs to one thread, except for `wake`."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return what is there, at most `max_records`; wait up to `timeout_s` for the first.

        Raises:
            OwnerFenced: a newer member of the same group and name has joined. Close this one.
        """

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store the next offset to read per partition for the group, without a transaction.

        Raises:
            PartitionsLost: one of the partitions is no longer this member's; nothing was stored.
        """

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Return no records of these partitions until `resume`."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def assignment(self) -> frozenset[TopicPartition]: ...

    def wake(self) -> None:
        """Make a waiting `poll` return now. From any thread."""

    def close(self) -> None:
        """Leave the group at once, so that others take the partitions over.

        The listener is told that the partitions are revoked.
        """


class Appender(Protocol):
    """Appends outside transactions, in batches behind the scenes. Thread-safe."""

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        """Queue one record; order per partition is the order of the calls.

        Raises:
            RecordTooLarge: its value is above `RECORD_BYTES_MAX`.
            LogBusy: the bounded queue is full; try again after `delivered` calls came in.
        """

    def flush(self, timeout_s: float) -> None:
        """Wait until everything queued is durable. Raises `LogUnavailable` on timeout."""

    def close(self) -> None: ...


class Transactions(Protocol):
    """The right to write transactions under one owner name. Belongs to one thread."""

    def commit(
        self,
        records: Sequence[NewRecord],
        consumed: Mapping[TopicPartition, int],
        consumer: Consumer,
    ) -> None:
        """Write `records` and the consumer's next offsets (`consumed`) as one atom.

        `consumed` may be empty, as after a timer. Whatever it holds, nothing is written for a
        consumer that the group has passed over.

        Raises:
            RecordTooLarge: one value is too large; nothing was written.
            OwnerFenced: a newer holder of this owner name exists; nothing was written.
            PartitionsLost: the group gave one of the partitions away; nothing was written.
            CommitUncertain: it failed otherwise, and may or may not have committed. Drop this
                object, open a new one under the same owner name, and read the state back.
        """

    def close(self) -> None: ...


class EventLog(Protocol):
    """The log. Thread-safe; each consumer and each `Transactions` is for one thread."""

    def create_topics(self, topics: Iterable[Topic]) -> None:
        """Create what does not exist yet, with its partitions and clean-up policy. Idempotent."""

    def partition_count(self, topic: str) -> int: ...

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset that the next record will get at the earliest, open transactions included."""

    def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """`end_offset` of every partition of these topics, asked for together."""

    def group_offsets(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """The next offset that a group will read of each partition; 0 where it stored none.

        Whether or not the group has a member now.
        """

    def appender(self) -> Appender: ...

    def transactions(self, owner: str) -> Transactions:
        """Open transactions under `owner` and fence every earlier holder of that name."""

    def consumer(
        self, group: str, topics: Sequence[str], member: str, listener: RebalanceListener | None
    ) -> Consumer:
        """Join `group`; start at its stored offsets, else at the beginning.

        `member` is a stable name: a restarted process under the same name takes its place back
        without waiting for the old one to time out.
        """

    def tail(self, topics: Sequence[str], from_beginning: bool) -> Consumer:
        """Read all partitions of `topics` without a group, from the start or from now on."""

    def tail_from(self, positions: Mapping[TopicPartition, int]) -> Consumer:
        """Read exactly these partitions without a group, each from its given offset."""

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[Record]:
        """Read committed records from `start` up to, but not including, `end`.

        Without `end`: to the partition's end as it is now. It waits (bounded by the log's
        transaction timeout) for transactions that are open below that end, so that a new owner
        sees everything its predecessor may still have committed.
        """

    def close(self) -> None: ...
