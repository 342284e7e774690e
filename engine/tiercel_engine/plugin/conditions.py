"""The known condition types. Conditions themselves stay plain JSON objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_NEW = "io.kestra.plugin.core.condition."
_OLD = "io.kestra.core.models.conditions.types."
_NAMES = (
    "DateTimeBetween",
    "DayWeek",
    "DayWeekInMonth",
    "ExecutionFlow",
    "ExecutionLabels",
    "ExecutionNamespace",
    "ExecutionOutputs",
    "ExecutionStatus",
    "Expression",
    "FlowCondition",
    "FlowNamespaceCondition",
    "HasRetryAttempt",
    "MultipleCondition",
    "Not",
    "Or",
    "PublicHoliday",
    "TimeBetween",
    "Weekend",
)


def _aliases() -> Iterator[tuple[str, str]]:
    for name in _NAMES:
        long_name = name if name.endswith("Condition") else name + "Condition"
        for alias in (_NEW + long_name, _OLD + long_name):
            if alias != _NEW + name:
                yield alias, _NEW + name
    yield _OLD + "VariableCondition", _NEW + "Expression"


#: Today's names.
CONDITION_TYPES = frozenset(_NEW + name for name in _NAMES)
#: Older name -> today's name.
CONDITION_ALIASES: Mapping[str, str] = MappingProxyType(dict(_aliases()))


def condition_type(name: str) -> str | None:
    """Today's name of a condition type, None when there is no such type."""
    return name if name in CONDITION_TYPES else CONDITION_ALIASES.get(name)


def _check(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Refuse unknown types, also in the conditions inside Not, Or and MultipleCondition."""
    pending = list(conditions)
    while pending:
        condition = pending.pop()
        name = condition.get("type")
        if not isinstance(name, str) or condition_type(name) is None:
            shown = "null" if name is None else str(name)
            raise PydanticCustomError("unknown_type", "Invalid type: {name}", {"name": shown})
        inner = condition.get("conditions")
        values = inner.values() if isinstance(inner, dict) else inner or ()
        pending.extend(value for value in values if isinstance(value, dict))
    return conditions


#: A list of conditions of known types.
Conditions = Annotated[list[dict[str, Any]], AfterValidator(_check)]
