"""Sets of indices as bits: the same answers as Python's sets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel_engine.execution.index_set import (
    EMPTY,
    WORD_BITS,
    IndexSet,
    added,
    has,
    members,
    moved,
    removed,
    size,
    with_range,
)

indices = st.integers(0, 3 * WORD_BITS)
sets = st.frozensets(indices, max_size=30)


def bits(plain: frozenset[int]) -> IndexSet:
    words = EMPTY
    for index in plain:
        words = added(words, index)
    return words


@settings(deadline=None)
@given(plain=sets, index=indices)
def test_members_come_and_go(plain: frozenset[int], index: int) -> None:
    words = bits(plain)

    assert list(members(words)) == sorted(plain)
    assert list(members(words, index)) == sorted(i for i in plain if i >= index)
    assert size(words) == len(plain)
    assert has(words, index) == (index in plain)
    assert removed(words, index) == bits(plain - {index})


@settings(deadline=None)
@given(source=sets, target=sets, first=indices, count=st.integers(1, 2 * WORD_BITS))
def test_ranges_are_added_and_moved(
    source: frozenset[int], target: frozenset[int], first: int, count: int
) -> None:
    chosen = frozenset(range(first, first + count))

    assert with_range(bits(source), first, count) == bits(source | chosen)
    left, went = moved(bits(source), bits(target), first, first + count - 1)
    assert (left, went) == (bits(source - chosen), bits(target | (source & chosen)))


def test_a_set_that_empties_costs_nothing() -> None:
    words = with_range(EMPTY, 0, 10_000)
    for index in range(10_000):
        words = removed(words, index)

    assert words == EMPTY
