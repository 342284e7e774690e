"""Tests: what stands after `is` and `is not`."""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.filters_collections import is_blank
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.table import predicate
from tiercel_engine.expression.values import MapEntry, class_name, is_map, is_sequence, whole_number


@predicate("empty")
def empty(frame: Frame, value: Any) -> bool:
    """Null, a blank text, an empty list or an empty map."""
    return is_blank(value)


@predicate("null")
def null(frame: Frame, value: Any) -> bool:
    """Null."""
    return value is None


@predicate("defined", forgiving=True)
def defined(frame: Frame, value: Any) -> bool:
    """Not null; what is missing is not defined, and no error."""
    return value is not None


def _parity(value: Any, name: str) -> int:
    if value is None:
        raise Fault(f'Can not pass null value to "{name}" test.')
    number = whole_number(value)
    if number is None:
        raise Fault(f'The "{name}" test expects a whole number, but was {class_name(value)}')
    return number % 2


@predicate("even")
def even(frame: Frame, value: Any) -> bool:
    """A whole number that two divides."""
    return _parity(value, "even") == 0


@predicate("odd")
def odd(frame: Frame, value: Any) -> bool:
    """A whole number that two does not divide."""
    return _parity(value, "odd") == 1


@predicate("iterable")
def iterable(frame: Frame, value: Any) -> bool:
    """A list."""
    return is_sequence(value)


@predicate("map")
def map_(frame: Frame, value: Any) -> bool:
    """A map."""
    return is_map(value) and not isinstance(value, MapEntry)


@predicate("json")
def json(frame: Frame, value: Any) -> bool:
    """A text that parses as JSON."""
    if not isinstance(value, str):
        return False
    if not value.strip():
        return True
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
