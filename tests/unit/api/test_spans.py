"""Windows of time cut into spans."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiercel_api.errors import HttpError
from tiercel_api.spans import DAY_US, HOUR_US, MINUTE_US, WINDOW_US, Window, span_of, window_of

NOW_US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("window_us", "name"),
    [
        (0, "minute"),
        (6 * HOUR_US, "minute"),
        (6 * HOUR_US + 1, "hour"),
        (DAY_US, "hour"),
        (DAY_US + 1, "day"),
        (180 * DAY_US, "day"),
        (180 * DAY_US + 1, "week"),
        (365 * DAY_US, "week"),
        (365 * DAY_US + 1, "month"),
    ],
)
def test_spans_grow_with_the_window(window_us: int, name: str) -> None:
    assert span_of(window_us).name == name


def window(start: str, end: str) -> Window:
    return window_of(start, end, NOW_US)


@pytest.mark.parametrize(
    ("start", "end", "first", "last", "count"),
    [
        # An hour in minutes, both ends in it.
        ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "10:00:00", "11:00:00", 61),
        # Days at an offset west of Greenwich begin in the morning of UTC.
        ("2026-03-01T10:00:00-05:00", "2026-03-03T10:00:00-05:00", "T05:00", "T05:00", 3),
        # Weeks begin on Mondays: 2026-03-01 is a Sunday.
        ("2026-03-01T10:00:00Z", "2026-09-29T10:00:00Z", "2026-02-23", "2026-09-28", 32),
        # Months begin on the first, however long they are.
        ("2025-01-15T10:00:00Z", "2026-03-15T10:00:00Z", "2025-01-01", "2026-03-01", 15),
    ],
)
def test_every_step_of_a_window_belongs_to_a_span(
    start: str, end: str, first: str, last: str, count: int
) -> None:
    cut = window(start, end)

    steps = cut.starts()

    starts = list(dict.fromkeys(steps.values()))
    assert first in starts[0]
    assert last in starts[-1]
    assert len(starts) == count
    assert starts == sorted(starts)
    for at_us in (cut.start_us, cut.end_us, (cut.start_us + cut.end_us) // 2):
        step = (at_us + cut.offset_us) // cut.span.step_us
        begun = datetime.fromisoformat(steps[step])
        assert begun <= datetime.fromtimestamp(at_us / 1_000_000, UTC)


def test_without_dates_the_last_thirty_days_are_meant() -> None:
    assert window_of(None, None, NOW_US) == Window(NOW_US - WINDOW_US, NOW_US)
    assert window_of(None, "2023-11-14T22:13:20Z", 0) == Window(NOW_US - WINDOW_US, NOW_US)
    late = window_of("2023-11-14T22:12:20 01:00", None, NOW_US)
    assert (late.start_us, late.offset_us) == (NOW_US - HOUR_US - MINUTE_US, HOUR_US)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("yesterday", None),
        ("2026-03-01", None),
        ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_dates_that_do_not_read_are_refused(start: str, end: str | None) -> None:
    with pytest.raises(HttpError):
        window_of(start, end, NOW_US)


def test_a_window_of_too_many_steps_is_refused() -> None:
    with pytest.raises(HttpError, match="shorter window"):
        window("1970-01-02T00:00:00Z", "2026-03-01T00:00:00Z").starts()
