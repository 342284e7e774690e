"""Given values to typed ones: what an input or an output of each type accepts and becomes.

Results are JSON-able: instants are ISO 8601 texts in UTC, dates, times and durations texts in
their normal form. Reasons are worded as clients of the peer know them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

import msgspec

from tiercel_engine.clock import iso
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.duration import format_duration, parse_duration_s
from tiercel_engine.flow.source import read

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+")
_STORED_FILE = re.compile(r"(?:kestra|nsfile|file):///\S+")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")


_SCALARS = frozenset({str, int, float, bool})


class BadValue(ValueError):
    """A value that its type does not accept; the text says why."""


def plain(value: Any) -> Any:
    """What a template gave, as JSON knows it: its kinds of numbers, dates, maps have plain names.

    Raises:
        BadValue: it is nothing that JSON can hold.
    """
    if value is None or type(value) in _SCALARS:
        return value
    try:
        return msgspec.json.decode(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadValue(f"Expected a value that JSON can hold, but {error}") from None


def _as_plain(value: Any) -> Any:
    """Numbers and maps that are more than their plain type."""
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"it has a {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=_as_plain).encode


def text_of(value: Any) -> str:
    """A value as text: what was text stays, anything else as JSON."""
    if isinstance(value, str):
        return value
    return _encode(value).decode()


def integer(value: Any) -> int:
    """A 64-bit integer, or its decimal text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = text_of(value)
    if _INTEGER.fullmatch(text) is None or not -(2**63) <= int(text) < 2**63:
        raise BadValue(f'For input string: "{text}"')
    return int(text)


def decimal(value: Any) -> float:
    """A floating-point number, or its text."""
    text = text_of(value)
    if _FLOAT.fullmatch(text) is None or not math.isfinite(number := float(text)):
        raise BadValue(f'For input string: "{text}"')
    return number


def boolean(value: Any) -> bool:
    """True, false, or one of these as text, in any case."""
    word = text_of(value).strip().lower()
    if word not in ("true", "false"):
        raise BadValue("Expected `true` or `false`")
    return word == "true"


def instant(value: Any) -> str:
    """A date and time with its offset, as ISO 8601 text in UTC."""
    return iso(instant_us(value))


def instant_us(value: Any) -> int:
    """A date and time with its offset, as microseconds since 1970."""
    text = text_of(value)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise _unparsed(text) from None
    if parsed.tzinfo is None or "T" not in text.upper():
        raise _unparsed(text)
    whole = parsed.replace(microsecond=0).timestamp()
    return int(whole) * 1_000_000 + parsed.microsecond


def day(value: Any) -> str:
    """A date as ISO 8601 text."""
    text = text_of(value)
    try:
        return (date.fromisoformat(text) if _DATE.fullmatch(text) else _refuse(text)).isoformat()
    except ValueError:
        raise _unparsed(text) from None


def time_of_day(value: Any) -> str:
    """A time without a date or offset, as ISO 8601 text with seconds."""
    text = text_of(value)
    try:
        parsed = time.fromisoformat(text)
    except ValueError:
        raise _unparsed(text) from None
    if parsed.tzinfo is not None or ":" not in text:
        raise _unparsed(text)
    is_whole_ms = parsed.microsecond and parsed.microsecond % 1_000 == 0
    return parsed.isoformat("milliseconds" if is_whole_ms else "auto")


def duration(value: Any) -> str:
    """An ISO 8601 duration, or a number of seconds, in the normal form."""
    return format_duration(round(duration_s(value) * 1_000_000))


def duration_s(value: Any) -> float:
    """An ISO 8601 duration, or a number of seconds, in seconds."""
    try:
        return parse_duration_s(value)
    except ValueError:
        raise BadValue(f"Text '{text_of(value)}' cannot be parsed to a Duration") from None


def json_value(value: Any) -> Any:
    """The value of JSON text; what is no text already is one."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadValue(f"Expected JSON, but {error}") from None


def yaml_value(value: Any) -> Any:
    """The value of YAML text; what is no text already is one."""
    if not isinstance(value, str):
        return value
    try:
        return read(value).data
    except InvalidFlow as error:
        raise BadValue(f"Expected YAML, but {error.violations[0].message}") from None


def uri(value: Any) -> str:
    """An absolute URI."""
    text = text_of(value)
    if _URI.fullmatch(text) is None:
        raise BadValue(f"Expected `URI` but received `{text}`")
    return text


def stored_file(value: Any) -> str:
    """The address of a file in internal storage."""
    text = text_of(value)
    if _STORED_FILE.fullmatch(text) is None:
        raise BadValue("Expected the address of a stored file such as `kestra:///…`")
    return text


def email(value: Any) -> str:
    """An e-mail address."""
    text = text_of(value)
    if len(text) > 254 or _EMAIL.fullmatch(text) is None:
        raise BadValue("The input must be a valid email")
    return text


def _unparsed(text: str) -> BadValue:
    return BadValue(f"Text '{text}' could not be parsed")


def _refuse(text: str) -> date:
    raise _unparsed(text)


#: Type name -> conversion, for the types that have no other properties.
CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "STRING": text_of,
    "SELECT": text_of,
    "ENUM": text_of,
    "SECRET": text_of,
    "INT": integer,
    "FLOAT": decimal,
    "BOOLEAN": boolean,
    "BOOL": boolean,
    "DATETIME": instant,
    "DATE": day,
    "TIME": time_of_day,
    "DURATION": duration,
    "FILE": stored_file,
    "JSON": json_value,
    "YAML": yaml_value,
    "URI": uri,
    "EMAIL": email,
}
LIST_TYPES = ("ARRAY", "MULTISELECT")


def convert(kind: str, value: Any, item_kind: str | None = None) -> Any:
    """A value as one of type `kind`. Secrets are not encrypted here.

    Args:
        kind: one of CONVERSIONS or LIST_TYPES.
        value: JSON-able; text is parsed.
        item_kind: the type of the elements when `kind` is a list type; as they are when None.

    Raises:
        BadValue: the type does not accept it.
    """
    value = plain(value)
    if kind not in LIST_TYPES:
        return CONVERSIONS[kind](value)
    try:
        items = json_value(value)
    except BadValue:
        items = None
    if not isinstance(items, list):
        raise BadValue('Expected a list, or a list as JSON text such as `["a", "b"]`')
    if item_kind is None:
        return items
    converted = []
    for item in items:
        try:
            converted.append(convert(item_kind, item))
        except BadValue:
            raise BadValue(
                f"Unable to parse array element as `{item_kind}` on `{text_of(item)}`"
            ) from None
    return converted
