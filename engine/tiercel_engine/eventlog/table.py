"""The latest value per key of a compacted topic, in memory.

Reading (`refresh`, `catch_up`) belongs to one thread at a time and is serialised here; `get` and
`items` may be called from any thread and never wait for it. `catch_up` reads each partition to its
end as it is now; what the tail brings of that again is known by its offset and skipped. The log is
first asked when something is first read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from tiercel_engine.errors import LogUnavailable
from tiercel_engine.eventlog.base import Consumer, EventLog, Record, TopicPartition
from tiercel_schemas.codec import UnreadableRecord

V = TypeVar("V")

#: Records taken from the tail at once.
REFRESH_RECORDS = 1_000

#: Rounds of one `refresh`: a writer that never pauses must not keep the caller for ever.
REFRESH_ROUNDS_MAX = 20

#: Within this `catch_up` has read everything, unless it is given another bound.
CATCH_UP_TIMEOUT_S = 30.0


class Table(Generic[V]):
    """A topic as a mapping from key to decoded value.

    Args:
        log: where the topic is.
        topic: its full name.
        decode: bytes to value; raises `UnreadableRecord` for what it cannot read.
        on_change: called with the key and its new value, None when a tombstone removed it.
        on_poison: called with a record that cannot be read and why; the record is skipped, and
            the key keeps the value that it had.
    """

    def __init__(
        self,
        log: EventLog,
        topic: str,
        decode: Callable[[bytes], V],
        *,
        on_change: Callable[[str, V | None], None] | None = None,
        on_poison: Callable[[Record, UnreadableRecord], None] | None = None,
    ) -> None:
        self._log = log
        self._topic = topic
        self._decode = decode
        self._on_change = on_change
        self._on_poison = on_poison
        self._values: dict[str, V] = {}
        self._reading = threading.Lock()
        self._tail: Consumer | None = None
        #: The next offset to apply, per partition; 0 where missing.
        self._next: dict[int, int] = {}

    def get(self, key: str) -> V | None:
        return self._values.get(key)

    def items(self) -> Iterator[tuple[str, V]]:
        """Keys and values as they are now, whatever changes while they are gone through."""
        return iter(self._values.copy().items())

    def __len__(self) -> int:
        return len(self._values)

    def refresh(self) -> int:
        """Apply what has come in and return how many records that was.

        Does not wait, neither for the log nor for another thread that is reading already.
        """
        if not self._reading.acquire(blocking=False):
            return 0
        try:
            return self._read_tail()
        finally:
            self._reading.release()

    def catch_up(self, timeout_s: float = CATCH_UP_TIMEOUT_S) -> None:
        """Apply everything that the topic holds now.

        Raises:
            LogUnavailable: the log did not give it within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        ends = {p: self._log.end_offset(self._topic, p) for p in self._partitions()}
        with self._reading:
            behind = {p: end for p, end in ends.items() if self._next.get(p, 0) < end}
            for partition, end in behind.items():
                start = self._next.get(partition, 0)
                for record in self._log.read(self._topic, partition, start, end):
                    self._apply(record)
                # The last offsets may hold no record: commit markers, what was compacted away.
                self._next[partition] = end
                if time.monotonic() > deadline_s:
                    raise LogUnavailable(
                        f"Expected to read {self._topic} within {timeout_s} s, but it took longer."
                    )

    def close(self) -> None:
        with self._reading:
            if self._tail is not None:
                self._tail.close()
                self._tail = None

    def _partitions(self) -> range:
        return range(self._log.partition_count(self._topic))

    def _read_tail(self) -> int:
        if self._tail is None:
            self._tail = self._log.tail_from(
                {TopicPartition(self._topic, p): self._next.get(p, 0) for p in self._partitions()}
            )
        applied = 0
        for _ in range(REFRESH_ROUNDS_MAX):
            records = self._tail.poll(REFRESH_RECORDS, 0.0)
            applied += sum(self._apply(record) for record in records)
            if not records:
                break
        return applied

    def _apply(self, record: Record) -> bool:
        """Whether the record was new."""
        if record.offset < self._next.get(record.partition, 0):
            return False
        self._next[record.partition] = record.offset + 1
        if record.value is None:
            if self._values.pop(record.key, None) is not None:
                self._changed(record.key, None)
            return True
        try:
            value = self._decode(record.value)
        except UnreadableRecord as error:
            if self._on_poison is not None:
                self._on_poison(record, error)
            return True
        self._values[record.key] = value
        self._changed(record.key, value)
        return True

    def _changed(self, key: str, value: V | None) -> None:
        if self._on_change is not None:
            self._on_change(key, value)
