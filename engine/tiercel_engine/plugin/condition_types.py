"""The properties of each condition type, for whoever writes or checks them by hand or in an editor.

Follows the peer's types. Conditions stay plain JSON objects; how they are judged is
`condition_rules`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from tiercel_engine.flow.base import UNION, Part, Text
from tiercel_engine.flow.model import Labels

#: What today's names begin with.
PACKAGE = "io.kestra.plugin.core.condition."
_OLD = "io.kestra.core.models.conditions.types."

#: Conditions inside a condition. Their own types check them.
_LIST = {"type": "array", "items": {UNION: "condition"}}
_MAP = {"type": "object", "additionalProperties": {UNION: "condition"}}

Day = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
Comparison = Literal["EQUALS", "PREFIX", "SUFFIX"]


class Condition(Part):
    """What all conditions have. Its subclasses are the known types, by their class names."""

    #: Older names that follow no rule.
    EXTRA_ALIASES: ClassVar[tuple[str, ...]] = ()
    TYPE: ClassVar[str] = ""
    ALIASES: ClassVar[tuple[str, ...]] = ()
    DEPRECATED: ClassVar[bool] = False

    type: str

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name = cls.__name__
        long_name = name if name.endswith("Condition") else name + "Condition"
        cls.TYPE = PACKAGE + name
        others = (PACKAGE + long_name, _OLD + long_name, *cls.EXTRA_ALIASES)
        cls.ALIASES = tuple(alias for alias in others if alias != cls.TYPE)


class Dated(Condition):
    """A condition on a date; the trigger's own unless it names another."""

    date: Text = "{{ trigger.date }}"


class DateTimeBetween(Dated):
    """Whether a date and time lies after one moment, before another, or between both."""

    after: Text | None = None
    before: Text | None = None


class DayWeek(Dated):
    """Whether a date is a certain day of the week."""

    day_of_week: Day | Text = Field(alias="dayOfWeek")


class DayWeekInMonth(Dated):
    """Whether a date is the first, second … or last Monday (or other day) of its month."""

    day_of_week: Day | Text = Field(alias="dayOfWeek")
    day_in_month: Literal["FIRST", "LAST", "SECOND", "THIRD", "FOURTH"] | Text = Field(
        alias="dayInMonth"
    )


class ExecutionFlow(Condition):
    """Whether the execution is one of a certain flow."""

    namespace: Text
    flow_id: Text = Field(alias="flowId")


class ExecutionLabels(Condition):
    """Whether the execution has certain labels."""

    labels: Labels


class ExecutionNamespace(Condition):
    """Whether the execution's namespace is a certain one, or begins or ends with it."""

    namespace: Text
    comparison: Comparison | Text | None = None
    prefix: bool | Text = False


class ExecutionOutputs(Condition):
    """Whether an expression over the execution's outputs gives true."""

    expression: Text


class ExecutionStatus(Condition):
    """Whether the execution is in one of some states, and in none of others."""

    in_: list[str] | None = Field(None, alias="in")
    not_in: list[str] | None = Field(None, alias="notIn")


class Expression(Condition):
    """Whether a template gives something else than nothing or `false`."""

    EXTRA_ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "VariableCondition",)

    expression: Text


class FlowCondition(Condition):
    """Whether the execution is one of a certain flow (deprecated)."""

    DEPRECATED: ClassVar[bool] = True

    namespace: Text
    flow_id: Text = Field(alias="flowId")


class FlowNamespaceCondition(Condition):
    """Whether the flow is of a certain namespace (deprecated)."""

    DEPRECATED: ClassVar[bool] = True

    namespace: Text
    comparison: Comparison | Text | None = None
    prefix: bool | Text = False


class HasRetryAttempt(Condition):
    """Whether a task that was tried again is in one of some states."""

    in_: list[str] | None = Field(None, alias="in")
    not_in: list[str] | None = Field(None, alias="notIn")


class MultipleCondition(Condition):
    """Whether all of its conditions were met within a time window."""

    id: Text | None = None
    conditions: Annotated[dict[str, Any], WithJsonSchema(_MAP)]
    window: Text | float | None = None
    window_advance: Text | float | None = Field(None, alias="windowAdvance")
    time_window: dict[str, Any] | None = Field(None, alias="timeWindow")
    reset_on_success: bool = Field(True, alias="resetOnSuccess")


class Not(Condition):
    """Whether none of its conditions holds."""

    conditions: Annotated[list[dict[str, Any]], WithJsonSchema(_LIST)]


class Or(Condition):
    """Whether any of its conditions holds."""

    conditions: Annotated[list[dict[str, Any]], WithJsonSchema(_LIST)]


class PublicHoliday(Dated):
    """Whether a date is a public holiday of a country, or of a part of it."""

    country: Text | None = None
    sub_division: Text | None = Field(None, alias="subDivision")


class TimeBetween(Dated):
    """Whether the time of a date lies after one time of day, before another, or between both."""

    after: Text | None = None
    before: Text | None = None


class Weekend(Dated):
    """Whether a date is a Saturday or a Sunday."""


#: Every known type, ordered by name.
CONDITIONS: tuple[type[Condition], ...] = (
    DateTimeBetween,
    DayWeek,
    DayWeekInMonth,
    ExecutionFlow,
    ExecutionLabels,
    ExecutionNamespace,
    ExecutionOutputs,
    ExecutionStatus,
    Expression,
    FlowCondition,
    FlowNamespaceCondition,
    HasRetryAttempt,
    MultipleCondition,
    Not,
    Or,
    PublicHoliday,
    TimeBetween,
    Weekend,
)
