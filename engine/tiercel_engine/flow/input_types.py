"""The types of a flow's inputs: their properties, and which values they accept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from tiercel_engine.flow.base import Rule, Text
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.json_schema import check_schema, schema_validator
from tiercel_engine.flow.patterns import compiled, matches
from tiercel_engine.flow.values import (
    CONVERSIONS,
    LIST_TYPES,
    BadValue,
    convert,
    day,
    duration,
    duration_s,
    instant,
    instant_us,
    json_value,
    text_of,
    time_of_day,
)

PATTERN_CHARS_MAX = 1_000
FORM = "FORM"


def _compiles(pattern: str) -> str:
    if len(pattern) > PATTERN_CHARS_MAX:
        raise Rule(f"size must be between 0 and {PATTERN_CHARS_MAX}")
    try:
        compiled(pattern)
    except ValueError as error:
        raise Rule(f"must be a regular expression, but {error}") from None
    return pattern


class StringInput(Input):
    """Text."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.StringInput"
    TYPES: ClassVar[tuple[str, ...]] = ("STRING",)

    validator: Annotated[str, AfterValidator(_compiles)] | None = None

    @property
    def takes_blank_text(self) -> bool:
        return True

    def check(self, value: Any) -> None:
        if self.validator is not None and not matches(self.validator, value, whole=True):
            raise BadValue(f"it must match the pattern `{self.validator}`")


class SecretInput(StringInput):
    """Text that is encrypted before it enters the execution."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.SecretInput"
    TYPES: ClassVar[tuple[str, ...]] = ("SECRET",)


class NumberInput(Input):
    """A number, possibly within bounds."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.FloatInput"
    TYPES: ClassVar[tuple[str, ...]] = ("FLOAT",)

    min: float | None = None
    max: float | None = None

    def check(self, value: Any) -> None:
        if self.min is not None and value < self.min:
            raise BadValue(f"it must be more than `{self.min}`")
        if self.max is not None and value > self.max:
            raise BadValue(f"it must be less than `{self.max}`")


class IntInput(NumberInput):
    """An integer, possibly within bounds."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.IntInput"
    TYPES: ClassVar[tuple[str, ...]] = ("INT",)

    min: int | None = None
    max: int | None = None


class PlainInput(Input):
    """A value of a type that has no constraints."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.BooleanInput"
    TYPES: ClassVar[tuple[str, ...]] = ("BOOLEAN", "BOOL", "YAML", "URI", "EMAIL")


class JsonInput(Input):
    """A JSON value, possibly one that a JSON schema describes."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.JsonInput"
    TYPES: ClassVar[tuple[str, ...]] = ("JSON",)

    json_schema: Any = Field(None, alias="jsonSchema")

    _validator: Any = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        """Refuse a schema that is none."""
        if self.json_schema is None:
            return
        try:
            self._validator = schema_validator(json_value(self.json_schema))
        except BadValue as error:
            raise Rule(f"{self.id}: jsonSchema: {error}") from None

    def check(self, value: Any) -> None:
        if self._validator is not None:
            check_schema(self._validator, value)


#: Per temporal type: its normal form, something to compare by, and how bounds are shown.
_TEMPORAL: dict[str, tuple[Any, Any, Any]] = {
    "DATETIME": (instant, instant_us, str),
    "DATE": (day, day, str),
    "TIME": (time_of_day, time_of_day, lambda text: re.sub(r"^(\d\d:\d\d):00$", r"\1", text)),
}


class TemporalInput(Input):
    """A date, a time or both, possibly within bounds; the bounds belong to the range."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.DateTimeInput"
    TYPES: ClassVar[tuple[str, ...]] = ("DATETIME", "DATE", "TIME")

    after: Text | None = None
    before: Text | None = None

    def model_post_init(self, context: Any) -> None:
        """Refuse bounds that are no values of the type themselves."""
        normal = _TEMPORAL[self.type][0]
        try:
            self.after = None if self.after is None else normal(self.after)
            self.before = None if self.before is None else normal(self.before)
        except BadValue as error:
            raise Rule(f"{self.id}: {error}") from None

    def check(self, value: Any) -> None:
        _, comparable, shown = _TEMPORAL[self.type]
        if self.after is not None and comparable(value) < comparable(self.after):
            raise BadValue(f"it must be after `{shown(self.after)}`")
        if self.before is not None and comparable(value) > comparable(self.before):
            raise BadValue(f"it must be before `{shown(self.before)}`")


