"""Identifiers sort by time, and derived ones are always the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiercel_schemas.ids import (
    ID_LENGTH,
    derive_id,
    made_at_us,
    make_id,
    worker_id,
    worker_life,
)
from tiercel_schemas.topics import Topics, partition_for

TIMES = st.integers(0, 2**47).map(lambda ms: ms * 1_000)
CHANCE = st.integers(0, 2**80 - 1)


@given(TIMES, TIMES, CHANCE, CHANCE)
def test_ids_sort_by_the_millisecond_in_which_they_were_made(
    first: int, second: int, chance: int, other: int
) -> None:
    a, b = make_id(first, chance), make_id(second, other)

    assert len(a) == ID_LENGTH
    assert made_at_us(a) == first
    if first != second:
        assert (a < b) == (first < second)


def test_text_that_is_no_id_was_made_at_no_time() -> None:
    assert made_at_us("nope") is None
    assert made_at_us("!" * ID_LENGTH) is None


def test_the_same_parts_derive_the_same_id_and_others_another() -> None:
    assert derive_id("a", "b") == derive_id("a", "b")
    assert len({derive_id("a", "b"), derive_id("ab", ""), derive_id("a", "b", "")}) == 3
    assert len(derive_id("x")) == ID_LENGTH


def test_a_key_stays_on_its_partition_for_ever() -> None:
    keys = ["", "a", "main/company.team/hello", "02usyDNj93IJkTc5sbcVSX"]

    assert [partition_for(key, 8) for key in keys] == [0, 3, 7, 2]


def test_commands_and_executions_have_the_same_partitions() -> None:
    topics = Topics("x.", 5)

    assert topics.commands.partitions == topics.executions.partitions == 5
    assert topics.commands.name == "x.commands"
    assert len({topic.name for topic in topics.all()}) == len(topics.all())


def test_a_worker_has_one_instance_and_another_id_in_each_life() -> None:
    first, second = worker_id("worker-host-0", 7), worker_id("worker-host-0", 8)

    assert first != second
    assert worker_life(first) == ("worker-host-0", 7)
    assert worker_life("w@home") == ("w@home", 0)
