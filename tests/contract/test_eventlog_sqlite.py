"""What only the embedded log promises: it outlives its process, keeps by age, locks its file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.eventlog_cases import PATIENCE_S, keys, put, take

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import LogUnavailable, OwnerFenced
from tiercel_engine.eventlog.base import NewRecord, TopicPartition
from tiercel_engine.eventlog.embedded import ROUND_RECORDS_MAX, SqliteLog
from tiercel_engine.eventlog.local import TAIL_RECORDS
from tiercel_schemas.topics import DAY_MS, Topic

Open = Callable[[], SqliteLog]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reopen(tmp_path: Path, clock: FakeClock) -> Iterator[Open]:
    """Close the log, when open, and open it again on the same file."""
    opened: list[SqliteLog] = []

    def open_again() -> SqliteLog:
        while opened:
            opened.pop().close()
        opened.append(SqliteLog(tmp_path / "log.db", clock))
        return opened[0]

    yield open_again
    while opened:
        opened.pop().close()


def test_everything_is_still_there_after_closing_and_opening(reopen: Open) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("t", 2), Topic("c", 1, compacted=True)])
    put(log, "t", ["a", "b", "c"], 1)
    put(log, "c", ["k"])
    consumer = log.consumer("g", ["t"], "m", None)
    take(consumer, 3)
    log.transactions("owner").commit(
        [NewRecord("t", "d", None, 1, {"h": b"1"})], {TopicPartition("t", 1): 2}, consumer
    )
    consumer.close()
    end = log.end_offset("t", 1)

    # when
    log = reopen()

    # then
    records = list(log.read("t", 1, 0))
    assert keys(records) == ["a", "b", "c", "d"]
    assert (records[3].value, records[3].headers) == (None, {"h": b"1"})
    assert (log.partition_count("t"), log.end_offset("t", 1)) == (2, end)
    assert keys(log.read("c", 0, 0)) == ["k"]
    again = log.consumer("g", ["t"], "m", None)
    assert keys(take(again, 2)) == ["c", "d"]
    again.close()


def test_an_owner_of_before_is_fenced_by_one_after_reopening(reopen: Open) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("t", 1)])
    log.transactions("owner")
    log = reopen()
    consumer = log.consumer("g", ["t"], "m", None)
    older = log.transactions("owner")

    # when
    newer = log.transactions("owner")

    # then
    with pytest.raises(OwnerFenced):
        older.commit([NewRecord("t", "k", b"")], {}, consumer)
    newer.commit([NewRecord("t", "k", b"")], {}, consumer)
    consumer.close()


def test_a_second_opening_of_the_file_is_refused(reopen: Open, tmp_path: Path) -> None:
    # given
    reopen()
    script = (
        "import sys; from pathlib import Path\n"
        "from tiercel_engine.clock import SystemClock\n"
        "from tiercel_engine.eventlog.embedded import SqliteLog\n"
        "SqliteLog(Path(sys.argv[1]), SystemClock())\n"
    )

    # when
    other = run_python(script, tmp_path / "log.db")
    _, stderr = other.communicate(timeout=PATIENCE_S)

    # then
    assert other.returncode == 1
    assert "LogUnavailable: Expected to be the only one to open the log" in stderr
    with pytest.raises(LogUnavailable, match="use Kafka for several"):
        SqliteLog(tmp_path / "log.db", FakeClock())


def test_a_killed_process_loses_nothing_that_it_acknowledged(reopen: Open, tmp_path: Path) -> None:
    # given
    script = (
        "import sys; from pathlib import Path\n"
        "from tiercel_engine.clock import SystemClock\n"
        "from tiercel_engine.eventlog.base import NewRecord\n"
        "from tiercel_engine.eventlog.embedded import SqliteLog\n"
        "from tiercel_schemas.topics import Topic\n"
        "log = SqliteLog(Path(sys.argv[1]), SystemClock())\n"
        "log.create_topics([Topic('t', 1)])\n"
        "appender = log.appender()\n"
        "for number in range(1_000_000):\n"
        "    appender.append(NewRecord('t', str(number), b'x' * 100))\n"
        "    appender.flush(10)\n"
        "    print(number, flush=True)\n"
    )
    other = run_python(script, tmp_path / "log.db")
    assert other.stdout is not None
    acknowledged = [int(other.stdout.readline()) for _ in range(300)][-1]

    # when
    other.kill()
    other.communicate()

    # then
    names = keys(reopen().read("t", 0, 0))
    assert names == [str(number) for number in range(len(names))]
    assert len(names) > acknowledged


def test_records_above_their_age_are_deleted_and_offsets_never_come_back(
    reopen: Open, clock: FakeClock
) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("short", 1, retained_ms=7 * DAY_MS), Topic("ever", 1)])
    put(log, "short", ["old1", "old2"])
    put(log, "ever", ["old"])
    clock.advance(6 * 86_400)
    put(log, "short", ["young"])

    # when
    clock.advance(2 * 86_400)
    assert log.maintain() == 2

    # then
    assert keys(log.read("short", 0, 0)) == ["young"]
    assert keys(log.read("ever", 0, 0)) == ["old"]

    # when all is gone and the log is opened again
    clock.advance(9 * 86_400)
    log.maintain()
    log = reopen()

    # then
    assert log.end_offset("short", 0) == 3
    put(log, "short", ["next"])
    assert [(r.key, r.offset) for r in log.read("short", 0, 0)] == [("next", 3)]


def test_opening_deletes_what_grew_too_old_meanwhile(reopen: Open, clock: FakeClock) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("short", 1, retained_ms=DAY_MS)])
    put(log, "short", ["old"])
    clock.advance(2 * 86_400)

    # when
    log = reopen()
    reopen_end = log.end_offset("short", 0)
    log.close()  # waits for the round that began with opening

    # then
    log = reopen()
    assert list(log.read("short", 0, 0)) == []
    assert log.end_offset("short", 0) == reopen_end == 1


def test_one_round_of_deleting_is_bounded(reopen: Open, clock: FakeClock) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("short", 1, retained_ms=DAY_MS)])
    put(log, "short", (str(number) for number in range(ROUND_RECORDS_MAX + 10)))
    clock.advance(2 * 86_400)

    # when
    rounds = [log.maintain(), log.maintain(), log.maintain()]

    # then
    assert rounds == [ROUND_RECORDS_MAX, 10, 0]


def test_a_compacted_topic_keeps_the_latest_record_of_each_key(
    reopen: Open, clock: FakeClock
) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("c", 2, compacted=True, retained_ms=DAY_MS)])
    for _ in range(3):
        put(log, "c", ["a", "b"], 0)
    put(log, "c", ["a"], 1)

    # when
    log = reopen()

    # then
    assert [(r.key, r.offset) for r in log.read("c", 0, 0)] == [("a", 4), ("b", 5)]
    assert keys(log.read("c", 1, 0)) == ["a"]
    clock.advance(100 * 86_400)
    log.maintain()
    assert keys(log.read("c", 0, 0)) == ["a", "b"]


def test_tombstones_go_after_a_day_and_their_offsets_never_come_back(
    reopen: Open, clock: FakeClock
) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("c", 1, compacted=True)])
    put(log, "c", ["a"])
    appender = log.appender()
    appender.append(NewRecord("c", "a", None))
    appender.close()
    assert [(r.key, r.value) for r in log.read("c", 0, 0)] == [("a", None)]

    # when
    clock.advance(2 * 86_400)
    assert log.maintain() == 1
    log = reopen()

    # then
    assert list(log.read("c", 0, 0)) == []
    assert log.end_offset("c", 0) == 2


def test_a_consumer_that_lags_behind_the_tail_misses_nothing(reopen: Open) -> None:
    # given
    log = reopen()
    log.create_topics([Topic("t", 2)])
    names = [f"{number:05}" for number in range(4 * TAIL_RECORDS)]
    consumer = log.consumer("g", ["t"], "m", None)
    assert consumer.poll(10, 0.0) == []

    # when
    put(log, "t", names, 0)
    put(log, "t", ["z"], 1)

    # then
    records = [record for _ in range(20) for record in consumer.poll(100, 0.0)]
    records += take(consumer, len(names) + 1 - len(records))
    assert [key for key in keys(records) if key != "z"] == names
    assert keys(records).index("z") < 1_000  # the lagging partition does not starve the other
    consumer.close()


def test_full_durability_flushes_each_commit(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "full.db", FakeClock(), durability="full")
    log.create_topics([Topic("t", 1)])
    put(log, "t", ["a"])
    assert keys(log.read("t", 0, 0)) == ["a"]
    log.close()


def run_python(script: str, *arguments: Path) -> subprocess.Popen[str]:
    """Another process with this one's module path."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{script}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
