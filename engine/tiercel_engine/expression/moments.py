"""Reading date-times: ISO texts, epoch seconds, typed values; zones; units to add.

Follows the peer: an instant or zoned value is converted to the wanted zone, a local one gets it; a
date alone is noon when typed and the start of the day when text. Fractions keep six digits.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.values import is_number

_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{0,9}))?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?(?:\[(?P<region>[^\]]+)\])?)?",
    re.IGNORECASE | re.ASCII,
)
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d\d))?(?::?(\d\d))?", re.ASCII)


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """The zone of a region (`Europe/Paris`) or offset (`+02:00`, `Z`, `UTC`).

    Raises:
        Fault: no such zone.
    """
    if name.upper() in ("Z", "UTC", "GMT", "UT", "ETC/UTC"):
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        seconds = int(offset[2]) * 3600 + int(offset[3] or 0) * 60 + int(offset[4] or 0)
        if seconds > 18 * 3600:
            raise Fault(f"Zone offset not in valid range: {name}")
        return timezone(timedelta(seconds=-seconds if offset[1] == "-" else seconds))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise Fault(f"Unknown time-zone ID: {name}") from e


def parse_iso(text: str) -> datetime | date | None:
    """An ISO date-time (aware when it names a zone) or date; None when it is none.

    Raises:
        Fault: it names a zone that does not exist.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    try:
        day = date(int(found["year"]), int(found["month"]), int(found["day"]))
        if found["hour"] is None:
            return day
        micros = int((found["fraction"] or "")[:6].ljust(6, "0"))
        clock = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0), micros)
    except ValueError:
        return None
    moment = datetime.combine(day, clock)
    if found["zone"] is None:
        return moment if found["region"] is None else None
    moment = moment.replace(tzinfo=zone_of(found["zone"]))
    return moment.astimezone(zone_of(found["region"])) if found["region"] else moment


def parse_zoned(text: str) -> datetime | None:
    """An ISO date-time with an offset or zone; None for every other text."""
    if not text[:4].isdigit():
        return None
    try:
        moment = parse_iso(text)
    except (Fault, OverflowError):
        return None
    return moment if isinstance(moment, datetime) and moment.tzinfo is not None else None


def in_zone(value: Any, zone: tzinfo) -> datetime:
    """A typed value or ISO text as a date-time in `zone`.

    Raises:
        Fault: it is no moment, or one beyond the calendar.
    """
    try:
        return _in_zone(value, zone)
    except (OverflowError, ValueError) as e:
        raise Fault("A date is out of range") from e


def _in_zone(value: Any, zone: tzinfo) -> datetime:
    if isinstance(value, str):
        parsed = parse_iso(value)
        if parsed is None:
            raise Fault(f"Text '{value}' could not be parsed at index 0")
        if not isinstance(parsed, datetime):
            return datetime.combine(parsed, time(), zone)
        value = parsed
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return _settled(value.replace(tzinfo=zone))
        return value.astimezone(zone)
    if isinstance(value, date):
        return datetime.combine(value, time(12), zone)
    if is_number(value):
        return datetime.fromtimestamp(int(value), UTC).astimezone(zone)
    raise Fault("Expected a date, a date text or epoch seconds")


#: Seconds of the units of fixed length (as microseconds), by the peer's name.
_UNIT_MICROS = {
    "MICROS": 1,
    "MILLIS": 1_000,
    "SECONDS": 1_000_000,
    "MINUTES": 60_000_000,
    "HOURS": 3_600_000_000,
    "HALF_DAYS": 43_200_000_000,
}
_UNIT_DAYS = {"DAYS": 1, "WEEKS": 7}
_UNIT_MONTHS = {
    "MONTHS": 1,
    "YEARS": 12,
    "DECADES": 120,
    "CENTURIES": 1_200,
    "MILLENNIA": 12_000,
}
UNITS = ("NANOS", *_UNIT_MICROS, *_UNIT_DAYS, *_UNIT_MONTHS)


def plus(moment: datetime, amount: int, unit: str) -> datetime:
    """`amount` units later. Days and longer keep the local time, shorter ones the clock.

    Raises:
        Fault: no such unit, or a date beyond the calendar.
    """
    unit = unit.upper()
    try:
        if unit == "NANOS":
            amount, unit = int(amount / 1_000), "MICROS"
        if unit in _UNIT_MICROS:
            elapsed = timedelta(microseconds=amount * _UNIT_MICROS[unit])
            return (moment.astimezone(UTC) + elapsed).astimezone(moment.tzinfo)
        if unit in _UNIT_DAYS:
            return _settled(moment + timedelta(days=amount * _UNIT_DAYS[unit]))
        if unit in _UNIT_MONTHS:
            return _settled(_plus_months(moment, amount * _UNIT_MONTHS[unit]))
    except (OverflowError, ValueError) as e:
        raise Fault("A date is out of range") from e
    raise Fault(f"No enum constant java.time.temporal.ChronoUnit.{unit}")


def _settled(moment: datetime) -> datetime:
    """The same local time, moved out of the hour that a change to summer time skips."""
    settled = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return moment if settled.replace(tzinfo=None) == moment.replace(tzinfo=None) else settled


def _plus_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    first_of_next = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    last_day = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def epoch_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware date-time."""
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
