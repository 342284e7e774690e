"""Every event log through the same cases: groups, rebalances, members that lose partitions."""

from __future__ import annotations

import pytest
from tests.contract.eventlog_cases import (
    Recorder,
    keys,
    make_topic,
    poll_until,
    put,
    take,
    unique,
)

from tiercel_engine.errors import OwnerFenced, PartitionsLost
from tiercel_engine.eventlog.base import EventLog, NewRecord, TopicPartition


def test_a_member_is_told_of_its_partitions_before_their_records(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    put(log, topic, ["a"], 0)
    put(log, topic, ["b"], 1)
    recorder = Recorder()
    consumer = log.consumer(unique("group"), [topic], "m", recorder)

    # when
    records = take(consumer, 2)

    # then
    assert sorted(keys(records)) == ["a", "b"]
    assert recorder.owned == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    assert consumer.assignment() == recorder.owned
    consumer.close()
    assert recorder.owned == set()


def test_two_groups_each_read_everything(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    put(log, topic, ["a", "b"])

    # when
    first = log.consumer(unique("group"), [topic], "m", None)
    second = log.consumer(unique("group"), [topic], "m", None)

    # then
    assert keys(take(first, 2)) == keys(take(second, 2)) == ["a", "b"]
    first.close()
    second.close()


def test_a_group_goes_on_at_its_committed_offsets(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    put(log, topic, ["a", "b", "c"])
    group = unique("group")
    consumer = log.consumer(group, [topic], "m", None)
    records = take(consumer, 3)

    # when
    consumer.commit({TopicPartition(topic, 0): records[0].offset + 1})
    consumer.close()

    # then
    again = log.consumer(group, [topic], "m", None)
    assert keys(take(again, 2)) == ["b", "c"]
    again.close()


def test_partitions_are_split_among_members_and_taken_over_on_close(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=4)
    everything = {TopicPartition(topic, partition) for partition in range(4)}
    group = unique("group")
    first_told, second_told = Recorder(), Recorder()
    first = log.consumer(group, [topic], "one", first_told)
    poll_until([first], lambda: first_told.owned == everything)

    # when a second member joins
    second = log.consumer(group, [topic], "two", second_told)
    poll_until([first, second], lambda: len(first_told.owned) == len(second_told.owned) == 2)

    # then they share
    assert first_told.owned | second_told.owned == everything
    assert second.assignment() == second_told.owned

    # when the first leaves
    first.close()
    poll_until([second], lambda: second_told.owned == everything)

    # then the other has it all, and was never told of a partition twice
    assert first_told.owned == set()
    told = [at for what, batch in second_told.calls if what == "assigned" for at in batch]
    assert len(told) == len(set(told))
    second.close()


def test_a_new_owner_starts_where_the_old_one_committed(log: EventLog) -> None:
    # given
    topic, target = make_topic(log, partitions=2), make_topic(log)
    put(log, topic, ["a0", "a1"], 0)
    put(log, topic, ["b0", "b1"], 1)
    group = unique("group")
    first = log.consumer(group, [topic], "one", None)
    transactions = log.transactions(unique("owner"))
    records = take(first, 4)
    seconds = {TopicPartition(r.topic, r.partition): r.offset for r in records if r.key[1] == "1"}
    transactions.commit([NewRecord(target, "x", b"")], seconds, first)

    # when
    second_told = Recorder()
    second = log.consumer(group, [topic], "two", second_told)
    poll_until([first], lambda: len(first.assignment()) == 2)
    seen = poll_until([first, second], lambda: len(second_told.owned) == 1)
    (mine,) = second_told.owned
    if not seen:
        seen = take(second, 1)

    # then
    assert keys(seen) == ["a1" if mine.partition == 0 else "b1"]
    first.close()
    second.close()
    transactions.close()


def test_a_member_that_lost_its_partition_cannot_commit(log: EventLog) -> None:
    # given
    topic, target = make_topic(log, partitions=2), make_topic(log)
    put(log, topic, ["a"], 0)
    put(log, topic, ["b"], 1)
    group = unique("group")
    told = Recorder()
    first = log.consumer(group, [topic], "one", told)
    transactions = log.transactions(unique("owner"))
    consumed = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in take(first, 2)}

    # when
    second = log.consumer(group, [topic], "two", None)
    poll_until([first, second], lambda: len(told.owned) == 1 and len(second.assignment()) == 1)
    (kept,) = told.owned
    (lost,) = consumed.keys() - {kept}
    with pytest.raises(PartitionsLost):
        transactions.commit([NewRecord(target, "lost", b"")], {lost: consumed[lost]}, first)
    with pytest.raises(PartitionsLost):
        first.commit({lost: consumed[lost]})
    transactions.commit([NewRecord(target, "kept", b"")], {kept: consumed[kept]}, first)

    # then
    assert keys(log.read(target, 0, 0)) == ["kept"]
    first.close()
    second.close()
    transactions.close()


@pytest.mark.parametrize("has_consumed", [True, False])
def test_a_member_that_comes_again_takes_its_place_and_fences_the_old_one(
    log: EventLog, has_consumed: bool
) -> None:
    # given
    topic, target = make_topic(log), make_topic(log)
    put(log, topic, ["a"])
    group = unique("group")
    ghost = log.consumer(group, [topic], "same", None)
    transactions = log.transactions(unique("owner"))
    (record,) = take(ghost, 1)
    consumed = {TopicPartition(topic, 0): record.offset + 1} if has_consumed else {}

    # when
    newer = log.consumer(group, [topic], "same", None)
    again = take(newer, 1)

    # then
    assert keys(again) == ["a"]
    with pytest.raises(PartitionsLost):
        transactions.commit([NewRecord(target, "ghost", b"")], consumed, ghost)
    with pytest.raises(OwnerFenced):
        poll_until([ghost], lambda: False)
    assert list(log.read(target, 0, 0)) == []
    ghost.close()
    newer.close()
    transactions.close()


def test_a_commit_that_consumed_nothing_moves_no_offset(log: EventLog) -> None:
    # given
    topic, target = make_topic(log), make_topic(log)
    put(log, topic, ["a", "b", "c"])
    group = unique("group")
    consumer = log.consumer(group, [topic], "m", None)
    transactions = log.transactions(unique("owner"))
    records = take(consumer, 3)

    # when before and after the first consumed offset is stored
    transactions.commit([NewRecord(target, "timer", b"")], {}, consumer)
    at_b = {TopicPartition(topic, 0): records[0].offset + 1}
    transactions.commit([NewRecord(target, "record", b"")], at_b, consumer)
    transactions.commit([NewRecord(target, "timer again", b"")], {}, consumer)
    consumer.close()

    # then
    again = log.consumer(group, [topic], "m", None)
    assert keys(take(again, 2)) == ["b", "c"]
    assert keys(log.read(target, 0, 0)) == ["timer", "record", "timer again"]
    again.close()
    transactions.close()


def test_a_paused_partition_stays_paused_over_a_rebalance_that_keeps_it(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    group = unique("group")
    told = Recorder()
    first = log.consumer(group, [topic], "one", told)
    poll_until([first], lambda: len(told.owned) == 2)
    first.pause(told.owned)
    put(log, topic, ["a"], 0)
    put(log, topic, ["b"], 1)

    # when
    second = log.consumer(group, [topic], "two", None)
    seen = poll_until(
        [first, second], lambda: len(told.owned) == 1 and len(second.assignment()) == 1
    )
    seen += first.poll(10, 0.2)

    # then
    (kept,) = told.owned
    assert [record for record in seen if record.partition == kept.partition] == []
    first.resume(told.owned)
    assert keys(take(first, 1)) == ["a" if kept.partition == 0 else "b"]
    second.close()
    first.close()
