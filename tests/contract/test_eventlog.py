"""Every event log through the same cases: records, tails, transactions."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from tests.contract.eventlog_cases import PATIENCE_S, keys, make_topic, put, take, unique

from tiercel_engine.errors import LogError, OwnerFenced, PartitionsLost, RecordTooLarge
from tiercel_engine.eventlog.base import (
    RECORD_BYTES_MAX,
    EventLog,
    NewRecord,
    Record,
    TopicPartition,
)
from tiercel_schemas.topics import Topic, partition_for


def test_records_of_a_partition_are_read_in_the_order_they_were_appended(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    names = [f"k{number}" for number in range(200)]

    # when
    put(log, topic, names)

    # then
    records = list(log.read(topic, 0, 0))
    assert keys(records) == names
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


def test_a_key_goes_to_the_partition_that_the_map_says(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=4)
    names = [f"key-{number}" for number in range(20)]

    # when
    put(log, topic, names)

    # then
    for partition in range(4):
        expected = [name for name in names if partition_for(name, 4) == partition]
        assert keys(log.read(topic, partition, 0)) == expected


def test_a_partition_that_is_given_wins_over_the_key(log: EventLog) -> None:
    topic = make_topic(log, partitions=4)

    put(log, topic, ["a", "b", "c"], partition=2)

    assert keys(log.read(topic, 2, 0)) == ["a", "b", "c"]


def test_headers_and_tombstones_come_back(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    appender = log.appender()

    # when
    appender.append(NewRecord(topic, "k", None, headers={"reason": b"gone", "empty": b""}))
    appender.append(NewRecord(topic, "é", b""))
    appender.flush(PATIENCE_S)
    appender.close()

    # then
    gone, empty = log.read(topic, 0, 0)
    assert (gone.key, gone.value) == ("k", None)
    assert dict(gone.headers or {}) == {"reason": b"gone", "empty": b""}
    assert gone.timestamp_ms > 0
    assert (empty.key, empty.value, empty.headers) == ("é", b"", None)


def test_creating_topics_twice_changes_nothing(log: EventLog) -> None:
    # given
    topic = Topic(unique("twice"), 3)
    log.create_topics([topic])
    put(log, topic.name, ["a"], partition=1)

    # when
    log.create_topics([topic])

    # then
    assert log.partition_count(topic.name) == 3
    assert keys(log.read(topic.name, 1, 0)) == ["a"]


def test_reading_goes_from_an_offset_up_to_another(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    put(log, topic, [str(number) for number in range(10)])
    records = list(log.read(topic, 0, 0))

    # when
    part = list(log.read(topic, 0, records[3].offset, records[7].offset))
    past = list(log.read(topic, 0, log.end_offset(topic, 0)))

    # then
    assert keys(part) == ["3", "4", "5", "6"]
    assert past == []


def test_the_end_offset_is_where_the_next_record_goes_at_the_earliest(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    put(log, topic, ["a", "b"])

    # when
    end = log.end_offset(topic, 0)
    put(log, topic, ["c"])

    # then
    assert keys(log.read(topic, 0, end)) == ["c"]


def test_the_ends_of_several_topics_are_those_of_each_partition(log: EventLog) -> None:
    # given
    first, second = make_topic(log, partitions=2), make_topic(log)
    put(log, first, ["a", "b"], 1)

    # when
    ends = log.ends([first, second])

    # then
    assert ends == {
        TopicPartition(topic, partition): log.end_offset(topic, partition)
        for topic, partition in ((first, 0), (first, 1), (second, 0))
    }
    assert ends[TopicPartition(first, 1)] > 0


def test_where_a_group_stands_shows_with_and_without_members(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    put(log, topic, ["a", "b", "c"], 1)
    at = TopicPartition(topic, 1)
    group = f"{topic}-readers"
    before = log.group_offsets(group, topic)

    # when
    with closing(log.consumer(group, [topic], "one", None)) as member:
        records = take(member, 3)
        member.commit({at: records[1].offset + 1})
        during = log.group_offsets(group, topic)
    after = log.group_offsets(group, topic)

    # then
    assert before == {TopicPartition(topic, 0): 0, at: 0}
    assert during == after == {TopicPartition(topic, 0): 0, at: records[1].offset + 1}


def test_a_tail_from_the_beginning_sees_everything_of_all_partitions(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=3)
    for partition in range(3):
        put(log, topic, [f"old{partition}"], partition)

    # when
    tail = log.tail([topic], from_beginning=True)
    old = take(tail, 3)
    put(log, topic, ["new"], 1)
    new = take(tail, 1)
    tail.close()

    # then
    assert sorted(keys(old)) == ["old0", "old1", "old2"]
    assert keys(new) == ["new"]


def test_a_tail_from_now_sees_only_what_comes(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    put(log, topic, ["old0"], 0)
    put(log, topic, ["old1"], 1)

    # when
    tail = log.tail([topic], from_beginning=False)
    put(log, topic, ["new0"], 0)
    put(log, topic, ["new1"], 1)

    # then
    assert sorted(keys(take(tail, 2))) == ["new0", "new1"]
    tail.close()


def test_a_tail_from_positions_reads_those_partitions_from_there(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    put(log, topic, ["a", "b", "c"], 0)
    put(log, topic, ["x"], 1)
    second = list(log.read(topic, 0, 0))[1]

    # when
    tail = log.tail_from({TopicPartition(topic, 0): second.offset})

    # then
    assert keys(take(tail, 2)) == ["b", "c"]
    assert tail.assignment() == {TopicPartition(topic, 0)}
    assert tail.poll(10, 0.0) == []
    tail.close()


def test_a_wake_ends_a_waiting_poll(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    tail = log.tail([topic], from_beginning=True)
    result: list[list[Record]] = []
    poller = threading.Thread(target=lambda: result.append(tail.poll(10, PATIENCE_S * 10)))

    # when
    poller.start()
    tail.wake()
    poller.join(PATIENCE_S)

    # then
    assert result == [[]]
    tail.close()


def test_paused_partitions_give_nothing_until_resumed(log: EventLog) -> None:
    # given
    topic = make_topic(log, partitions=2)
    put(log, topic, ["a0", "a1"], 0)
    put(log, topic, ["b0"], 1)
    tail = log.tail([topic], from_beginning=True)
    paused = TopicPartition(topic, 0)

    # when
    tail.pause([paused])
    put(log, topic, ["a2"], 0)
    put(log, topic, ["b1"], 1)
    during = take(tail, 2)
    nothing = tail.poll(10, 0.2)
    tail.resume([paused])
    after = take(tail, 3)
    tail.close()

    # then
    assert keys(during) == ["b0", "b1"]
    assert nothing == []
    assert keys(after) == ["a0", "a1", "a2"]


def test_many_threads_may_append_and_each_ones_order_is_kept(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    appender = log.appender()
    failures: list[Exception | None] = []

    def write(name: str) -> None:
        for number in range(100):
            appender.append(NewRecord(topic, name, b"%d" % number), failures.append)

    # when
    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    appender.flush(PATIENCE_S)
    appender.close()

    # then
    records = list(log.read(topic, 0, 0))
    for number in range(4):
        values = [record.value for record in records if record.key == f"t{number}"]
        assert values == [b"%d" % index for index in range(100)]
    assert failures == [None] * 400


def test_an_append_above_the_limit_is_refused_and_nothing_is_written(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    appender = log.appender()

    # when
    with pytest.raises(RecordTooLarge, match="at most 1000000 bytes"):
        appender.append(NewRecord(topic, "big", b"x" * (RECORD_BYTES_MAX + 1)))
    appender.append(NewRecord(topic, "just", b"x" * RECORD_BYTES_MAX))
    appender.flush(PATIENCE_S)
    appender.close()

    # then
    assert keys(log.read(topic, 0, 0)) == ["just"]


def test_a_transaction_writes_records_and_consumed_offsets_together(log: EventLog) -> None:
    # given
    source, target = make_topic(log, 2), make_topic(log, 2)
    put(log, source, ["a", "b", "c"], 1)
    group = unique("group")
    consumer = log.consumer(group, [source], "m", None)
    transactions = log.transactions(unique("owner"))
    taken = take(consumer, 3)

    # when
    transactions.commit(
        [NewRecord(target, "x", b"1", 0), NewRecord(target, "y", b"2", 1)],
        {TopicPartition(source, 1): taken[1].offset + 1},
        consumer,
    )
    consumer.close()

    # then
    assert keys(log.read(target, 0, 0)) == ["x"]
    assert keys(log.read(target, 1, 0)) == ["y"]
    again = log.consumer(group, [source], "m", None)
    assert keys(take(again, 1)) == ["c"]
    again.close()
    transactions.close()


def test_transactions_follow_each_other_and_their_offsets_grow(log: EventLog) -> None:
    # given
    source, target = make_topic(log), make_topic(log)
    put(log, source, [str(number) for number in range(20)])
    consumer = log.consumer(unique("group"), [source], "m", None)
    transactions = log.transactions(unique("owner"))

    # when
    for record in take(consumer, 20):
        consumed = {TopicPartition(source, 0): record.offset + 1}
        transactions.commit([NewRecord(target, record.key, b"")], consumed, consumer)
    transactions.commit([], {}, consumer)

    # then
    written = list(log.read(target, 0, 0))
    assert keys(written) == [str(number) for number in range(20)]
    assert [r.offset for r in written] == sorted({r.offset for r in written})
    transactions.close()
    consumer.close()


def test_a_transaction_with_a_record_above_the_limit_leaves_nothing(log: EventLog) -> None:
    # given
    source, target = make_topic(log), make_topic(log)
    put(log, source, ["a"])
    group = unique("group")
    consumer = log.consumer(group, [source], "m", None)
    transactions = log.transactions(unique("owner"))
    (record,) = take(consumer, 1)
    consumed = {TopicPartition(source, 0): record.offset + 1}

    # when
    with pytest.raises(RecordTooLarge):
        transactions.commit(
            [NewRecord(target, "ok", b""), NewRecord(target, "big", b"x" * (RECORD_BYTES_MAX + 1))],
            consumed,
            consumer,
        )

    # then
    assert list(log.read(target, 0, 0)) == []
    transactions.commit([NewRecord(target, "after", b"")], {}, consumer)
    assert keys(log.read(target, 0, 0)) == ["after"]
    consumer.close()
    again = log.consumer(group, [source], "m", None)
    assert keys(take(again, 1)) == ["a"]
    again.close()
    transactions.close()


def test_a_fenced_owner_cannot_commit_and_leaves_nothing(log: EventLog) -> None:
    # given
    source, target = make_topic(log), make_topic(log)
    put(log, source, ["a"])
    group, owner = unique("group"), unique("owner")
    consumer = log.consumer(group, [source], "m", None)
    (record,) = take(consumer, 1)
    consumed = {TopicPartition(source, 0): record.offset + 1}
    ghost = log.transactions(owner)
    ghost.commit([NewRecord(target, "before", b"")], {}, consumer)

    # when
    newer = log.transactions(owner)
    with pytest.raises(OwnerFenced):
        ghost.commit([NewRecord(target, "ghost", b"")], consumed, consumer)
    newer.commit([NewRecord(target, "newer", b"")], {}, consumer)

    # then
    assert keys(log.read(target, 0, 0)) == ["before", "newer"]
    ghost.close()
    consumer.close()
    again = log.consumer(group, [source], "m", None)
    assert keys(take(again, 1)) == ["a"]
    again.close()
    newer.close()


def test_a_commit_for_a_partition_that_is_not_owned_is_refused(log: EventLog) -> None:
    # given
    source, other, target = make_topic(log), make_topic(log), make_topic(log)
    put(log, source, ["a"])
    consumer = log.consumer(unique("group"), [source], "m", None)
    transactions = log.transactions(unique("owner"))
    take(consumer, 1)

    # when
    with pytest.raises(PartitionsLost):
        transactions.commit([NewRecord(target, "no", b"")], {TopicPartition(other, 0): 1}, consumer)

    # then
    assert list(log.read(target, 0, 0)) == []
    transactions.close()
    consumer.close()


def test_the_appender_tells_when_a_record_is_durable(log: EventLog) -> None:
    # given
    topic = make_topic(log)
    appender = log.appender()
    told = threading.Event()
    outcome: list[Exception | LogError | None] = []

    def delivered(error: Exception | None) -> None:
        outcome.append(error)
        told.set()

    # when
    appender.append(NewRecord(topic, "k", b"v"), delivered)
    assert told.wait(PATIENCE_S)

    # then
    assert outcome == [None]
    assert keys(log.read(topic, 0, 0)) == ["k"]
    appender.close()
