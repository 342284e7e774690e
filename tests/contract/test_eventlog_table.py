"""The table over a compacted topic, on every log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.contract.eventlog_cases import PATIENCE_S, make_topic, wait_until

from tiercel_engine.eventlog.base import Appender, EventLog, NewRecord, Record
from tiercel_engine.eventlog.table import Table
from tiercel_schemas.codec import UnreadableRecord


class Case:
    """A topic, an appender on it and a table of its values as upper-case text."""

    def __init__(self, log: EventLog) -> None:
        self.topic = make_topic(log, 2, compacted=True)
        self.changes: list[tuple[str, str | None]] = []
        self.poison: list[tuple[Record, UnreadableRecord]] = []
        self.table = Table(
            log,
            self.topic,
            self._decode,
            on_change=lambda key, value: self.changes.append((key, value)),
            on_poison=lambda record, error: self.poison.append((record, error)),
        )
        self._appender: Appender = log.appender()

    def put(self, key: str, value: bytes | None) -> None:
        self._appender.append(NewRecord(self.topic, key, value))
        self._appender.flush(PATIENCE_S)

    def refresh_until(self, done: Callable[[], bool]) -> None:
        wait_until(lambda: self.table.refresh() >= 0 and done())

    def close(self) -> None:
        self.table.close()
        self._appender.close()

    @staticmethod
    def _decode(value: bytes) -> str:
        if value == b"poison":
            raise UnreadableRecord("it is poison")
        return value.decode().upper()


@pytest.fixture
def case(log: EventLog) -> Iterator[Case]:
    opened = Case(log)
    yield opened
    opened.close()


def test_catching_up_gives_the_latest_value_of_each_key(case: Case) -> None:
    # given
    for number in range(5):
        case.put(f"k{number}", b"old")
    case.put("k1", b"new")

    # when
    case.table.catch_up()

    # then
    assert case.table.get("k1") == "NEW"
    assert case.table.get("k4") == "OLD"
    assert case.table.get("unknown") is None
    assert len(dict(case.table.items())) == len(case.table) == 5


def test_refreshing_brings_what_came_since(case: Case) -> None:
    # given
    case.put("a", b"1")
    case.table.catch_up()

    # when
    case.put("a", b"2")
    case.put("b", b"3")
    case.refresh_until(lambda: len(case.table) == 2 and case.table.get("a") == "2")

    # then
    assert dict(case.table.items()) == {"a": "2", "b": "3"}


def test_catching_up_and_refreshing_by_turns_apply_nothing_twice(case: Case) -> None:
    # given
    case.table.refresh()
    for number in range(3):
        case.put("a", str(number).encode())

        # when
        case.table.catch_up()
        case.table.refresh()

    # then
    assert case.changes == [("a", "0"), ("a", "1"), ("a", "2")]


def test_a_tombstone_removes_its_key(case: Case) -> None:
    # given
    case.put("a", b"1")
    case.table.catch_up()

    # when
    case.put("a", None)
    case.table.catch_up()

    # then
    assert case.table.get("a") is None
    assert len(case.table) == 0
    assert case.changes == [("a", "1"), ("a", None)]


def test_an_unreadable_record_is_handed_on_and_skipped(case: Case) -> None:
    # given
    case.put("a", b"good")
    case.table.catch_up()

    # when
    case.put("a", b"poison")
    case.put("b", b"after")
    case.table.catch_up()

    # then
    assert dict(case.table.items()) == {"a": "GOOD", "b": "AFTER"}
    ((record, error),) = case.poison
    assert (record.key, record.value, str(error)) == ("a", b"poison", "it is poison")


def test_items_stay_as_they_were_while_the_table_changes(case: Case) -> None:
    # given
    case.put("a", b"1")
    case.table.catch_up()

    # when
    items = case.table.items()
    case.put("b", b"2")
    case.table.catch_up()

    # then
    assert list(items) == [("a", "1")]
