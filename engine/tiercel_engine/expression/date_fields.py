"""The fields of a date pattern: what each letter prints, with a locale's names (Babel's CLDR)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from babel import Locale
from babel.dates import (
    get_day_names,
    get_era_names,
    get_month_names,
    get_period_id,
    get_period_names,
    get_quarter_names,
    get_timezone_name,
)

from tiercel_engine.expression.faults import Fault


def _padded(value: int, count: int) -> str:
    return f"{value:0{count}d}" if value >= 0 else f"-{-value:0{count}d}"


def _year(moment: datetime, count: int, locale: Locale) -> str:
    return _year_text(moment.year, count)


def _year_text(year: int, count: int) -> str:
    return f"{year % 100:02d}" if count == 2 else _padded(year, count)


_WIDTHS = {3: "abbreviated", 4: "wide", 5: "narrow"}


def _name(count: int, what: str) -> str:
    if count > 5:
        raise Fault(f"Too many pattern letters: {what}")
    return _WIDTHS[max(count, 3)]


#: Languages whose months have another form when they stand alone.
_DECLINING = frozenset(
    {"be", "bs", "ca", "cs", "el", "fi", "hr", "hsb", "hy", "lt", "lv", "pl", "ru", "sk", "sl"}
    | {"sr", "uk"}
)


def _alone(moment: datetime, count: int, locale: Locale) -> str:
    declines = locale.language in _DECLINING
    return _month(moment, count, locale, "stand-alone" if declines else "format")


def _month(moment: datetime, count: int, locale: Locale, context: str = "format") -> str:
    if count <= 2:
        return _padded(moment.month, count)
    width = _name(count, "M")
    return str(get_month_names(width, context, locale)[moment.month])  # type: ignore[arg-type]


def _weekday(moment: datetime, count: int, locale: Locale) -> str:
    width = _name(count, "E")
    return str(get_day_names(width, "format", locale)[moment.weekday()])  # type: ignore[arg-type]


def _local_weekday(moment: datetime, count: int, locale: Locale) -> str:
    if count > 2:
        return _weekday(moment, count, locale)
    return _padded((moment.weekday() - _first_day(locale)) % 7 + 1, count)


def _quarter(moment: datetime, count: int, locale: Locale) -> str:
    number = (moment.month - 1) // 3 + 1
    if count <= 2:
        return _padded(number, count)
    width = _name(count, "Q")
    return str(get_quarter_names(width, "format", locale)[number])  # type: ignore[arg-type]


def _first_day(locale: Locale) -> int:
    """The first day of a week, Monday is 0; a language without territory starts on Sunday."""
    return locale.first_week_day if locale.territory else 6


def _least_days(locale: Locale) -> int:
    """Days that the first week of a year has at least."""
    return locale.min_week_days if locale.territory else 1


def week_of(moment: datetime, locale: Locale) -> tuple[int, int]:
    """The locale's week-based year, and the week in it."""
    year = moment.year
    day = moment.timetuple().tm_yday
    week = _week_number(moment, day, locale)
    if week == 0:
        last = moment.replace(year=year - 1, month=12, day=31)
        return year - 1, _week_number(last, last.timetuple().tm_yday, locale)
    length = 366 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 365
    # The last days belong to the next year when enough of their week lies there.
    offset = (moment.weekday() - _first_day(locale)) % 7
    days_of_next = day - offset + 6 - length
    if days_of_next >= _least_days(locale):
        return year + 1, 1
    return year, week


def _week_number(moment: datetime, day: int, locale: Locale) -> int:
    """Weeks since the first one with enough days; 0 before it."""
    offset = (moment.weekday() - (day - 1) - _first_day(locale)) % 7
    week = (day + offset - 1) // 7
    return week + 1 if 7 - offset >= _least_days(locale) else week


def _week_year(moment: datetime, count: int, locale: Locale) -> str:
    return _year_text(week_of(moment, locale)[0], count)


def _week(moment: datetime, count: int, locale: Locale) -> str:
    return _padded(week_of(moment, locale)[1], count)


def _week_of_month(moment: datetime, count: int, locale: Locale) -> str:
    return _padded(_week_number(moment, moment.day, locale), count)


def _half_day(moment: datetime, count: int, locale: Locale) -> str:
    if count > 1:
        raise Fault("Too many pattern letters: a")
    names = get_period_names("abbreviated", "format", locale)
    return str(names["am" if moment.hour < 12 else "pm"])


def _day_period(moment: datetime, count: int, locale: Locale) -> str:
    width = {1: "abbreviated", 4: "wide", 5: "narrow"}.get(count, "abbreviated")
    names = get_period_names(width, "format", locale)  # type: ignore[arg-type]
    return str(names[get_period_id(moment, locale=locale)])


