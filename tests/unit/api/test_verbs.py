"""Where the events of an execution lie, told in few words."""

from __future__ import annotations

from itertools import pairwise

from tiercel_api.execution_commands import GAP_RECORDS, RANGES_MAX, position_ranges
from tiercel_schemas.common import PositionRange


def test_near_offsets_share_a_range() -> None:
    far = 2 + GAP_RECORDS + 1

    assert position_ranges([1, 2, far]) == (PositionRange(1, 2), PositionRange(far, far))
    assert position_ranges([]) == ()


def test_a_long_history_has_few_ranges_that_hold_it_all() -> None:
    offsets = [n * (GAP_RECORDS + 1) for n in range(RANGES_MAX * 3)]

    ranges = position_ranges(offsets)

    assert len(ranges) <= RANGES_MAX
    assert (ranges[0].first, ranges[-1].last) == (offsets[0], offsets[-1])
    assert all(a.last < b.first for a, b in pairwise(ranges))
