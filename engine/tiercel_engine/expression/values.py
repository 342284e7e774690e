"""The kinds of values an expression knows, and the names the peer has for them.

Plain Python values stand for the peer's: `str`, `bool`, `int`, `float`, `Decimal`, lists, maps,
and of time `datetime` (aware in UTC: an instant; aware elsewhere: a zoned date-time; naive: a local
one), `date`, `time` and `timedelta`. The few subclasses here keep a distinction that the language
can see (`className`, the text of 32-bit floats) and that Python lacks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from tiercel_engine.expression.limits import EXPONENT_MAX

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
INT_MIN, INT_MAX = -(2**31), 2**31 - 1


class Long(int):
    """A 64-bit integer: literals are these."""

    __slots__ = ()


class BigInteger(int):
    """An integer that was asked for as BIGINTEGER."""

    __slots__ = ()


class Float32(float):
    """A 32-bit float; its text is the shortest that gives the same 32 bits."""

    __slots__ = ()


class MapEntry(NamedTuple):
    """What a `for` over a map gives: `.key` and `.value`."""

    key: Any
    value: Any


#: What `~`, loops and JSON treat as a list. `MapEntry` is a tuple but not one of them.
SEQUENCES = (list, tuple, set, frozenset)


def is_sequence(value: Any) -> bool:
    """Whether the language sees a list (or a set) in it."""
    return isinstance(value, SEQUENCES) and not isinstance(value, MapEntry)


def is_map(value: Any) -> bool:
    """Whether the language sees a map in it."""
    return isinstance(value, Mapping)


def is_number(value: Any) -> bool:
    """Whether it takes part in arithmetic; booleans do not."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def whole_number(value: Any) -> int | None:
    """A number without fraction as an integer; None for every other value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= EXPONENT_MAX:
        return int(value) if value == value.to_integral_value() else None
    return None


def as_list(value: Any) -> list[Any]:
    """The items of a list, tuple or set, as a list."""
    return value if isinstance(value, list) else list(value)


def entries(mapping: Mapping[Any, Any]) -> Iterable[MapEntry]:
    """The entries of a map, in its order."""
    return [MapEntry(k, v) for k, v in mapping.items()]


def narrow(value: float) -> Float32 | None:
    """The nearest 32-bit float, or None when it overflows."""
    try:
        return Float32(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return None


def shortest_float32(value: float) -> float:
    """The shortest decimal that gives the same 32 bits, as a float."""
    for digits in range(1, 10):
        candidate = float(f"{value:.{digits}g}")
        if narrow(candidate) == value:
            return candidate
    return value


def _integer_class(value: int) -> str:
    if isinstance(value, BigInteger):
        return "java.math.BigInteger"
    if isinstance(value, Long):
        return "java.lang.Long"
    if INT_MIN <= value <= INT_MAX:
        return "java.lang.Integer"
    return "java.lang.Long" if LONG_MIN <= value <= LONG_MAX else "java.math.BigInteger"


_CLASSES: tuple[tuple[type, str], ...] = (
    (bool, "java.lang.Boolean"),
    (str, "java.lang.String"),
    (Float32, "java.lang.Float"),
    (float, "java.lang.Double"),
    (Decimal, "java.math.BigDecimal"),
    (date, "java.time.LocalDate"),
    (time, "java.time.LocalTime"),
    (timedelta, "java.time.Duration"),
    (bytes, "[B"),
    (MapEntry, "java.util.Map.Entry"),
    (Mapping, "java.util.LinkedHashMap"),
    (list, "java.util.ArrayList"),
    (tuple, "java.util.ArrayList"),
    (set, "java.util.LinkedHashSet"),
    (frozenset, "java.util.LinkedHashSet"),
)


def class_name(value: Any) -> str:
    """The peer's class of a value (never a Python name, which would tell about our insides)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer_class(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return "java.time.LocalDateTime"
        return "java.time.Instant" if value.tzinfo is UTC else "java.time.ZonedDateTime"
    if isinstance(value, Enum):
        return "java.lang.Enum"
    for kind, name in _CLASSES:
        if isinstance(value, kind):
            return name
    return "java.lang.Object"
