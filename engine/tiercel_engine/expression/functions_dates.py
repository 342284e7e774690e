"""Functions over dates: now, parts of a date, questions about a date."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime
from typing import Any

from tiercel_engine.expression.arguments import text
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.filters_dates import (
    EXISTING,
    FORMAT,
    LOCALE,
    ZONE,
    formatted,
    zone_argument,
)
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.moments import in_zone, parse_iso
from tiercel_engine.expression.table import function, parameter
from tiercel_engine.expression.values import Long

_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_POSITIONS = {"FIRST": 1, "SECOND": 2, "THIRD": 3, "FOURTH": 4}
_WORKING_DAYS = "MONDAY,TUESDAY,WEDNESDAY,THURSDAY,FRIDAY"


@function("now", FORMAT, ZONE, EXISTING, LOCALE)
def now(frame: Frame, fmt: Any, zone: Any, existing: Any, locale: Any) -> str:
    """The current time, formatted by a Java pattern or the name of a format."""
    if frame.context.now is None:
        raise Fault("Function [now] is not available here: it needs the clock")
    moment = frame.context.now().astimezone(zone_argument(frame, zone))
    return formatted(frame, moment, fmt, locale)


def _local(frame: Frame, value: Any) -> datetime:
    """The date as written: an offset in it is kept, not converted."""
    if isinstance(value, str):
        parsed = parse_iso(value)
        if parsed is None:
            raise Fault(f"Text '{value}' could not be parsed at index 0")
        value = parsed
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    return in_zone(value, zone_argument(frame, None))


@function("dayOfWeek", parameter("date"), since="1.0")
def day_of_week(frame: Frame, value: Any) -> Any:
    """The day of the week: `MONDAY` to `SUNDAY`."""
    return None if value is None else _DAYS[_local(frame, value).weekday()]


@function("dayOfMonth", parameter("date"), since="1.0")
def day_of_month(frame: Frame, value: Any) -> Any:
    """The day of the month, from 1."""
    return None if value is None else Long(_local(frame, value).day)


@function("monthOfYear", parameter("date"), since="1.0")
def month_of_year(frame: Frame, value: Any) -> Any:
    """The month, from 1."""
    return None if value is None else Long(_local(frame, value).month)


@function("hourOfDay", parameter("date"), since="1.0")
def hour_of_day(frame: Frame, value: Any) -> Any:
    """The hour, from 0."""
    return None if value is None else Long(_local(frame, value).hour)


def _required(frame: Frame, value: Any, name: str) -> datetime:
    if value is None:
        raise Fault(f"The '{name}' function expects an argument 'date'.")
    return _local(frame, value)


@function("isWeekend", parameter("date"), since="1.0")
def is_weekend(frame: Frame, value: Any) -> bool:
    """Whether the date is a Saturday or a Sunday."""
    return _required(frame, value, "isWeekend").weekday() >= 5


@function(
    "isPublicHoliday",
    parameter("date"),
    parameter("countryCode", None, "country"),
    parameter("subDivision", None),
    since="1.0",
    needs_io=True,
)
def is_public_holiday(frame: Frame, value: Any, country: Any, subdivision: Any) -> bool:
    """Whether the date is a public holiday of a country (ISO code) or a part of it."""
    if frame.context.lookups is None:
        raise Fault("Function [isPublicHoliday] is not available here")
    day = _required(frame, value, "isPublicHoliday").date().isoformat()
    return frame.context.lookups.is_public_holiday(
        day,
        None if country is None else text(country, "country"),
        None if subdivision is None else text(subdivision, "subDivision"),
    )


def _day_number(name: Any) -> int:
    day = text(name, "day").strip().upper()
    if day not in _DAYS:
        raise Fault(f"Expected a day of the week such as MONDAY, but was {day}")
    return _DAYS.index(day)


@function(
    "isDayWeekInMonth", parameter("date"), parameter("day"), parameter("position"), since="1.0"
)
def is_day_week_in_month(frame: Frame, value: Any, day: Any, position: Any) -> bool:
    """Whether the date is the FIRST, SECOND, THIRD, FOURTH or LAST such weekday of its month."""
    moment = _required(frame, value, "isDayWeekInMonth")
    wanted = text(position, "position").strip().upper()
    if wanted != "LAST" and wanted not in _POSITIONS:
        raise Fault(f"Expected FIRST, SECOND, THIRD, FOURTH or LAST, but was {wanted}")
    if moment.weekday() != _day_number(day):
        return False
    if wanted == "LAST":
        return moment.day + 7 > monthrange(moment.year, moment.month)[1]
    return (moment.day - 1) // 7 + 1 == _POSITIONS[wanted]


@function(
    "isLastWorkingDay", parameter("date"), parameter("workingDays", _WORKING_DAYS), since="2.0"
)
def is_last_working_day(frame: Frame, value: Any, working_days: Any) -> bool:
    """Whether the date is the last of its month that is one of the working days."""
    moment = _required(frame, value, "isLastWorkingDay").date()
    working = {_day_number(day) for day in text(working_days, "workingDays").split(",")}
    if moment.weekday() not in working:
        return False
    days_left = monthrange(moment.year, moment.month)[1] - moment.day
    return not any((moment.weekday() + ahead) % 7 in working for ahead in range(1, days_left + 1))


def _instant(value: Any, name: str, *, offset: bool = False) -> datetime:
    """A date as an instant; without an offset it is UTC, or refused when one is wanted."""
    if isinstance(value, str):
        parsed = parse_iso(value)
        if parsed is None:
            raise Fault(f"Text '{value}' could not be parsed at index 0")
        value = parsed
    if not isinstance(value, date):
        raise Fault(f"The '{name}' function expects a date")
    if offset and not (isinstance(value, datetime) and value.tzinfo is not None):
        raise Fault(f"The '{name}' function expects a date with an offset")
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


@function("isDateBefore", parameter("date"), parameter("reference"), since="1.0")
def is_date_before(frame: Frame, value: Any, reference: Any) -> bool:
    """Whether the date is strictly before another; without an offset both are UTC."""
    return _instant(value, "isDateBefore") < _instant(reference, "isDateBefore")


@function("isDateAfter", parameter("date"), parameter("reference"), since="1.0")
def is_date_after(frame: Frame, value: Any, reference: Any) -> bool:
    """Whether the date is strictly after another; without an offset both are UTC."""
    return _instant(value, "isDateAfter") > _instant(reference, "isDateAfter")


@function("isDateBetween", parameter("date"), parameter("after"), parameter("before"), since="2.0")
def is_date_between(frame: Frame, value: Any, after: Any, before: Any) -> bool:
    """Whether the date lies strictly between two others; each needs an offset."""
    start, moment, end = (
        _instant(each, "isDateBetween", offset=True) for each in (after, value, before)
    )
    return start < moment < end
