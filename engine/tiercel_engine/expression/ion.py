"""Ion text of values and values of Ion, in the peer's spelling."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from amazon.ion import simpleion
from amazon.ion.core import Timestamp, TimestampPrecision
from amazon.ion.exceptions import IonException

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import OUTPUT_CHARS_MAX, PIECE_CHARS, VALUE_DEPTH_MAX
from tiercel_engine.expression.text import (
    double_text,
    json_text,
    offset_text,
    scalar_text,
    time_text,
)
from tiercel_engine.expression.values import MapEntry, is_sequence

_SYMBOL = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_KEYWORDS = frozenset({"null", "true", "false", "nan"})


def ion_text(value: Any) -> str:
    """A value as one line of Ion text.

    Raises:
        LimitFault: it is too long or too deep.
    """
    parts: list[str] = []
    _write(value, parts, 0, [OUTPUT_CHARS_MAX])
    return "".join(parts)


def _write(value: Any, parts: list[str], depth: int, left: list[int]) -> None:
    if depth > VALUE_DEPTH_MAX:
        raise LimitFault("A value is nested too deeply")
    if isinstance(value, MapEntry):
        value = {value.key: value.value}
    if isinstance(value, Mapping):
        _add("{", parts, left)
        for index, (key, item) in enumerate(value.items()):
            _add(("," if index else "") + _field(scalar_text(key)) + ":", parts, left)
            _write(item, parts, depth + 1, left)
        _add("}", parts, left)
    elif is_sequence(value):
        _add("[", parts, left)
        for index, item in enumerate(value):
            if index:
                _add(",", parts, left)
            _write(item, parts, depth + 1, left)
        _add("]", parts, left)
    else:
        _add(_scalar(value), parts, left)


def _add(text: str, parts: list[str], left: list[int]) -> None:
    left[0] -= len(text) + PIECE_CHARS
    if left[0] < 0:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
    parts.append(text)


def _field(name: str) -> str:
    if _SYMBOL.fullmatch(name) and name not in _KEYWORDS:
        return name
    return "'" + json_text(name)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        if math.isinf(value):
            return "+inf" if value > 0 else "-inf"
        text = double_text(float(value)).replace("E", "e")
        return text if "e" in text else text + "e0"
    if isinstance(value, Decimal):
        text = str(value).replace("E+", "d").replace("E", "d")
        return text if "." in text or "d" in text else text + "."
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return f'LocalTime::"{time_text(value, seconds=True)}"'
    if isinstance(value, timedelta):
        return json_text(value)
    if isinstance(value, int):
        return scalar_text(value)
    return json_text(scalar_text(value))


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return f'LocalDateTime::"{value.date().isoformat()}T{time_text(value, seconds=True)}"'
    if value.tzinfo is not UTC:
        region = getattr(value.tzinfo, "key", None)
        clock = f"{value.date().isoformat()}T{time_text(value, seconds=True)}{offset_text(value)}"
        return f'ZonedDateTime::"{clock}{f"[{region}]" if region else ""}"'
    moment = value.astimezone(UTC)
    fraction = f"{moment.microsecond:06d}"
    fraction = fraction[:3] if fraction.endswith("000") else fraction
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{fraction}Z"


def from_ion(source: Any, *, all_rows: bool) -> Any:
    """The first value of Ion text or bytes, or all of them as a list.

    Raises:
        Fault: it is not Ion.
    """
    raw = source.encode("utf-8", "replace") if isinstance(source, str) else bytes(source)
    try:
        rows = simpleion.loads(raw, single_value=False)
        plain = [_plain(row, 0) for row in (rows if all_rows else rows[:1])]
    except (IonException, ValueError, TypeError, EOFError, OverflowError, RecursionError) as e:
        raise Fault(f"Invalid ion: {e}") from e
    if all_rows:
        return plain
    return plain[0] if plain else None


def _plain(value: Any, depth: int) -> Any:
    """Ion's own classes as plain values."""
    if depth > VALUE_DEPTH_MAX:
        raise LimitFault("A value is nested too deeply")
    if value is None or simpleion.is_null(value):
        return None
    if isinstance(value, Mapping):
        return {_name(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "text"):
        return [_plain(item, depth + 1) for item in value]
    if hasattr(value, "text"):
        return value.text
    if isinstance(value, datetime):
        return _plain_moment(value)
    if isinstance(value, int):
        ion_type = getattr(value, "ion_type", None)
        return bool(value) if ion_type is not None and ion_type.name == "BOOL" else int(value)
    if isinstance(value, (float, Decimal)):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return bytes(value)
    raise Fault("Invalid ion: a value of an unknown type")


def _name(key: Any) -> str:
    return str(getattr(key, "text", key))


def _plain_moment(value: datetime) -> Any:
    precision = getattr(value, "precision", None)
    if isinstance(value, Timestamp) and precision is not None and precision.includes_second:
        precision = TimestampPrecision.SECOND
    moment = datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second,
        value.microsecond, value.tzinfo or UTC,
    )  # fmt: skip
    if precision in (None, TimestampPrecision.SECOND, TimestampPrecision.MINUTE):
        return moment.astimezone(UTC)
    return moment.date()
