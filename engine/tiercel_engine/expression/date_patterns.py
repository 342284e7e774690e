"""Dates formatted by Java's `DateTimeFormatter` patterns, with a locale's names (Babel's CLDR)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import (
    get_date_format,
    get_datetime_format,
    get_day_names,
    get_era_names,
    get_month_names,
    get_period_id,
    get_period_names,
    get_quarter_names,
    get_time_format,
    get_timezone_name,
)

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.text import datetime_text

#: Characters of a pattern.
PATTERN_CHARS_MAX = 500


class Piece(NamedTuple):
    """A run of one letter, or literal text when `letter` is empty. `pad`: width to fill."""

    letter: str
    count: int
    literal: str = ""
    pad: int = 0


_LETTERS = "GuyDMLdQqYwWEecFaBhKkHmsSAnNVvzOXxZ"
#: Named formats; the upper-case words are built in, below.
_NAMED = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_date": "uuuu-MM-ddXXXXX",
    "iso_local_date": "uuuu-MM-dd",
    "iso_ordinal_date": "uuuu-DDDXXXXX",
    "rfc_1123_date_time": "EEE, d MMM uuuu HH:mm:ss ",
}
_STYLES = ("full", "long", "medium", "short")


@lru_cache(maxsize=128)
def locale_of(name: str) -> Locale:
    """The locale of a name such as `fr`, `en_US` or `pt-BR`.

    Raises:
        Fault: no such locale.
    """
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError) as e:
        raise Fault(f"Unknown locale: {name}") from e


@lru_cache(maxsize=1024)
def pieces(pattern: str) -> tuple[Piece, ...]:
    """A pattern taken apart. Optional sections print like the rest.

    Raises:
        Fault: a letter or character that patterns do not have.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise Fault(f"Expected a date format of at most {PATTERN_CHARS_MAX} characters")
    out: list[Piece] = []
    index, pad = 0, 0
    while index < len(pattern):
        character = pattern[index]
        if character.isascii() and character.isalpha():
            end = index
            while end < len(pattern) and pattern[end] == character:
                end += 1
            if character == "p":
                pad = end - index
            elif character in _LETTERS:
                out.append(Piece(character, end - index, pad=pad))
                pad = 0
            else:
                raise Fault(f"Unknown pattern letter: {character}")
            index = end
        elif character == "'":
            literal, index = _quoted(pattern, index)
            out.append(Piece("", 0, literal))
        elif character in "{}#":
            raise Fault(f"Pattern includes reserved character: '{character}'")
        else:
            out.append(Piece("", 0, "" if character in "[]" else character))
            index += 1
    return tuple(out)


def _quoted(pattern: str, start: int) -> tuple[str, int]:
    """The literal that begins with the quote at `start`, and where the pattern goes on."""
    if pattern.startswith("''", start):
        return "'", start + 2
    literal, index = "", start + 1
    while index < len(pattern):
        if pattern.startswith("''", index):
            literal, index = literal + "'", index + 2
        elif pattern[index] == "'":
            return literal, index + 1
        else:
            literal, index = literal + pattern[index], index + 1
    raise Fault(f"Pattern ends with an incomplete string literal: {pattern}")


def format_moment(moment: datetime, name: str, locale_name: str) -> str:
    """An aware date-time as text.

    Args:
        name: a pattern, or the name of a format (`iso`, `sql`, `full`, `rfc_1123_date_time` ...).

    Raises:
        Fault: the pattern or the locale does not hold.
    """
    locale = locale_of(locale_name)
    lower = name.lower()
    built_in = _BUILT_IN.get(lower)
    if built_in is not None:
        return built_in(moment)
    if lower in _STYLES:
        return _by_pattern(moment, _style(lower, str(locale)), locale)
    return _by_pattern(moment, _NAMED.get(lower, name), locale)


@lru_cache(maxsize=256)
def _style(style: str, locale_name: str) -> str:
    locale = Locale.parse(locale_name)
    glue = str(get_datetime_format(style, locale=locale))
    day = get_date_format(style, locale=locale).pattern  # type: ignore[arg-type]
    clock = get_time_format(style, locale=locale).pattern  # type: ignore[arg-type]
    return glue.replace("{1}", day).replace("{0}", clock).replace("\u202f", " ")


def _by_pattern(moment: datetime, pattern: str, locale: Locale) -> str:
    out: list[str] = []
    for piece in pieces(pattern):
        text = _FIELDS[piece.letter](moment, piece.count, locale) if piece.letter else piece.literal
        out.append(text.rjust(piece.pad) if piece.pad else text)
    return "".join(out)


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
    return _padded((moment.weekday() - locale.first_week_day) % 7 + 1, count)


def _quarter(moment: datetime, count: int, locale: Locale) -> str:
    number = (moment.month - 1) // 3 + 1
    if count <= 2:
        return _padded(number, count)
    width = _name(count, "Q")
    return str(get_quarter_names(width, "format", locale)[number])  # type: ignore[arg-type]


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
    offset = (moment.weekday() - locale.first_week_day) % 7
    days_of_next = day - offset + 6 - length
    if days_of_next >= locale.min_week_days:
        return year + 1, 1
    return year, week


