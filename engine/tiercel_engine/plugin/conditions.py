"""The known condition types. Conditions themselves stay plain JSON objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from tiercel_engine.flow.base import UNION, Rule
from tiercel_engine.plugin.condition_types import CONDITIONS, PACKAGE

#: Today's names.
CONDITION_TYPES = frozenset(condition.TYPE for condition in CONDITIONS)
#: Older name -> today's name.
CONDITION_ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: condition.TYPE for condition in CONDITIONS for alias in condition.ALIASES}
)

_BY_NAME = {name: each for each in CONDITIONS for name in (each.TYPE, *each.ALIASES)}


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


def _check(conditions: list[dict[str, Any]], info: ValidationInfo) -> list[dict[str, Any]]:
    """Refuse unknown types, and properties that their type does not have or lacks.

    Stored flows are left as they are: what cannot be judged is told when it is to be judged.
    """
    for condition in everywhere(conditions):
        name = condition.get("type")
        if not isinstance(name, str) or condition_type(name) is None:
            shown = "null" if name is None else str(name)
            raise PydanticCustomError("unknown_type", "Invalid type: {name}", {"name": shown})
        if info.context is not None and not info.context.is_lenient:
            _check_properties(name, condition)
    return conditions


def _check_properties(name: str, condition: dict[str, Any]) -> None:
    try:
        _BY_NAME[name].model_validate(condition, by_alias=True, by_name=False)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise Rule(f"{name.rpartition('.')[2]}: {place}: {fault['msg']}") from None


#: A list of conditions of known types.
Conditions = Annotated[
    list[dict[str, Any]],
    AfterValidator(_check),
    WithJsonSchema({"type": "array", "items": {UNION: "condition"}}),
]
