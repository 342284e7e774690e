"""The faults of the in-memory log: seeded, of the announced kind, and nothing worse."""

from __future__ import annotations

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import CommitUncertain, PartitionsLost
from tiercel_engine.eventlog.base import NewRecord, TopicPartition
from tiercel_engine.eventlog.memory import Faults, MemoryLog, SimulatedCrash
from tiercel_schemas.topics import Topic


def open_log(seed: int = 0, **faults: float) -> MemoryLog:
    log = MemoryLog(FakeClock(), seed=seed, faults=Faults(**faults))
    log.create_topics([Topic("in", 1), Topic("out", 1)])
    return log


def keys(log: MemoryLog, topic: str) -> list[str]:
    return [record.key for record in log.read(topic, 0, 0)]


def test_a_duplicated_append_is_written_twice_in_a_row() -> None:
    log = open_log(duplicate=1.0)

    log.appender().append(NewRecord("in", "a", b""))

    assert keys(log, "in") == ["a", "a"]


def test_a_delayed_append_comes_later_but_in_order() -> None:
    # given
    log = open_log(delay=1.0)
    appender = log.appender()

    # when
    appender.append(NewRecord("in", "a", b""))
    appender.append(NewRecord("in", "b", b""))

    # then
    assert keys(log, "in") == []
    log.faults = Faults()
    appender.append(NewRecord("in", "c", b""))
    assert keys(log, "in") == ["a", "b", "c"]


def test_a_poll_brings_delayed_appends_in() -> None:
    log = open_log(delay=0.5, seed=3)
    tail = log.tail(["in"], from_beginning=True)
    for number in range(20):
        log.appender().append(NewRecord("in", str(number), b""))

    seen = [record.key for _ in range(50) for record in tail.poll(1, 0.0)]

    assert seen == [str(number) for number in range(20)]


def test_an_uncertain_commit_took_place_wholly_or_not_at_all() -> None:
    # given
    outcomes = set()
    for seed in range(20):
        log = open_log(seed=seed, uncertain=1.0)
        log.appender().append(NewRecord("in", "a", b""))
        consumer = log.consumer("g", ["in"], "m", None)
        consumer.poll(10, 0.0)

        # when
        with pytest.raises(CommitUncertain):
            log.transactions("o").commit(
                [NewRecord("out", "x", b""), NewRecord("out", "y", b"")],
                {TopicPartition("in", 0): 1},
                consumer,
            )

        # then
        again = log.consumer("g", ["in"], "m", None)
        unread = len(again.poll(10, 0.0))
        outcomes.add((tuple(keys(log, "out")), unread))
    assert outcomes == {((), 1), (("x", "y"), 0)}


def test_a_crash_happens_before_or_after_a_write_never_in_its_middle() -> None:
    outcomes = set()
    for seed in range(30):
        log = open_log(seed=seed)
        consumer = log.consumer("g", ["in"], "m", None)
        log.faults = Faults(crash=0.5)
        crashed = False
        try:
            log.transactions("o").commit(
                [NewRecord("out", "x", b""), NewRecord("out", "y", b"")], {}, consumer
            )
        except SimulatedCrash:
            crashed = True
        outcomes.add((crashed, tuple(keys(log, "out"))))

    assert outcomes == {(True, ()), (True, ("x", "y")), (False, ("x", "y"))}


def test_a_crash_is_not_an_ordinary_error() -> None:
    assert not issubclass(SimulatedCrash, Exception)


def test_a_forced_rebalance_refuses_the_commit_and_gives_the_partitions_back() -> None:
    # given
    log = open_log()
    calls: list[str] = []

    class Listener:
        def assigned(self, partitions: object) -> None:
            calls.append("assigned")

        def revoked(self, partitions: object) -> None:
            calls.append("revoked")

    log.appender().append(NewRecord("in", "a", b""))
    consumer = log.consumer("g", ["in"], "m", Listener())
    transactions = log.transactions("o")
    consumer.poll(10, 0.0)

    # when
    log.force_rebalance(consumer)  # type: ignore[arg-type]
    with pytest.raises(PartitionsLost):
        transactions.commit([NewRecord("out", "x", b"")], {TopicPartition("in", 0): 1}, consumer)

    # then
    assert keys(log, "out") == []
    assert [record.key for record in consumer.poll(10, 0.0)] == ["a"]
    assert calls == ["assigned", "revoked", "assigned"]


def test_the_same_seed_gives_the_same_history() -> None:
    def history(seed: int) -> list[str]:
        log = open_log(seed=seed, duplicate=0.3, delay=0.3)
        appender = log.appender()
        for number in range(50):
            appender.append(NewRecord("in", str(number), b""))
        appender.flush(1)
        return keys(log, "in")

    assert history(7) == history(7)
    assert history(7) != history(8)


def test_a_transaction_may_leave_an_unused_offset_as_kafka_does() -> None:
    # given
    log = open_log(gap=1.0)
    consumer = log.consumer("g", ["in"], "m", None)
    transactions = log.transactions("o")
    tail = log.tail(["out"], from_beginning=True)

    # when
    for key in "ab":
        transactions.commit([NewRecord("out", key, b"")], {}, consumer)

    # then
    assert [record.offset for record in log.read("out", 0, 0)] == [0, 2]
    assert [record.offset for record in tail.poll(10, 0.0)] == [0, 2]
    assert tail.poll(10, 0.0) == []
