"""The known condition types. Conditions themselves stay plain JSON objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from tiercel_engine.flow.base import UNION
from tiercel_engine.plugin.condition_types import CONDITIONS, PACKAGE

#: Today's names.
CONDITION_TYPES = frozenset(condition.TYPE for condition in CONDITIONS)
#: Older name -> today's name.
CONDITION_ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: condition.TYPE for condition in CONDITIONS for alias in condition.ALIASES}
)


def condition_type(name: str) -> str | None:
    """Today's name of a condition type, None when there is no such type."""
    return name if name in CONDITION_TYPES else CONDITION_ALIASES.get(name)


def everywhere(conditions: Sequence[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    """The conditions, and those inside Not, Or and MultipleCondition."""
    pending = list(conditions or ())
    while pending:
        condition = pending.pop()
        yield condition
        inner = condition.get("conditions")
        values = inner.values() if isinstance(inner, dict) else inner or ()
        pending.extend(value for value in values if isinstance(value, dict))


def has_type(conditions: Sequence[dict[str, Any]] | None, name: str) -> bool:
    """Whether one of them, at any depth, is of the type with this short name."""
    return any(
        condition_type(str(one.get("type"))) == PACKAGE + name for one in everywhere(conditions)
    )


def _check(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Refuse unknown types."""
    for condition in everywhere(conditions):
        name = condition.get("type")
        if not isinstance(name, str) or condition_type(name) is None:
            shown = "null" if name is None else str(name)
            raise PydanticCustomError("unknown_type", "Invalid type: {name}", {"name": shown})
    return conditions


#: A list of conditions of known types.
Conditions = Annotated[
    list[dict[str, Any]],
    AfterValidator(_check),
    WithJsonSchema({"type": "array", "items": {UNION: "condition"}}),
]