def _fraction(moment: datetime, count: int, locale: Locale) -> str:
    return f"{moment.microsecond:06d}000"[:count].ljust(count, "0")


def _midnight_millis(moment: datetime) -> int:
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return seconds * 1_000 + moment.microsecond // 1_000


def _nano_of_day(moment: datetime) -> int:
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (seconds * 1_000_000 + moment.microsecond) * 1_000


def _era(moment: datetime, count: int, locale: Locale) -> str:
    return str(get_era_names(_name(count, "G"), locale)[1])  # type: ignore[arg-type]


def zone_id(moment: datetime) -> str:
    """The id of the zone: a region, an offset or `UTC`."""
    if moment.tzinfo is UTC:
        return "UTC"
    return str(getattr(moment.tzinfo, "key", None) or offset(moment, ":", 2, "Z"))


def _zone_name(moment: datetime, count: int, locale: Locale) -> str:
    region = getattr(moment.tzinfo, "key", None)
    if moment.tzinfo is not UTC and region is None:
        return offset(moment, ":", 2, "Z")
    if count >= 4:
        return get_timezone_name(moment, "long", locale=locale) if region else _utc_name(locale)
    return (moment.tzname() or "") if region else "UTC"


def _utc_name(locale: Locale) -> str:
    names = locale.meta_zones.get("GMT", {})
    zones = locale.time_zones.get("Etc/UTC", {})
    return str(zones.get("long", names.get("long", {})).get("standard", "UTC"))


def _seconds(moment: datetime) -> int:
    return int((moment.utcoffset() or timedelta()).total_seconds())


def offset(moment: datetime, colon: str, minutes: int, zero: str) -> str:
    """`minutes`: 0 hours only unless there are some, 2 always; 3 with seconds when not 0."""
    total = _seconds(moment)
    if total == 0:
        return zero
    sign, total = ("-", -total) if total < 0 else ("+", total)
    text = f"{sign}{total // 3600:02d}"
    if minutes or total // 60 % 60:
        text += f"{colon}{total // 60 % 60:02d}"
    if minutes == 3 and total % 60:
        text += f"{colon}{total % 60:02d}"
    return text


def _offset_x(moment: datetime, count: int, zero_is_z: bool) -> str:
    if count > 5:
        raise Fault("Too many pattern letters: X")
    colon = ":" if count in (3, 5) else ""
    zero = "Z" if zero_is_z else {1: "+00", 3: "+00:00", 5: "+00:00"}.get(count, "+0000")
    return offset(moment, colon, {1: 0, 2: 2, 3: 2}.get(count, 3), zero)


def _offset_z(moment: datetime, count: int, locale: Locale) -> str:
    if count <= 3:
        return offset(moment, "", 2, "+0000")
    return _localized_offset(moment, 4, locale) if count == 4 else offset(moment, ":", 3, "Z")


def _localized_offset(moment: datetime, count: int, locale: Locale) -> str:
    if count == 4:
        return "GMT" + offset(moment, ":", 3, "")
    text = offset(moment, ":", 3 if _seconds(moment) % 60 else 0, "")
    return "GMT" + (text[0] + text[1:].removeprefix("0") if text else "")


_Field = Callable[[datetime, int, Locale], str]


def _number(read: Callable[[datetime], int]) -> _Field:
    return lambda moment, count, locale: _padded(read(moment), count)


FIELDS: dict[str, _Field] = {
    "G": _era,
    "u": _year,
    "y": _year,
    "D": _number(lambda m: m.timetuple().tm_yday),
    "M": _month,
    "L": _alone,
    "d": _number(lambda m: m.day),
    "Q": _quarter,
    "q": _quarter,
    "Y": _week_year,
    "w": _week,
    "W": _week_of_month,
    "E": _weekday,
    "e": _local_weekday,
    "c": _local_weekday,
    "F": _number(lambda m: (m.day - 1) // 7 + 1),
    "a": _half_day,
    "B": _day_period,
    "h": _number(lambda m: (m.hour - 1) % 12 + 1),
    "K": _number(lambda m: m.hour % 12),
    "k": _number(lambda m: m.hour or 24),
    "H": _number(lambda m: m.hour),
    "m": _number(lambda m: m.minute),
    "s": _number(lambda m: m.second),
    "S": _fraction,
    "A": _number(_midnight_millis),
    "n": _number(lambda m: m.microsecond * 1_000),
    "N": _number(_nano_of_day),
    "V": lambda m, count, locale: zone_id(m),
    "v": _zone_name,
    "z": _zone_name,
    "O": _localized_offset,
    "X": lambda m, count, locale: _offset_x(m, count, True),
    "x": lambda m, count, locale: _offset_x(m, count, False),
    "Z": _offset_z,
}
