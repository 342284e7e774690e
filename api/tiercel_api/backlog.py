"""How far readers of the log are behind, from where they stand and where the log ends. Pure.

Kafka's offsets count the marks of transactions, too: at rest an end lies beyond the last record.
So a reader that does not move is suspected only; whether there is a record between it and the end
must be looked at once, and that is remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tiercel_engine.eventlog.base import TopicPartition

#: Ends that are remembered of a partition. Of a longer backlog the oldest counts for the next.
ENDS_MAX = 300


class Lag(NamedTuple):
    """How far a reader is behind: records that wait, over Kafka at most, and the oldest's age."""

    records: int = 0
    seconds: float = 0.0


class Gap(NamedTuple):
    """Where a reader stands still although the log seems to go on."""

    at: TopicPartition
    position: int
    end: int


class _Lane(msgspec.Struct):
    """One partition: what is known of it.

    Attributes:
        ends: (when it was seen first, in microseconds; an end), each above the position.
        empty: from the first of these offsets up to the other there is no record.
        checked: the position at which the gap was looked into.
    """

    ends: deque[tuple[int, int]]
    position: int = -1
    empty: tuple[int, int] = (0, 0)
    checked: int = -1


class Backlog:
    """What one group of readers has before it."""

    def __init__(self) -> None:
        self._lanes: dict[TopicPartition, _Lane] = {}

    def look(
        self,
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        now_us: int,
    ) -> list[Gap]:
        """Take in where everybody stands; return the gaps that have to be looked into."""
        gaps = []
        for at, end in ends.items():
            lane = self._lanes.setdefault(at, _Lane(deque()))
            position = positions.get(at, 0)
            if lane.empty[0] <= position < lane.empty[1]:
                position = lane.empty[1]
            stands = position == lane.position
            self._pass(lane, position)
            if end <= position:
                continue
            if stands and lane.checked != position:
                gaps.append(Gap(at, position, end))
            if len(lane.ends) == ENDS_MAX:
                lane.ends[-1] = (lane.ends[-1][0], end)
            elif not lane.ends or end > lane.ends[-1][1]:
                lane.ends.append((now_us, end))
        return gaps

    def _pass(self, lane: _Lane, position: int) -> None:
        lane.position = position
        while lane.ends and lane.ends[0][1] <= position:
            lane.ends.popleft()

    def found(self, gap: Gap, at_us: int | None) -> None:
        """What a gap holds: a record of that time first; None: nothing."""
        lane = self._lanes[gap.at]
        if lane.position != gap.position:
            return
        if at_us is None:
            lane.empty = (gap.position, gap.end)
            self._pass(lane, gap.end)
        else:
            lane.checked = gap.position
            if lane.ends and at_us < lane.ends[0][0]:
                lane.ends[0] = (at_us, lane.ends[0][1])

    def lag(self, now_us: int) -> Lag:
        """How far behind they are, by what was looked at last."""
        waiting = [lane for lane in self._lanes.values() if lane.ends]
        if not waiting:
            return Lag()
        records = sum(lane.ends[-1][1] - lane.position for lane in waiting)
        oldest_us = min(lane.ends[0][0] for lane in waiting)
        return Lag(records, max(0, now_us - oldest_us) / 1_000_000)
