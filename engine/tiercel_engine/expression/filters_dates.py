"""Filters over dates: formatting, adding, epoch numbers."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from tiercel_engine.expression.arguments import text, whole
from tiercel_engine.expression.date_parsing import parse_by_pattern
from tiercel_engine.expression.date_patterns import format_moment
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.moments import epoch_micros, in_zone, plus, zone_of
from tiercel_engine.expression.table import filter_, parameter
from tiercel_engine.expression.values import Long

FORMAT = parameter("format", None)
ZONE = parameter("timeZone", None)
EXISTING = parameter("existingFormat", None)
LOCALE = parameter("locale", None)


def zone_argument(frame: Frame, zone: Any) -> tzinfo:
    """The zone of a `timeZone` argument, else the context's."""
    return zone_of(frame.context.zone if zone is None else text(zone, "timeZone"))


def moment_of(
    frame: Frame, value: Any, zone: Any = None, existing: Any = None, locale: Any = None
) -> datetime:
    """The input of a date filter as an aware date-time.

    Raises:
        Fault: it is no date, or does not fit `existing`.
    """
    wanted = zone_argument(frame, zone)
    if existing is not None and isinstance(value, str):
        pattern = text(existing, "existingFormat")
        parsed = parse_by_pattern(value, pattern, locale_argument(frame, locale))
        value = parsed if isinstance(parsed, datetime) else datetime.combine(parsed, _MIDNIGHT)
    return in_zone(value, wanted)


_MIDNIGHT = datetime.min.time()


def locale_argument(frame: Frame, locale: Any) -> str:
    """The name of a `locale` argument, else the context's."""
    return frame.context.locale if locale is None else text(locale, "locale")


def formatted(frame: Frame, moment: datetime, pattern: Any, locale: Any) -> str:
    """A date-time by a pattern or format name; `iso` when there is none."""
    name = "iso" if pattern is None else text(pattern, "format")
    return format_moment(moment, name, locale_argument(frame, locale))


@filter_("date", FORMAT, ZONE, EXISTING, LOCALE)
def date(frame: Frame, value: Any, fmt: Any, zone: Any, existing: Any, locale: Any) -> Any:
    """The date formatted by a Java pattern or the name of a format, in a time zone."""
    if value is None:
        return None
    return formatted(frame, moment_of(frame, value, zone, existing, locale), fmt, locale)


@filter_("dateAdd", parameter("amount"), parameter("unit"), FORMAT, ZONE, EXISTING, LOCALE)
def date_add(
    frame: Frame,
    value: Any,
    amount: Any,
    unit: Any,
    fmt: Any,
    zone: Any,
    existing: Any,
    locale: Any,
) -> Any:
    """The date `amount` units later (`DAYS`, `HOURS`, `MONTHS` ...), formatted."""
    if value is None:
        return None
    moment = moment_of(frame, value, zone, existing, locale)
    moved = plus(moment, whole(amount, "amount"), text(unit, "unit"))
    return formatted(frame, moved, fmt, locale)


@filter_("timestamp", ZONE, EXISTING)
def timestamp(frame: Frame, value: Any, zone: Any, existing: Any) -> Any:
    """Seconds since 1970-01-01 UTC."""
    if value is None:
        return None
    return Long(epoch_micros(moment_of(frame, value, zone, existing)) // 1_000_000)


@filter_("timestampMilli", ZONE, EXISTING, since="1.0")
def timestamp_milli(frame: Frame, value: Any, zone: Any, existing: Any) -> Any:
    """Milliseconds since 1970-01-01 UTC."""
    if value is None:
        return None
    return Long(epoch_micros(moment_of(frame, value, zone, existing)) // 1_000)


@filter_("timestampMicro", ZONE, EXISTING)
def timestamp_micro(frame: Frame, value: Any, zone: Any, existing: Any) -> Any:
    """Seconds as nanoseconds plus the microseconds of the second, as the peer had it until 1.0."""
    if value is None:
        return None
    micros = epoch_micros(moment_of(frame, value, zone, existing))
    if frame.context.dialect.micro_timestamps:
        return str(micros)
    return str(micros // 1_000_000 * 1_000_000_000 + micros % 1_000_000)


@filter_("timestampNano", ZONE, EXISTING)
def timestamp_nano(frame: Frame, value: Any, zone: Any, existing: Any) -> Any:
    """Nanoseconds since 1970-01-01 UTC, as text."""
    if value is None:
        return None
    return str(epoch_micros(moment_of(frame, value, zone, existing)) * 1_000)
