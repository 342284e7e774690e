"""Values as text: how the peer's runtime prints each kind, and compact JSON of maps and lists.

`java_text` is what `~`, `+` and interpolation see (`{a=1}`), `output_text` what `{{ }}` writes
(JSON for maps and lists). Both refuse to grow beyond `limits`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import (
    EXPONENT_MAX,
    OUTPUT_CHARS_MAX,
    PIECE_CHARS,
    STEPS_MAX,
    VALUE_DEPTH_MAX,
)
from tiercel_engine.expression.values import (
    Float32,
    MapEntry,
    is_sequence,
    shortest_float32,
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def double_text(value: float) -> str:
    """A double as Java prints it: `1.0`, `1.5E10`, `1.0E-5`, `NaN`, `Infinity`."""
    if isinstance(value, Float32):
        value = shortest_float32(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return repr(float(value))
    if 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    digits, exponent = f"{Decimal(repr(float(value))).normalize():E}".split("E")
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"


def _fraction(micros: int) -> str:
    if micros == 0:
        return ""
    return f".{micros // 1_000:03d}" if micros % 1_000 == 0 else f".{micros:06d}"


def time_text(value: time | datetime, *, seconds: bool = False) -> str:
    """`HH:mm`, with seconds when there are some (or always), fractions in groups of three."""
    text = f"{value.hour:02d}:{value.minute:02d}"
    if seconds or value.second or value.microsecond:
        text += f":{value.second:02d}{_fraction(value.microsecond)}"
    return text


def offset_text(value: datetime) -> str:
    """The offset as `Z`, `+02:00` or `+02:00:30`."""
    offset = value.utcoffset()
    if not offset:
        return "Z"
    total = int(offset.total_seconds())
    sign, total = ("-", -total) if total < 0 else ("+", total)
    text = f"{sign}{total // 3600:02d}:{total // 60 % 60:02d}"
    return f"{text}:{total % 60:02d}" if total % 60 else text


def datetime_text(value: datetime) -> str:
    """An instant, zoned or local date-time as ISO text; a region zone in brackets."""
    day = f"{value.year:04d}-{value.month:02d}-{value.day:02d}T"
    if value.tzinfo is None:
        return day + time_text(value)
    if value.tzinfo is UTC:
        return f"{day}{time_text(value, seconds=True)}Z"
    region = getattr(value.tzinfo, "key", None)
    return f"{day}{time_text(value)}{offset_text(value)}" + (f"[{region}]" if region else "")


def duration_text(value: timedelta) -> str:
    """An ISO 8601 duration in hours, minutes and seconds: `PT5M6S`, `PT0S`, `PT-1.5S`."""
    micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    if micros == 0:
        return "PT0S"
    sign, micros = (-1, -micros) if micros < 0 else (1, micros)
    seconds, micros = divmod(micros, 1_000_000)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    text = "PT"
    if hours:
        text += f"{sign * hours}H"
    if minutes:
        text += f"{sign * minutes}M"
    if seconds or micros:
        text += "-" if sign < 0 else ""
        text += f"{seconds}" + (f".{micros:06d}".rstrip("0") if micros else "") + "S"
    return text


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError as e:
        raise LimitFault("A number has too many digits") from e


def decimal_text(value: Decimal) -> str:
    """A big decimal without exponent.

    Raises:
        LimitFault: it would take absurdly many digits.
    """
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > EXPONENT_MAX:
        raise LimitFault("A number has too many digits")
    return f"{value:f}"


def scalar_text(value: Any) -> str:
    """Anything but maps and lists as text; null is empty."""
    if isinstance(value, str):
        return value.name if isinstance(value, Enum) else str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return datetime_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return time_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    raise Fault("A value of this type has no text")


class _Writer:
    """Collects pieces of text and counts them; a shared list may be met exponentially often."""

    def __init__(self, nulls: bool = True) -> None:
        self.parts: list[str] = []
        self._nulls = nulls
        self._left = OUTPUT_CHARS_MAX

    def add(self, text: str) -> None:
        self._left -= len(text) + PIECE_CHARS
        if self._left < 0:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        self.parts.append(text)

    def java(self, value: Any, depth: int) -> None:
        if depth > VALUE_DEPTH_MAX:
            raise LimitFault("A value is nested too deeply")
        if isinstance(value, MapEntry):
            self.java(value.key, depth + 1)
            self.add("=")
            self.java(value.value, depth + 1)
        elif isinstance(value, Mapping):
            self._java_items("{", [MapEntry(k, v) for k, v in value.items()], "}", depth)
        elif is_sequence(value):
            self._java_items("[", list(value), "]", depth)
        else:
            self.add("null" if value is None else scalar_text(value))

    def _java_items(self, start: str, items: list[Any], end: str, depth: int) -> None:
        self.add(start)
        for index, item in enumerate(items):
            if index:
                self.add(", ")
            self.java(item, depth + 1)
        self.add(end)

    def json(self, value: Any, depth: int) -> None:
        if depth > VALUE_DEPTH_MAX:
            raise LimitFault("A value is nested too deeply")
        if isinstance(value, MapEntry):
            value = {value.key: value.value}
        if isinstance(value, Mapping):
            self.add("{")
            comma = ""
            for key, item in value.items():
                if item is None and not self._nulls:
                    continue
                name = _json_string("null" if key is None else scalar_text(key))
                self.add(f"{comma}{name}:")
                self.json(item, depth + 1)
                comma = ","
            self.add("}")
        elif is_sequence(value):
            self.add("[")
            for index, item in enumerate(value):
                if index:
                    self.add(",")
                self.json(item, depth + 1)
            self.add("]")
        else:
            self.add(_json_scalar(value))


def _json_string(text: str) -> str:
    try:
        return _encode(text).decode()
    except UnicodeEncodeError:
        return _encode(text.encode("utf-8", "replace").decode()).decode()


def _json_scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Enum):
        return _json_string(value.name)
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'"{double_text(value)}"'
    if isinstance(value, timedelta):
        micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        sign = "-" if micros < 0 else ""
        return f"{sign}{abs(micros) // 1_000_000}.{abs(micros) % 1_000_000:06d}000"
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC)
        zone = "" if value.tzinfo is None else "Z"
        return f'"{value.date().isoformat()}T{time_text(value, seconds=True)}{zone}"'
    if isinstance(value, time):
        return f'"{time_text(value, seconds=True)}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return f'"{base64.b64encode(value).decode()}"'
    return scalar_text(value)


def _is_plain(value: Any, depth: int, left: list[int], nulls: bool) -> bool:
    """Whether msgspec prints it as we would, found within the budget of nodes in `left`."""
    left[0] -= 1
    if depth > VALUE_DEPTH_MAX or left[0] < 0:
        return False
    kind = type(value)
    if kind is str:
        left[0] -= len(value) >> 4
        return bool(value.isascii())
    if kind is int or kind is bool or value is None:
        return kind is not int or -(2**63) <= value < 2**63
    if kind is float:
        return bool(value == 0 or 1e-3 <= abs(value) < 1e7)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or (item is None and not nulls):
                return False
            if not _is_plain(item, depth + 1, left, nulls):
                return False
        return True
    if kind is list:
        return all(_is_plain(item, depth + 1, left, nulls) for item in value)
    return False


def json_text(value: Any, *, nulls: bool = True) -> str:
    """Compact JSON, as the peer's mapper writes it.

    Args:
        nulls: whether maps print their entries that are null.

    Raises:
        LimitFault: it is longer or deeper than `limits` allow.
    """
    if _is_plain(value, 0, [STEPS_MAX // 2], nulls):
        return _encode(value).decode()
    writer = _Writer(nulls)
    writer.json(value, 0)
    return "".join(writer.parts)


def is_container(value: Any) -> bool:
    """Whether `{{ }}` prints it as JSON. A map's entry prints as `key=value`."""
    return isinstance(value, Mapping) or is_sequence(value)


def output_text(value: Any, *, nulls: bool = True) -> str:
    """What `{{ value }}` writes. `nulls`: as in `json_text`."""
    if is_container(value):
        return json_text(value, nulls=nulls)
    if isinstance(value, MapEntry):
        return java_text(value)
    return scalar_text(value)


def java_text(value: Any) -> str:
    """What the peer's `toString` gives; null is `null`.

    Raises:
        LimitFault: it is longer or deeper than `limits` allow.
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        return value
    writer = _Writer()
    writer.java(value, 0)
    return "".join(writer.parts)