def _week_number(moment: datetime, day: int, locale: Locale) -> int:
    """Weeks since the first one with enough days; 0 before it."""
    offset = (moment.weekday() - (day - 1) - locale.first_week_day) % 7
    week = (day + offset - 1) // 7
    return week + 1 if 7 - offset >= locale.min_week_days else week


def _week_year(moment: datetime, count: int, locale: Locale) -> str:
    return _year_text(week_of(moment, locale)[0], count)


def _week(moment: datetime, count: int, locale: Locale) -> str:
    return _padded(week_of(moment, locale)[1], count)


def _week_of_month(moment: datetime, count: int, locale: Locale) -> str:
    return _padded(_week_number(moment, moment.day, locale), count)


def _half_day(moment: datetime, count: int, locale: Locale) -> str:
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
    return str(getattr(moment.tzinfo, "key", None) or _offset(moment, ":", 2, "Z"))


def _zone_name(moment: datetime, count: int, locale: Locale) -> str:
    region = getattr(moment.tzinfo, "key", None)
    if moment.tzinfo is not UTC and region is None:
        return _offset(moment, ":", 2, "Z")
    if count >= 4:
        return get_timezone_name(moment, "long", locale=locale) if region else _utc_name(locale)
    return (moment.tzname() or "") if region else "UTC"


def _utc_name(locale: Locale) -> str:
    names = locale.meta_zones.get("GMT", {})
    zones = locale.time_zones.get("Etc/UTC", {})
    return str(zones.get("long", names.get("long", {})).get("standard", "UTC"))


def _seconds(moment: datetime) -> int:
    return int((moment.utcoffset() or timedelta()).total_seconds())


def _offset(moment: datetime, colon: str, minutes: int, zero: str) -> str:
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
    return _offset(moment, colon, {1: 0, 2: 2, 3: 2}.get(count, 3), zero)


def _offset_z(moment: datetime, count: int, locale: Locale) -> str:
    if count <= 3:
        return _offset(moment, "", 2, "+0000")
    return _localized_offset(moment, 4, locale) if count == 4 else _offset(moment, ":", 3, "Z")


def _localized_offset(moment: datetime, count: int, locale: Locale) -> str:
    if count == 4:
        return "GMT" + _offset(moment, ":", 2, "")
    text = _offset(moment, ":", 0, "")
    return "GMT" + (text[0] + text[1:].removeprefix("0") if text else "")


_Field = Callable[[datetime, int, Locale], str]


def _number(read: Callable[[datetime], int]) -> _Field:
    return lambda moment, count, locale: _padded(read(moment), count)


_FIELDS: dict[str, _Field] = {
    "G": _era,
    "u": _year,
    "y": _year,
    "D": _number(lambda m: m.timetuple().tm_yday),
    "M": _month,
    "L": lambda m, count, locale: _month(m, count, locale, "stand-alone"),
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


def _fine_fraction(moment: datetime) -> str:
    """Seconds with as many digits as there are: `16:19:12.5`."""
    micros = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return moment.strftime("%H:%M:%S") + micros


def _day(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"


def _iso_offset(moment: datetime) -> str:
    return _offset(moment, ":", 3, "Z")


def _iso_zoned(moment: datetime) -> str:
    text = f"{_day(moment)}T{_fine_fraction(moment)}{_iso_offset(moment)}"
    is_region = moment.tzinfo is UTC or getattr(moment.tzinfo, "key", None) is not None
    return f"{text}[{zone_id(moment)}]" if is_region else text


def _iso_week(moment: datetime) -> str:
    year, week, day = moment.isocalendar()
    return f"{year:04d}-W{week:02d}-{day}{_iso_offset(moment)}"


def _rfc_1123(moment: datetime) -> str:
    english = locale_of("en_US")
    text = _by_pattern(moment, _NAMED["rfc_1123_date_time"], english)
    return text + _offset(moment, "", 2, "GMT")


_BUILT_IN: dict[str, Callable[[datetime], str]] = {
    "iso_date_time": _iso_zoned,
    "iso_zoned_date_time": _iso_zoned,
    "iso_instant": lambda m: datetime_text(m.astimezone(UTC)),
    "iso_local_date_time": lambda m: f"{_day(m)}T{_fine_fraction(m)}",
    "iso_local_time": _fine_fraction,
    "iso_time": lambda m: _fine_fraction(m) + _iso_offset(m),
    "iso_offset_time": lambda m: _fine_fraction(m) + _iso_offset(m),
    "iso_offset_date_time": lambda m: f"{_day(m)}T{_fine_fraction(m)}{_iso_offset(m)}",
    "iso_week_date": _iso_week,
    "basic_iso_date": lambda m: _day(m).replace("-", "") + _offset(m, "", 3, "Z"),
    "rfc_1123_date_time": _rfc_1123,
}

#: Every name that `format` takes besides patterns.
FORMAT_NAMES = tuple(sorted({*_NAMED, *_BUILT_IN, *_STYLES}))
