"""Properties that an author may write as a value or as a template that gives one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.plugin.context import RunContext


def flag(context: RunContext, value: bool | str) -> bool:
    """Whether it is true, or renders to it."""
    return value if isinstance(value, bool) else context.render(value).strip().lower() == "true"


def number(context: RunContext, value: float | str) -> float:
    """A number, or the text of one. Raises TaskError."""
    try:
        return value if not isinstance(value, str) else float(context.render(value))
    except ValueError:
        raise TaskError(f"Expected a number, but it was {value!r}.") from None


def whole(context: RunContext, value: int | str | None) -> int | None:
    """A whole number, or the text of one; None stays. Raises TaskError."""
    try:
        return value if not isinstance(value, str) else int(context.render(value))
    except ValueError:
        raise TaskError(f"Expected a whole number, but it was {value!r}.") from None


def seconds(context: RunContext, value: str | float | None) -> float | None:
    """Seconds of an ISO 8601 duration, or of a number of them; None stays. Raises TaskError."""
    if value is None:
        return None
    try:
        return parse_duration_s(context.render(value) if isinstance(value, str) else value)
    except ValueError as error:
        raise TaskError(str(error)) from None


def instant_us(text: str, what: str) -> int:
    """Microseconds since the epoch of a date of ISO 8601; UTC without a zone.

    Raises:
        TaskError: it is none. `what` names it.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise TaskError(f"Expected {what} to be a date, but it was {text[:100]!r}.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def text_list(context: RunContext, value: list[Any] | str | None, what: str) -> list[str]:
    """Texts, each rendered; one text may be a template of a list, its JSON, or the only member.

    Raises:
        TaskError: it is something else. `what` names it.
    """
    if value is None:
        return []
    given = _decoded(context.render_value(value))
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list | tuple):
        raise TaskError(f"Expected {what} as a list, but it was {type(given).__name__}.")
    return [context.render(item) if not isinstance(item, str) else item for item in given]


def text_map(
    context: RunContext, value: Mapping[str, Any] | str | None, what: str
) -> dict[str, Any]:
    """A map with its texts rendered; one text may be a template of a map, or its JSON.

    Raises:
        TaskError: it is something else. `what` names it.
    """
    if value is None:
        return {}
    given = _decoded(context.render_value(value))
    if not isinstance(given, Mapping):
        raise TaskError(f"Expected {what} as a map, but it was {type(given).__name__}.")
    return dict(given)


def _decoded(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value
