"""Records that wait because the schema registry is away: their partition waits with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tiercel_engine.clock import Clock
from tiercel_engine.eventlog.base import Record, TopicPartition

#: How often the registry is asked again.
RETRY_US = 1_000_000


class Waiting:
    """Per partition the records that were read and not taken yet, in order; at most one batch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[TopicPartition, deque[Record]] = {}
        self._retry_us = 0

    def __contains__(self, lane: TopicPartition) -> bool:
        return lane in self._records

    def hold(self, record: Record) -> TopicPartition:
        """Keep a record for later; its partition is to be paused."""
        lane = TopicPartition(record.topic, record.partition)
        self._records.setdefault(lane, deque()).append(record)
        self._retry_us = self._clock.now_us() + RETRY_US
        return lane

    def drop(self, lane: TopicPartition) -> None:
        """The partition is somebody else's now, who reads its records again."""
        self._records.pop(lane, None)

    def clear(self) -> None:
        self._records.clear()

    def due(self) -> Iterator[tuple[TopicPartition, list[Record]]]:
        """Take everything out once it is time to try again; `hold` what still has to wait."""
        if self._records and self._clock.now_us() >= self._retry_us:
            taken, self._records = self._records, {}
            yield from ((lane, list(records)) for lane, records in taken.items())
