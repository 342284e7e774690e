"""Texts read by a Java date pattern (`existingFormat`), by way of a regular expression."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from babel import Locale
from babel.dates import get_day_names, get_month_names, get_period_names

from tiercel_engine.expression.date_patterns import Piece, locale_of, pieces
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.moments import zone_of

#: Characters of a date text.
TEXT_CHARS_MAX = 200


class _Reader(NamedTuple):
    """A compiled pattern: `fields[i]` names what group `f<i>` holds."""

    regex: re.Pattern[str]
    fields: tuple[Piece, ...]


_OFFSET = r"Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?"
_ZONE = r"[A-Za-z][A-Za-z0-9_/+-]*|" + _OFFSET


@lru_cache(maxsize=256)
def _reader(pattern: str, locale_name: str) -> _Reader:
    locale = locale_of(locale_name)
    source = ""
    fields: list[Piece] = []
    for piece in pieces(pattern):
        if not piece.letter:
            source += re.escape(piece.literal)
            continue
        source += f"(?P<f{len(fields)}>{_field(piece, locale)})"
        fields.append(piece)
    return _Reader(re.compile(source, re.IGNORECASE), tuple(fields))


def _field(piece: Piece, locale: Locale) -> str:
    letter, count = piece.letter, piece.width
    if (letter in "MLE" and count > 2) or (letter in "ec" and count > 2) or letter == "E":
        names = _names(letter, count, locale)
        return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    if letter == "a":
        periods = get_period_names("abbreviated", "format", locale)
        return "|".join(re.escape(str(periods[half])) for half in ("am", "pm"))
    if letter in "uyY":
        return r"\d{2}" if count == 2 else rf"[+-]?\d{{{count},9}}" if count > 1 else r"[+-]?\d+"
    if letter == "S":
        return rf"\d{{{count}}}"
    if letter in "VvzO":
        return _ZONE
    if letter in "XxZ":
        return _OFFSET
    if letter in "GQqB":
        raise Fault(f"Text cannot be read by the pattern letter {letter}")
    widest = {"D": 3, "A": 8, "n": 9, "N": 14}.get(letter, 2)
    return rf"\d{{1,{widest}}}" if count == 1 else rf"\d{{{count},{max(count, widest)}}}"


def _names(letter: str, count: int, locale: Locale) -> dict[str, int]:
    """Names of months (from 1) or weekdays (from 0), to read."""
    width = {4: "wide", 5: "narrow"}.get(count, "abbreviated")
    if letter in "ML":
        table = get_month_names(width, "format", locale)  # type: ignore[arg-type]
    else:
        table = get_day_names(width, "format", locale)  # type: ignore[arg-type]
    return {str(name): int(number) for number, name in table.items()}


def parse_by_pattern(text: str, pattern: str, locale_name: str) -> datetime | date:
    """A date (or date-time, aware when the text names an offset) read by a pattern.

    Raises:
        Fault: the text does not fit the pattern.
    """
    reader = _reader(pattern, locale_name)
    found = reader.regex.fullmatch(text) if len(text) <= TEXT_CHARS_MAX else None
    if found is None:
        raise Fault(f"Text '{text[:200]}' could not be parsed at index 0")
    values: dict[str, int] = {}
    zone: tzinfo | None = None
    for index, piece in enumerate(reader.fields):
        raw = found[f"f{index}"]
        if piece.letter in "VvzOXxZ":
            zone = zone or zone_of(raw.removeprefix("GMT") or "GMT" if raw[:3] == "GMT" else raw)
        else:
            values[_KEYS.get(piece.letter, piece.letter)] = _number(
                raw, piece, locale_of(locale_name)
            )
    try:
        return _moment(values, zone)
    except (ValueError, OverflowError) as e:
        raise Fault(f"Text '{text}' could not be parsed: {e}") from e


#: Letters that mean the same when read.
_KEYS = {"u": "y", "Y": "y", "L": "M", "K": "h", "k": "H", "e": "E", "c": "E"}


def _number(raw: str, piece: Piece, locale: Locale) -> int:
    if piece.letter == "a":
        periods = get_period_names("abbreviated", "format", locale)
        return int(raw.lower() == str(periods["pm"]).lower())
    if not raw.lstrip("+-").isdigit():
        lowered = {k.lower(): v for k, v in _names(piece.letter, piece.width, locale).items()}
        return lowered[raw.lower()]
    if piece.letter == "S":
        return int(raw[:6].ljust(6, "0"))
    if piece.letter in "uyY" and piece.width == 2:
        return 2000 + int(raw)
    return int(raw)


def _moment(values: dict[str, int], zone: tzinfo | None) -> datetime | date:
    if "y" not in values:
        raise ValueError("the year is missing")
    if "D" in values:
        day = date(values["y"], 1, 1) + timedelta(days=values["D"] - 1)
    elif "M" in values and "d" in values:
        day = date(values["y"], values["M"], values["d"])
    else:
        raise ValueError("the month or the day is missing")
    hour = values.get("H")
    if hour is None and "h" in values:
        hour = values["h"] % 12 + 12 * values.get("a", 0)
    if hour is None:
        return day
    micros = values["S"] if "S" in values else values.get("n", 0) // 1_000
    clock = time(hour % 24, values.get("m", 0), values.get("s", 0), micros)
    return datetime.combine(day, clock, zone)
