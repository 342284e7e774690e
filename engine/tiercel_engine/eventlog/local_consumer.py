"""A consumer of the log of one process: positions, rebalancing, waiting.

Records come from the lanes' tails in memory, and from the storage only while the consumer lags
behind those. Lanes take turns, so a lane that lags cannot starve the others, nor they it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tiercel_engine.errors import OwnerFenced, ProgrammingError
from tiercel_engine.eventlog.base import RebalanceListener, Record, TopicPartition
from tiercel_engine.eventlog.local_group import Group

if TYPE_CHECKING:
    from tiercel_engine.eventlog.local import Lane, LocalLog

#: How often a member that waits for a partition looks whether its owner is late, in seconds.
HANDOVER_CHECK_S = 0.5


class LocalConsumer:
    """Reads lanes: those its group gives it, or the ones given to `start`."""

    def __init__(
        self,
        log: LocalLog,
        group: Group | None,
        name: str,
        topics: frozenset[str],
        listener: RebalanceListener | None,
    ) -> None:
        self.name = name
        self.topics = topics
        self.group = group
        self._log = log
        self._listener = listener
        self._ready = threading.Condition(log.tail_lock)
        self._waiting = self._woken = self._fenced = self._closed = False
        self._generation = 0
        self._awaits_handover = False
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._lanes: list[Lane] = []
        self._turn = 0

    # ---- called by the consumer's own thread

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        deadline_s = time.monotonic() + timeout_s
        self._log.polling(self)
        while True:
            self._settle()
            with self._log.tail_lock:
                if self._woken:
                    self._woken = False
                    return []
                batch, cold = self._take(max_records)
                if batch:
                    return batch
                if cold is None and not self._wait(deadline_s):
                    return []
            if cold is not None and (batch := self._fetch(cold, max_records)):
                return batch

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.group is None:
            raise ProgrammingError("Expected a group member to commit, but this one has no group")
        self._log.commit_offsets(self, offsets)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(self._positions.keys() & set(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._positions)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        mine = sorted(self._positions)
        self._drop(mine)
        if self.group is None:
            return
        if mine and self._listener is not None:
            self._listener.revoked(mine)
        with self._log.write_lock:
            self.group.leave(self, self._log.partitions())

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these lanes too, each from its given offset."""
        lanes = [self._log.lane(at) for at in positions]
        with self._log.tail_lock:
            self._positions.update(positions)
            self._lanes.extend(lanes)
            for lane in lanes:
                lane.readers.add(self)

    # ---- called by others

    def wake(self) -> None:
        with self._log.tail_lock:
            self._woken = True
            self.notify()

    def notify(self) -> None:
        """Something was appended or has changed. Called with the tail lock held."""
        if self._waiting:
            self._waiting = False
            self._ready.notify()

    def group_changed(self) -> None:
        with self._log.tail_lock:
            self.notify()

    def fence(self) -> None:
        self._fenced = True
        self.group_changed()

    def owns(self, at: TopicPartition) -> bool:
        """Whether a commit for `at` is allowed. Called with the write lock held."""
        return self.group is not None and at in self._positions and self.group.owns(self, at)

    # ---- rebalancing

    def _settle(self) -> None:
        """Bring what we read in line with what the group wants; runs the listener."""
        if self._closed:
            raise ProgrammingError("Expected an open consumer, but it is closed")
        if self._fenced:
            raise OwnerFenced(f"Expected to be the only member {self.name!r}, but a newer joined")
        group = self.group
        if group is None or (self._generation == group.generation and not self._awaits_handover):
            return
        with self._log.write_lock:
            self._generation = group.generation
            wanted = group.wanted(self)
            leaving = sorted(
                at for at in self._positions if at not in wanted or not group.owns(self, at)
            )
        if leaving:
            self._drop(leaving)
            if self._listener is not None:
                self._listener.revoked(leaving)
            with self._log.write_lock:
                group.release(self, leaving)
        with self._log.write_lock:
            taken = sorted(group.take(self))
            self._awaits_handover = not all(group.owns(self, at) for at in group.wanted(self))
            self.start({at: group.offsets.get(at, 0) for at in taken})
        if taken and self._listener is not None:
            self._listener.assigned(taken)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        gone = set(partitions)
        with self._log.tail_lock:
            for lane in self._lanes:
                if lane.at in gone:
                    lane.readers.discard(self)
            self._lanes = [lane for lane in self._lanes if lane.at not in gone]
            self._paused -= gone
            for at in gone:
                del self._positions[at]

    # ---- reading

    def _take(self, max_records: int) -> tuple[list[Record], Lane | None]:
        """What the tails hold, lanes in turn; or the lane whose turn it is but whose tail is past.

        Called with the tail lock held.
        """
        batch: list[Record] = []
        for step in range(len(self._lanes)):
            turn = (self._turn + step) % len(self._lanes)
            lane = self._lanes[turn]
            at = lane.at
            position = self._positions[at]
            if position >= lane.end or at in self._paused:
                continue
            if position < lane.tail_start:
                self._turn = turn
                return batch, None if batch else lane
            records = lane.newest(position, max_records - len(batch))
            batch += records
            if len(batch) == max_records:
                self._positions[at] = records[-1].offset + 1
                self._turn = turn + 1
                return batch, None
            self._positions[at] = lane.end
        return batch, None

    def _fetch(self, lane: Lane, max_records: int) -> list[Record]:
        """Records that the lane's tail no longer holds."""
        end = lane.end
        at = lane.at
        records = self._log.stored(lane, self._positions[at], end, max_records)
        full = len(records) == max_records
        self._positions[at] = records[-1].offset + 1 if full else end
        self._turn += 1
        return records

    def _wait(self, deadline_s: float) -> bool:
        """Wait for a change; False once the deadline has passed."""
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            return False
        if self._fenced or (self.group and self._generation != self.group.generation):
            return True
        if self._awaits_handover:
            remaining_s = min(remaining_s, HANDOVER_CHECK_S)
        self._waiting = True
        self._ready.wait(remaining_s)
        self._waiting = False
        return True
