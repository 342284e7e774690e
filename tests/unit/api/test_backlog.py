"""How far readers are behind."""

from __future__ import annotations

from tiercel_api import backlog
from tiercel_api.backlog import Backlog, Gap, Lag
from tiercel_engine.eventlog.base import TopicPartition

AT, OTHER = TopicPartition("commands", 0), TopicPartition("commands", 1)
S = 1_000_000


def test_who_has_read_everything_is_not_behind() -> None:
    readers = Backlog()

    assert readers.look({AT: 7}, {AT: 7}, 10 * S) == []

    assert readers.lag(99 * S) == Lag(0, 0.0)


def test_a_backlog_is_as_old_as_the_first_end_above_the_position() -> None:
    # given
    readers = Backlog()
    readers.look({AT: 0, OTHER: 5}, {AT: 10, OTHER: 5}, 10 * S)
    readers.look({AT: 4, OTHER: 5}, {AT: 20, OTHER: 8}, 11 * S)

    # when
    readers.look({AT: 12, OTHER: 6}, {AT: 30, OTHER: 8}, 12 * S)

    # then: offset 12 was there at 11 s, and so was 6 of the other
    assert readers.lag(13 * S) == Lag(18 + 2, 2.0)


def test_who_stands_still_is_looked_into_once_and_the_record_tells_the_age() -> None:
    # given
    readers = Backlog()
    assert readers.look({AT: 3}, {AT: 9}, 100 * S) == []
    (gap,) = readers.look({AT: 3}, {AT: 9}, 101 * S)

    # when
    readers.found(gap, 40 * S)

    # then
    assert gap == Gap(AT, 3, 9)
    assert readers.look({AT: 3}, {AT: 12}, 102 * S) == []
    assert readers.lag(102 * S) == Lag(9, 62.0)


def test_marks_of_transactions_are_no_backlog() -> None:
    # given
    readers = Backlog()
    readers.look({AT: 11}, {AT: 12}, 1 * S)
    (gap,) = readers.look({AT: 11}, {AT: 12}, 2 * S)

    # when
    readers.found(gap, None)

    # then: neither now nor later, until a record comes
    assert readers.lag(90 * S) == Lag()
    assert readers.look({AT: 11}, {AT: 12}, 91 * S) == []
    readers.look({AT: 11}, {AT: 14}, 92 * S)
    assert readers.lag(95 * S) == Lag(2, 3.0)


def test_a_reader_that_begins_anew_has_everything_before_it() -> None:
    # given
    readers = Backlog()
    readers.look({AT: 11}, {AT: 12}, 1 * S)
    (gap,) = readers.look({AT: 11}, {AT: 12}, 2 * S)
    readers.found(gap, None)

    # when
    readers.look({AT: 0}, {AT: 12}, 3 * S)

    # then
    assert readers.lag(3 * S).records == 12


def test_an_answer_that_comes_late_changes_nothing() -> None:
    readers = Backlog()
    readers.look({AT: 3}, {AT: 9}, 1 * S)
    (gap,) = readers.look({AT: 3}, {AT: 9}, 2 * S)
    readers.look({AT: 5}, {AT: 9}, 3 * S)

    readers.found(gap, None)

    assert readers.lag(4 * S) == Lag(4, 3.0)


def test_a_long_backlog_keeps_its_age() -> None:
    readers = Backlog()
    for second in range(backlog.ENDS_MAX + 50):
        readers.look({AT: 0}, {AT: 10 + second}, second * S)

    lag = readers.lag((backlog.ENDS_MAX + 50) * S)

    assert lag == Lag(backlog.ENDS_MAX + 59, float(backlog.ENDS_MAX + 50))
