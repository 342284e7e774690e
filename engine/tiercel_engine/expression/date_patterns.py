"""Dates formatted by Java's `DateTimeFormatter` patterns, with a locale's names (Babel's CLDR)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import (
    get_date_format,
    get_datetime_format,
    get_time_format,
)

from tiercel_engine.expression.date_fields import FIELDS, offset, zone_id
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.text import datetime_text

#: Characters of a pattern.
PATTERN_CHARS_MAX = 500


class Piece(NamedTuple):
    """A run of one letter, or literal text when `letter` is empty. `pad`: width to fill."""

    letter: str
    width: int
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
    glue = str(get_datetime_format(style, locale=locale))  # type: ignore[arg-type]
    day = get_date_format(style, locale=locale).pattern  # type: ignore[arg-type]
    clock = get_time_format(style, locale=locale).pattern  # type: ignore[arg-type]
    return glue.replace("{1}", day).replace("{0}", clock)


def _by_pattern(moment: datetime, pattern: str, locale: Locale) -> str:
    out: list[str] = []
    for piece in pieces(pattern):
        text = FIELDS[piece.letter](moment, piece.width, locale) if piece.letter else piece.literal
        out.append(text.rjust(piece.pad) if piece.pad else text)
    return "".join(out)


def _fine_fraction(moment: datetime) -> str:
    """Seconds with as many digits as there are: `16:19:12.5`."""
    micros = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return moment.strftime("%H:%M:%S") + micros


def _day(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"


def _iso_offset(moment: datetime) -> str:
    return offset(moment, ":", 3, "Z")


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
    return text + offset(moment, "", 2, "GMT")


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
    "basic_iso_date": lambda m: _day(m).replace("-", "") + offset(m, "", 3, "Z"),
    "rfc_1123_date_time": _rfc_1123,
}

#: Every name that `format` takes besides patterns.
FORMAT_NAMES = tuple(sorted({*_NAMED, *_BUILT_IN, *_STYLES}))
