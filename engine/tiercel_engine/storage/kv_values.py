"""The types of key-value pairs: what a value is, becomes, and looks like in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.flow.duration import format_duration, parse_duration_s

_DURATION = re.compile(r"P(?=[0-9T])(?:[0-9]+D)?(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?[0-9.]*S?)?")


class KvType(StrEnum):
    """The types of values, as the peer names them."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"
    DATE = "DATE"
    DURATION = "DURATION"
    JSON = "JSON"


def typed(value: Any, kind: KvType | None = None) -> tuple[Any, KvType]:
    """A value in the form of its type, and the type.

    Args:
        kind: the type that it shall have; without one it follows from the value, where a text
            that is an ISO 8601 duration is one.

    Raises:
        UserError: it cannot be of that type.
    """
    if kind is None:
        return _natural(value)
    try:
        return _READERS[kind](value), kind
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"Expected a value of type {kind}, but it was {value!r}.") from None


def stored_kind(name: str, value: Any) -> KvType:
    """The type of a stored value. JSON is already a value: a text in it is not read again."""
    kind = KvType(name)
    return KvType.STRING if kind is KvType.JSON and isinstance(value, str) else kind


def _natural(value: Any) -> tuple[Any, KvType]:
    for kind, types in _NATURAL:
        if isinstance(value, types):
            if kind is KvType.STRING and _DURATION.fullmatch(value):
                return _duration(value), KvType.DURATION
            return (value.astimezone(UTC) if kind is KvType.DATETIME else value), kind
    return value, KvType.JSON


def _text(value: Any) -> str:
    shown = plain(value)
    return shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()


def _number(value: Any) -> int | float:
    number = msgspec.json.decode(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[_lower(value)]


def _lower(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError
    return text


def _datetime(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=parse_duration_s(value))


def _json(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) else value


_READERS: Mapping[KvType, Any] = {
    KvType.STRING: _text,
    KvType.NUMBER: _number,
    KvType.BOOLEAN: _boolean,
    KvType.DATETIME: _datetime,
    KvType.DATE: _date,
    KvType.DURATION: _duration,
    KvType.JSON: _json,
}

#: In this order: a bool is an int, an instant is a date.
_NATURAL: tuple[tuple[KvType, Any], ...] = (
    (KvType.BOOLEAN, bool),
    (KvType.NUMBER, (int, float)),
    (KvType.STRING, str),
    (KvType.DATETIME, datetime),
    (KvType.DATE, date),
    (KvType.DURATION, timedelta),
)


def plain(value: Any) -> Any:
    """A value as JSON holds it: instants in UTC, dates and durations as ISO 8601 texts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return format_duration(value // timedelta(microseconds=1))
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
