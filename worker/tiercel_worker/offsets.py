"""How far the jobs of each partition are answered for, so that only those are committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tiercel_engine.eventlog.base import TopicPartition


class Taken:
    """One record that was read. Mark it done, from any thread, once it is answered for."""

    __slots__ = ("is_done", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.is_done = False

    def done(self) -> None:
        self.is_done = True


class Offsets:
    """The records read and not committed yet. Belongs to the main loop."""

    def __init__(self) -> None:
        self._taken: dict[TopicPartition, deque[Taken]] = {}

    def take(self, at: TopicPartition, offset: int) -> Taken:
        """Note a record that was read."""
        taken = Taken(offset)
        self._taken.setdefault(at, deque()).append(taken)
        return taken

    def committable(self) -> dict[TopicPartition, int]:
        """The next offset per partition below which everything is done; forgets those."""
        offsets = {}
        for at, queue in self._taken.items():
            while queue and queue[0].is_done:
                offsets[at] = queue.popleft().offset + 1
        return offsets

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are somebody else's now."""
        for at in partitions:
            self._taken.pop(at, None)
