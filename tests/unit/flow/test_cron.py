"""Cron expressions: gaps and repetitions of four zones, leap days, ends of years, refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tiercel_engine.flow.cron import BadCron, Cron, zone_named


def dates(text: str, zone: str, after: str, count: int, with_seconds: bool = False) -> list[str]:
    cron = Cron(text, with_seconds)
    date: datetime | None = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = []
    for _ in range(count):
        assert date is not None
        date = cron.next(date)
        assert date is not None
        found.append(date.isoformat())
    return found


@pytest.mark.parametrize(
    ("zone", "text", "after", "expected"),
    [
        # 02:00 – 03:00 does not exist: it comes right after the gap.
        ("Europe/Paris", "30 2 * * *", "2024-03-30T12:00", "2024-03-31T03:00:00+02:00"),
        ("America/New_York", "30 2 * * *", "2024-03-09T12:00", "2024-03-10T03:00:00-04:00"),
        # 02:00 – 02:30 only: half an hour.
        ("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00", "2024-10-06T02:30:00+11:00"),
        # The gap is at midnight.
        ("America/Santiago", "0 0 * * *", "2024-09-07T12:00", "2024-09-08T01:00:00-03:00"),
    ],
)
def test_a_time_that_the_clocks_skip_comes_after_the_gap(
    zone: str, text: str, after: str, expected: str
) -> None:
    first, second = dates(text, zone, after, 2)

    assert first == expected
    assert datetime.fromisoformat(second).time() == datetime(1, 1, 1, *_time_of(text)).time()
    assert second[:10] == (datetime.fromisoformat(first) + timedelta(days=1)).isoformat()[:10]


def _time_of(text: str) -> tuple[int, int]:
    minute, hour = text.split()[:2]
    return int(hour), int(minute)


@pytest.mark.parametrize(
    ("zone", "text", "after", "expected"),
    [
        ("Europe/Paris", "30 2 * * *", "2024-10-26T12:00", "2024-10-27T02:30:00+02:00"),
        ("America/New_York", "30 1 * * *", "2024-11-02T12:00", "2024-11-03T01:30:00-04:00"),
        ("Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00", "2024-04-07T01:45:00+11:00"),
        ("America/Santiago", "30 23 * * *", "2024-04-06T12:00", "2024-04-06T23:30:00-03:00"),
    ],
)
def test_a_time_that_comes_twice_counts_once(
    zone: str, text: str, after: str, expected: str
) -> None:
    first, second = dates(text, zone, after, 2)

    assert first == expected
    assert second[:10] != first[:10]


def test_what_runs_all_the_time_counts_real_time_through_changes_of_the_clocks() -> None:
    assert dates("*/30 * * * *", "Europe/Paris", "2024-10-27T01:45", 5) == [
        "2024-10-27T02:00:00+02:00",
        "2024-10-27T02:30:00+02:00",
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T02:30:00+01:00",
        "2024-10-27T03:00:00+01:00",
    ]
    assert dates("0 * * * *", "Europe/Paris", "2024-03-31T00:30", 3) == [
        "2024-03-31T01:00:00+01:00",
        "2024-03-31T03:00:00+02:00",
        "2024-03-31T04:00:00+02:00",
    ]


def test_the_second_of_an_hour_that_comes_twice_is_no_way_back() -> None:
    within = datetime(2024, 10, 27, 2, 45, fold=1, tzinfo=ZoneInfo("Europe/Paris"))

    following = Cron("30 2 * * *").next(within)

    assert following is not None
    assert following.isoformat() == "2024-10-28T02:30:00+01:00"


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 0 29 2 *", "2024-02-29T00:00", "2028-02-29T00:00:00+00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00:00+00:00"),
        ("59 23 31 12 *", "2024-12-31T23:58", "2024-12-31T23:59:00+00:00"),
        ("@yearly", "2024-12-31T23:59", "2025-01-01T00:00:00+00:00"),
        ("@monthly", "2024-02-01T00:00", "2024-03-01T00:00:00+00:00"),
        ("@weekly", "2024-02-01T00:00", "2024-02-04T00:00:00+00:00"),
        ("@daily", "2024-02-28T00:00", "2024-02-29T00:00:00+00:00"),
        ("@hourly", "2024-02-28T23:00", "2024-02-29T00:00:00+00:00"),
        ("0 9 1 * MON", "2024-05-01T09:00", "2024-05-06T09:00:00+00:00"),
        ("0 0 */11 * 2", "2024-01-26T00:00", "2024-01-30T00:00:00+00:00"),
        ("0 0 L * *", "2024-02-01T00:00", "2024-02-29T00:00:00+00:00"),
    ],
)
def test_leap_days_ends_of_years_nicknames_and_both_days(
    text: str, after: str, expected: str
) -> None:
    assert dates(text, "UTC", after, 1) == [expected]


def test_six_fields_have_seconds_and_keep_the_rules_of_the_clocks() -> None:
    assert dates("*/20 * * * * *", "UTC", "2024-12-31T23:59:30", 3, True) == [
        "2024-12-31T23:59:40+00:00",
        "2025-01-01T00:00:00+00:00",
        "2025-01-01T00:00:20+00:00",
    ]
    assert dates("15 30 2 * * *", "Europe/Paris", "2024-03-30T12:00", 2, True) == [
        "2024-03-31T03:00:15+02:00",
        "2024-04-01T02:30:15+02:00",
    ]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "UTC"])
def test_the_date_before_the_next_one_is_the_one_before(zone: str) -> None:
    start = datetime(2024, 3, 30, tzinfo=ZoneInfo(zone))
    for text in ("30 2 * * *", "*/15 * * * *", "0 0 1,15 * *", "5 4 * * 1-5"):
        cron, date = Cron(text), start
        for _ in range(30):
            following = cron.next(date)
            assert following is not None
            before = cron.previous(following)
            after_that = cron.next(following)
            assert after_that is not None
            assert cron.previous(after_that) == following
            assert before is not None
            assert before.timestamp() < following.timestamp()
            date = following


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "x * * * *", "0 0 30 2 *",
     "*/0 * * * *", "5-1 * * * *", "@reboot", "* * L/2 * *, 5"],
)  # fmt: skip
def test_what_names_no_dates_is_refused(text: str) -> None:
    with pytest.raises(BadCron, match="invalid cron expression"):
        Cron(text)


def test_a_date_that_never_comes_is_none_and_takes_no_time() -> None:
    assert Cron("0 0 31 2 1#5").next(datetime(2024, 1, 1, tzinfo=UTC)) is not None
    assert Cron("0 0 * 2 MON#5").next(datetime(2024, 3, 1, tzinfo=UTC)) == datetime(
        2044, 2, 29, tzinfo=UTC
    )


def test_a_zone_that_does_not_exist_is_named() -> None:
    with pytest.raises(BadCron, match="Mars/Olympus"):
        zone_named("Mars/Olympus")
