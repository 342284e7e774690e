"""Windows of flow triggers: which earlier arrivals count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiercel_engine.flow.base import Rule
from tiercel_engine.plugin.triggers import TimeWindow, Window
from tiercel_engine.plugin.windows import (
    WindowRule,
    counted,
    duration_rule,
    end_after,
    end_before,
    rule_of,
)
from tiercel_schemas.triggers import Arrival


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def first(**written: Any) -> WindowRule:
    return rule_of(TimeWindow.model_validate(written))


def second(**written: Any) -> WindowRule:
    return rule_of(Window.model_validate(written))


DAY, HOURS = first(window="P1D"), first(type="SLIDING_WINDOW", window="PT3H")
SHIFTED = first(window="P1D", windowAdvance="PT4H")
DEADLINE = first(type="DAILY_TIME_DEADLINE", deadline="09:00:00")
OFFICE = first(type="DAILY_TIME_WINDOW", startTime="08:00:00", endTime="17:00:00")
NIGHT = second(**{"from": "22:00:00", "to": "02:00:00"})


@pytest.mark.parametrize(
    ("rule", "earlier", "now", "count"),
    [
        (DAY, "2025-03-05T00:00:00", "2025-03-05T23:59:59", 1),
        (DAY, "2025-03-04T23:59:59", "2025-03-05T00:00:00", 0),
        (SHIFTED, "2025-03-04T04:00:00", "2025-03-05T03:59:59", 1),
        (SHIFTED, "2025-03-05T03:00:00", "2025-03-05T04:00:00", 0),
        (first(window="PT5M"), "2025-03-05T10:00:59", "2025-03-05T10:04:59", 1),
        (first(window="PT5M"), "2025-03-05T10:00:59", "2025-03-05T10:05:00", 0),
        (HOURS, "2025-03-05T10:00:00", "2025-03-05T13:00:00", 1),
        (HOURS, "2025-03-05T10:00:00", "2025-03-05T13:00:01", 0),
        (DEADLINE, "2025-03-05T01:00:00", "2025-03-05T09:00:00", 1),
        (DEADLINE, "2025-03-05T01:00:00", "2025-03-05T09:00:01", None),
        (DEADLINE, "2025-03-04T08:00:00", "2025-03-05T08:00:00", 0),
        (OFFICE, "2025-03-05T08:00:00", "2025-03-05T16:59:59", 1),
        (OFFICE, "2025-03-05T07:59:59", "2025-03-05T16:59:59", 0),
        (OFFICE, "2025-03-05T08:00:00", "2025-03-05T17:00:01", None),
        (NIGHT, "2025-03-05T23:00:00", "2025-03-06T01:00:00", 1),
        (NIGHT, "2025-03-05T23:00:00", "2025-03-06T02:30:00", None),
        (NIGHT, "2025-03-05T01:00:00", "2025-03-05T23:00:00", 0),
        (second(lookback="PT3H"), "2025-03-05T10:00:00", "2025-03-05T13:00:00", 1),
        (second(every="P1D", offset="PT4H"), "2025-03-05T03:00:00", "2025-03-05T04:00:00", 0),
        (second(deadline="09:00:00", timezone="Asia/Tokyo"), "2025-03-04T16:00:00",
         "2025-03-05T00:00:00", 1),
        (second(), "2025-03-05T00:00:00", "2025-03-05T23:59:59", 1),
        (duration_rule("PT1H", "PT30M"), "2025-03-05T10:30:00", "2025-03-05T11:29:59", 1),
        (duration_rule("PT1H", "PT30M"), "2025-03-05T10:29:00", "2025-03-05T10:30:00", 0),
    ],
)  # fmt: skip
def test_what_came_earlier_counts_within_the_window(
    rule: WindowRule, earlier: str, now: str, count: int | None
) -> None:
    arrival = Arrival("a", "x", "ns", "f", "SUCCESS", us(earlier))

    found = counted([arrival], rule, us(now))

    assert (None if found is None else len(found)) == count


@pytest.mark.parametrize(
    "written",
    [
        {"type": "DAILY_TIME_WINDOW", "startTime": "08:00:00"},
        {"type": "DAILY_TIME_DEADLINE"},
        {"type": "DAILY_TIME_DEADLINE", "deadline": "soon"},
    ],
)
def test_a_window_that_lacks_something_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(Rule):
        first(**written)


@pytest.mark.parametrize(
    ("rule", "at", "before", "after"),
    [
        (DEADLINE, "2025-03-05T09:00:00", "2025-03-05T09:00:00", "2025-03-06T09:00:00"),
        (DEADLINE, "2025-03-05T08:59:59", "2025-03-04T09:00:00", "2025-03-05T09:00:00"),
        (NIGHT, "2025-03-05T23:00:00", "2025-03-05T02:00:00", "2025-03-06T02:00:00"),
        (second(every="PT6H"), "2025-03-05T10:00:00", "2025-03-05T06:00:00",
         "2025-03-05T12:00:00"),
        (second(every="PT1H", offset="PT15M"), "2025-03-05T10:15:00", "2025-03-05T10:15:00",
         "2025-03-05T11:15:00"),
        (second(), "2025-03-05T10:00:00", "2025-03-05T00:00:00", "2025-03-06T00:00:00"),
        # Days as long as the clocks make them: 23 hours in spring, 25 in autumn.
        (second(every="P1D", timezone="Europe/Paris"), "2025-03-30T10:00:00",
         "2025-03-29T23:00:00", "2025-03-30T22:00:00"),
        (second(every="P1D", timezone="America/New_York"), "2025-11-02T12:00:00",
         "2025-11-02T04:00:00", "2025-11-03T05:00:00"),
        (second(deadline="02:30:00", timezone="Europe/Paris"), "2025-03-30T00:00:00",
         "2025-03-29T01:30:00", "2025-03-30T01:30:00"),
        (second(deadline="09:00:00+05:00"), "2025-03-05T04:00:00", "2025-03-05T04:00:00",
         "2025-03-06T04:00:00"),
        (second(**{"from": "06:00:00", "to": "12:00:00"}, timezone="Australia/Lord_Howe"),
         "2025-04-05T20:00:00", "2025-04-05T01:00:00", "2025-04-06T01:30:00"),
        (second(deadline="23:59:59"), "2024-02-29T00:00:00", "2024-02-28T23:59:59",
         "2024-02-29T23:59:59"),
    ],
)  # fmt: skip
def test_windows_end_one_after_the_other(
    rule: WindowRule, at: str, before: str, after: str
) -> None:
    assert end_before(rule, us(at)) == us(before)
    assert end_after(rule, us(at)) == us(after)
