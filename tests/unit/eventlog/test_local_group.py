"""How partitions are spread over the members of a group."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tiercel_engine.eventlog.base import TopicPartition
from tiercel_engine.eventlog.local_group import assign

EIGHT = [TopicPartition("t", number) for number in range(8)]
T = frozenset({"t"})


def test_one_member_gets_everything() -> None:
    assert set(assign(EIGHT, {"a": T}, {}).values()) == {"a"}


def test_nobody_gets_anything_when_there_is_nobody() -> None:
    assert assign(EIGHT, {}, dict.fromkeys(EIGHT, "a")) == {}


def test_a_member_gets_only_the_topics_it_reads() -> None:
    other = TopicPartition("u", 0)

    assignment = assign([*EIGHT, other], {"a": T, "b": frozenset({"t", "u"})}, {})

    assert assignment[other] == "b"


def test_only_as_many_partitions_move_as_must() -> None:
    before = assign(EIGHT, {"a": T, "b": T}, {})

    after = assign(EIGHT, {"a": T, "b": T, "c": T}, before)

    assert sum(before[at] != after[at] for at in EIGHT) == 2


@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=6))
def test_however_members_come_and_go_the_spread_stays_even(history: list[set[str]]) -> None:
    current: dict[TopicPartition, str] = {}
    for names in history:
        current = assign(EIGHT, dict.fromkeys(names, T), current)

        loads = Counter(current.values())
        counts = [loads[name] for name in names]
        assert sum(counts) == len(EIGHT)
        assert max(counts) - min(counts) <= 1
