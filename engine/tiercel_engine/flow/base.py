"""What every part of a flow's definition has in common, and how a typed part finds its class.

A flow is built top down by pydantic with a `BuildContext` as validation context: wherever a model
says `AnyTask`, `AnyTrigger` or `AnyInput`, the `type` property decides the class. This works at
any depth, also inside the task types of third parties.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

ID_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9._-]*"
TASK_ID_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_-]*"
NAMESPACE_PATTERN = "^[a-z0-9][a-z0-9._-]*"
ID_CHARS_MAX = 100
NAMESPACE_CHARS_MAX = 150
#: In the JSON schema of a part: stands for all types of the kind that it names.
UNION = "$union"
#: What is taken as text, in JSON Schema.
TEXT_TYPES = ["string", "number", "boolean"]


class Rule(PydanticCustomError):
    """A value of the right shape that a rule of the language refuses."""

    def __new__(cls, message: str) -> Rule:
        return super().__new__(cls, "rule", "{message}", {"message": message})


class BuildContext(Protocol):
    """What the parts of a flow need to know while they are being built."""

    #: The class that read each mapping of the source, by the mapping's id().
    classes: dict[int, type[Part]]
    #: Whether a stored flow is read, which is taken as it is.
    is_lenient: bool

    def task(self, properties: dict[str, Any]) -> Any:
        """The task with these properties, as its own type."""

    def trigger(self, properties: dict[str, Any]) -> Any:
        """The trigger with these properties, as its own type."""

    def remember(self, part: Any, properties: dict[str, Any]) -> None:
        """Keep which mapping of the source a part was built from, for error positions."""


class Part(BaseModel):
    """A part of a flow. Unknown properties are refused; null means not given."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, coerce_numbers_to_str=True, frozen=False
    )

    #: How the peer's error texts name this part.
    PEER_NAME: ClassVar[str] = ""

    @classmethod
    def known_properties(cls) -> list[str]:
        """The names of all properties, as authors write them."""
        return [
            field.alias or _first_choice(field.validation_alias) or name
            for name, field in cls.model_fields.items()
        ]

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        if info.context is not None:
            info.context.classes[id(data)] = cls
        if None not in data.values():
            return data
        known = cls.known_properties()
        return {k: v for k, v in data.items() if v is not None or k not in known}


class WrittenPart(Part):
    """A part that keeps how it was written beside what was read from it."""

    _properties: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        """The part as it was written (a JSON object), plugin defaults merged in. Read only."""
        return self._properties


def _first_choice(alias: Any) -> str | None:
    if alias is None or isinstance(alias, str):
        return alias
    return str(alias.choices[0])


def to_text(value: Any) -> Any:
    """Booleans as the text they were written as; numbers are left to pydantic."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _matching(pattern: str, chars_max: int) -> Any:
    compiled = re.compile(pattern.removeprefix("^"))

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise Rule(f'must match "{pattern}"')
        if len(value) > chars_max:
            raise Rule(f"size must be between 1 and {chars_max}")
        return value

    return AfterValidator(check)


def _as_schema(pattern: str, chars_max: int) -> Any:
    whole = {"type": TEXT_TYPES, "pattern": pattern + "$", "minLength": 1, "maxLength": chars_max}
    return WithJsonSchema(whole)


#: Text; booleans and numbers are taken as they were written.
Text = Annotated[str, BeforeValidator(to_text), WithJsonSchema({"type": TEXT_TYPES})]
FlowId = Annotated[Text, _matching(ID_PATTERN, ID_CHARS_MAX), _as_schema(ID_PATTERN, ID_CHARS_MAX)]
TaskId = Annotated[
    Text, _matching(TASK_ID_PATTERN, ID_CHARS_MAX), _as_schema(TASK_ID_PATTERN, ID_CHARS_MAX)
]
InputId = FlowId
Namespace = Annotated[
    Text,
    _matching(NAMESPACE_PATTERN, NAMESPACE_CHARS_MAX),
    _as_schema(NAMESPACE_PATTERN, NAMESPACE_CHARS_MAX),
]
