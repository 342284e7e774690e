"""Members of a local group that do not poll, and the bounds of waiting for them."""

from __future__ import annotations

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import PartitionsLost, ProgrammingError
from tiercel_engine.eventlog import local_group
from tiercel_engine.eventlog.base import NewRecord, TopicPartition
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas.topics import Topic


@pytest.fixture
def log() -> MemoryLog:
    opened = MemoryLog(FakeClock())
    opened.create_topics([Topic("t", 2)])
    return opened


def test_a_member_that_does_not_poll_keeps_its_partitions_for_a_while(log: MemoryLog) -> None:
    # given
    first = log.consumer("g", ["t"], "one", None)
    first.poll(1, 0.0)

    # when
    second = log.consumer("g", ["t"], "two", None)
    second.poll(1, 0.0)

    # then
    assert second.assignment() == frozenset()
    first.commit({TopicPartition("t", 0): 0, TopicPartition("t", 1): 0})


def test_a_member_that_does_not_poll_for_too_long_loses_what_others_shall_own(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(local_group, "HANDOVER_S", -1.0)
    first = log.consumer("g", ["t"], "one", None)
    first.poll(1, 0.0)
    second = log.consumer("g", ["t"], "two", None)

    # when
    second.poll(1, 0.0)
    (taken,) = second.assignment()

    # then
    with pytest.raises(PartitionsLost):
        first.commit({taken: 1})
    first.poll(1, 0.0)
    assert taken not in first.assignment()
    assert len(first.assignment()) == 1


def test_a_new_topic_is_shared_among_the_members_that_wait_for_it(log: MemoryLog) -> None:
    # given
    consumer = log.consumer("g", ["later"], "one", None)
    assert consumer.poll(1, 0.0) == []

    # when
    log.create_topics([Topic("later", 1)])
    log.appender().append(NewRecord("later", "k", b""))

    # then
    assert [record.key for record in consumer.poll(1, 0.0)] == ["k"]


def test_a_tail_cannot_commit(log: MemoryLog) -> None:
    tail = log.tail(["t"], from_beginning=True)

    with pytest.raises(ProgrammingError, match="has no group"):
        tail.commit({TopicPartition("t", 0): 1})