class DurationInput(Input):
    """A duration, possibly within bounds."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.DurationInput"
    TYPES: ClassVar[tuple[str, ...]] = ("DURATION",)

    min: Text | None = None
    max: Text | None = None

    def model_post_init(self, context: Any) -> None:
        """Refuse bounds that are no durations themselves."""
        try:
            self.min = None if self.min is None else duration(self.min)
            self.max = None if self.max is None else duration(self.max)
        except BadValue as error:
            raise Rule(f"{self.id}: {error}") from None

    def check(self, value: Any) -> None:
        if self.min is not None and duration_s(value) < duration_s(self.min):
            raise BadValue(f"It must be more than `{self.min}`")
        if self.max is not None and duration_s(value) > duration_s(self.max):
            raise BadValue(f"It must be less than `{self.max}`")


class FileInput(Input):
    """A file; its value is the address in internal storage."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.FileInput"
    TYPES: ClassVar[tuple[str, ...]] = ("FILE",)

    #: What a stored file without a name of its own is called.
    extension: str = ".upl"
    allowed_file_extensions: list[str] = Field([], alias="allowedFileExtensions")

    def check(self, value: Any) -> None:
        allowed = self.allowed_file_extensions
        if allowed and not value.lower().endswith(tuple(ending.lower() for ending in allowed)):
            raise BadValue(f"it must have one of the extensions `[{', '.join(allowed)}]`")


def _item_type(name: str) -> str:
    if name not in CONVERSIONS:
        raise Rule(f"itemType must be one of {', '.join(CONVERSIONS)}")
    return name


ItemType = Annotated[str, AfterValidator(_item_type)]


class ArrayInput(Input):
    """A list of values of one type."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.ArrayInput"
    TYPES: ClassVar[tuple[str, ...]] = ("ARRAY",)

    item_type: ItemType = Field(alias="itemType")

    def convert(self, value: Any) -> Any:
        return convert(self.type, value, self.item_type)


class ChoiceInput(Input):
    """One of several values, written down or given by an expression."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.SelectInput"
    TYPES: ClassVar[tuple[str, ...]] = ("SELECT", "ENUM")

    values: list[Any] | None = None
    expression: Text | None = None
    allow_custom_value: bool = Field(False, alias="allowCustomValue")
    is_radio: bool = Field(False, alias="isRadio")
    auto_select_first: bool = Field(False, alias="autoSelectFirst")

    def model_post_init(self, context: Any) -> None:
        """Refuse an input that offers nothing, or by two ways."""
        if (self.values is None) == (self.expression is None):
            raise Rule(f"{self.id}: either `values` or `expression` must be set")

    def choices(self) -> list[Any] | None:
        return None if self.values is None else [choice_text(value) for value in self.values]

    def first_of(self, choices: list[Any]) -> Any:
        """What is chosen when nobody chooses. `choices`: some, as texts."""
        return choices[0]


def choice_text(value: Any) -> str:
    """What stands for an offered value, which may be a map with a `label` and a `value`."""
    return text_of(value.get("value") if isinstance(value, dict) and "value" in value else value)


class MultiChoiceInput(ChoiceInput):
    """Any number of several values."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.MultiselectInput"
    TYPES: ClassVar[tuple[str, ...]] = ("MULTISELECT",)

    values: list[Any] | None = Field(None, validation_alias=AliasChoices("values", "options"))
    item_type: ItemType = Field("STRING", alias="itemType")

    def first_of(self, choices: list[Any]) -> Any:
        return choices[:1]

    def convert(self, value: Any) -> Any:
        return convert(self.type, value, self.item_type)


def _as_own_type(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if not isinstance(value, dict):
        return handler(value)
    name = value.get("type")
    cls = INPUT_TYPES.get(name) if isinstance(name, str) else None
    if cls is None:
        shown = "null" if name is None else str(name)
        raise PydanticCustomError("unknown_type", "Invalid type: {name}", {"name": shown})
    part = cls.model_validate(value, context=info.context, by_alias=True, by_name=False)
    if info.context is not None:
        info.context.remember(part, value)
    return part


#: An input of whatever type its `type` property names.
AnyInput = SerializeAsAny[Annotated[Input, WrapValidator(_as_own_type)]]


class FormInput(Input):
    """Inputs that are asked for together; each has its value under the form's id.

    An input `region` of a form `place` is `place.region`: there it is given, depended on and read.
    """

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.input.FormInput"
    TYPES: ClassVar[tuple[str, ...]] = (FORM,)

    inputs: list[AnyInput]

    def model_post_init(self, context: Any) -> None:
        """Give the inputs their full ids."""
        for each in self.inputs:
            if isinstance(each, FormInput):
                raise Rule(f"{self.id}: forms cannot be nested")
            each.id = f"{self.id}.{each.id}"
            each._form_depends_on = self.depends_on


def leaves(inputs: Iterable[Input]) -> list[Input]:
    """The inputs that have values: those in forms instead of the forms."""
    found: list[Input] = []
    for each in inputs:
        found += each.inputs if isinstance(each, FormInput) else [each]
    return found


INPUT_TYPES: dict[str, type[Input]] = {
    name: cls
    for cls in (
        StringInput,
        SecretInput,
        NumberInput,
        IntInput,
        PlainInput,
        JsonInput,
        TemporalInput,
        DurationInput,
        FileInput,
        ArrayInput,
        ChoiceInput,
        MultiChoiceInput,
        FormInput,
    )
    for name in cls.TYPES
}

#: All type names that inputs and outputs may have.
VALUE_TYPES = (*CONVERSIONS, *LIST_TYPES)
