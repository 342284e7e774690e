"""The properties of the core triggers.

Only what an author writes; evaluating them is the scheduler's, the API's and the executor's.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tiercel_engine.flow.base import Part, Rule, Text
from tiercel_engine.flow.cron import BadCron, Cron, zone_named
from tiercel_engine.flow.model import Labels
from tiercel_engine.flow.task import DurationS, Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.conditions import Conditions, has_type

_NEW = "io.kestra.plugin.core.trigger."
_OLD = "io.kestra.core.models.triggers.types."

Recovery = Literal["ALL", "LAST", "NONE"]
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def status_of(code: int | str) -> int:
    """The status that an answer is given.

    Raises:
        Rule: it is no status, or one that only the server itself gives.
    """
    text = str(code).strip()
    if not re.fullmatch(r"[2-5]\d\d", text):
        raise Rule(f"responseCode must be a status between 200 and 599, but it was '{text}'")
    return int(text)


class CoreTrigger(Trigger):
    """A trigger whose conditions are of known types."""

    conditions: Conditions | None = None


class Schedule(CoreTrigger):
    """Starts executions at the dates of a cron expression."""

    TYPE: ClassVar[str] = _NEW + "Schedule"
    STATE_KIND: ClassVar[str] = "SCHEDULE"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Schedule",)

    cron: Text
    with_seconds: bool = Field(False, alias="withSeconds")
    #: None: the server's time zone.
    timezone: str | None = None
    schedule_conditions: Conditions | None = Field(None, alias="scheduleConditions")
    late_maximum_delay: DurationS | None = Field(None, alias="lateMaximumDelay")
    recover_missed_schedules: Recovery | None = Field(None, alias="recoverMissedSchedules")
    backfill: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _dates_exist(self) -> Schedule:
        try:
            Cron(self.cron, self.with_seconds)
            zone_named(self.timezone)
        except BadCron as error:
            raise Rule(str(error)) from None
        return self


class ScheduleOnDates(CoreTrigger):
    """Starts one execution per date."""

    TYPE: ClassVar[str] = _NEW + "ScheduleOnDates"
    STATE_KIND: ClassVar[str] = "SCHEDULE"

    dates: list[Text] | Text
    timezone: str | None = None
    recover_missed_schedules: Recovery | None = Field(None, alias="recoverMissedSchedules")


class Webhook(CoreTrigger):
    """Starts an execution per HTTP call that knows the key.

    `response_code` may be an expression over the execution that has ended. `fetch_type`: the body
    is read, stored as a file, or left alone.
    """

    TYPE: ClassVar[str] = _NEW + "Webhook"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Webhook",)

    key: Text
    wait: bool = False
    return_outputs: bool = Field(False, alias="returnOutputs")
    response_content_type: str | None = Field(None, alias="responseContentType")
    response_code: int | Text | None = Field(None, alias="responseCode")
    fetch_type: Literal["FETCH", "STORE", "NONE"] = Field("FETCH", alias="fetchType")

    @model_validator(mode="after")
    def _key_is_given(self) -> Webhook:
        if not self.key.strip() or len(self.key) > 256:
            raise Rule("key must have between 1 and 256 characters")
        return self

    @model_validator(mode="after")
    def _can_be_judged(self) -> Webhook:
        if has_type(self.conditions, "MultipleCondition"):
            raise Rule("a webhook cannot have a MultipleCondition")
        return self

    @model_validator(mode="after")
    def _can_be_answered(self) -> Webhook:
        kind = self.response_content_type
        if kind is not None and not _MEDIA_TYPE.fullmatch(kind):
            raise Rule(f"responseContentType must be a media type such as text/plain, not '{kind}'")
        code = self.response_code
        if code is not None and "{" not in str(code):
            status_of(code)
        return self


class TimeWindow(Part):
    """The time within which all preconditions must hold."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.triggers.TimeWindow"

    type: Literal[
        "DURATION_WINDOW", "SLIDING_WINDOW", "DAILY_TIME_WINDOW", "DAILY_TIME_DEADLINE"
    ] = "DURATION_WINDOW"
    window: DurationS | None = None
    window_advance: DurationS | None = Field(None, alias="windowAdvance")
    start_time: Text | None = Field(None, alias="startTime")
    end_time: Text | None = Field(None, alias="endTime")
    deadline: Text | None = None


class UpstreamFlow(Part):
    """Executions that a Flow trigger listens to. What is not given matches everything."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$UpstreamFlow"

    namespace: Text | None = None
    flow_id: Text | None = Field(None, alias="flowId")
    states: list[str] | None = None
    labels: Labels = ()
    when: Text | None = None


class ExecutionFilter(Part):
    """One filter of a Flow trigger's preconditions."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$ExecutionFilter"

    id: str
    operand: Literal["AND", "OR"] = "AND"
    filters: list[FieldFilter] = Field(min_length=1)


class FieldFilter(Part):
    """A comparison of one field of an execution."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$Filter"

    field: Literal["FLOW_ID", "NAMESPACE", "STATE", "EXPRESSION"]
    type: Literal[
        "EQUAL_TO",
        "NOT_EQUAL_TO",
        "IN",
        "NOT_IN",
        "IS_TRUE",
        "IS_FALSE",
        "IS_NULL",
        "IS_NOT_NULL",
        "STARTS_WITH",
        "ENDS_WITH",
        "REGEX",
        "CONTAINS",
    ]
    value: Text | None = None
    values: list[Text] | None = None


class Preconditions(Part):
    """Several executions that must have happened within a time window."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$Preconditions"

    id: str
    flows: list[UpstreamFlow] = Field([])
    where: list[ExecutionFilter] = Field([])
    time_window: TimeWindow | None = Field(None, alias="timeWindow")
    reset_on_success: bool = Field(True, alias="resetOnSuccess")


class Window(Part):
    """The time window of dialect 2.0; one group of its properties at most."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$Window"

    deadline: Text | None = None
    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    every: DurationS | None = None
    offset: DurationS | None = None
    lookback: DurationS | None = None
    timezone: str | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Window:
        kinds = (self.deadline, self.from_ or self.to, self.every or self.offset, self.lookback)
        if sum(kind is not None for kind in kinds) > 1:
            raise Rule("a window has one of deadline, from and to, every with offset, or lookback")
        if (self.from_ is None) != (self.to is None):
            raise Rule("a window with from or to must have both")
        if self.offset is not None and self.every is None:
            raise Rule("a window with offset must have every")
        if self.every == 0 or self.lookback == 0:
            raise Rule("every and lookback must be longer than nothing")
        return self


class OnMiss(Part):
    """What happens when a window ends and not everything has come: a FAILED execution."""

    PEER_NAME: ClassVar[str] = _NEW + "Flow$OnMiss"

    behavior: Literal["FAIL"] = "FAIL"
    labels: Labels = ()


class Flow(CoreTrigger):
    """Starts an execution when executions of other flows change their state."""

    TYPE: ClassVar[str] = _NEW + "Flow"
    STATE_KIND: ClassVar[str] = "FLOW"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Flow",)

    #: None: every terminated state.
    states: list[str] | None = None
    preconditions: Preconditions | None = None
    depends_on: list[UpstreamFlow] = Field([], alias="dependsOn")
    mode: Literal["ALL", "ANY", "AT_LEAST"] = "ALL"
    min_satisfied: int | None = Field(None, ge=1, alias="minSatisfied")
    window: Window | None = None
    on_miss: OnMiss | None = Field(None, alias="onMiss")

    @model_validator(mode="after")
    def _can_be_satisfied(self) -> Flow:
        if self.mode == "AT_LEAST" and self.depends_on:
            count = len(self.depends_on)
            if self.min_satisfied is None or self.min_satisfied > count:
                raise Rule(f"mode AT_LEAST needs a minSatisfied of at most {count}")
        return self

    @model_validator(mode="after")
    def _can_be_missed(self) -> Flow:
        if self.on_miss is None:
            return self
        if not self.depends_on and self.preconditions is None:
            raise Rule("onMiss needs dependsOn or preconditions")
        older = None if self.preconditions is None else self.preconditions.time_window
        is_sliding = older is not None and older.type == "SLIDING_WINDOW"
        if is_sliding or (self.window is not None and self.window.lookback is not None):
            raise Rule("onMiss needs a window that ends: deadline, from and to, or every")
        return self


PLUGINS: tuple[type[Task | Trigger], ...] = (Flow, Schedule, ScheduleOnDates, Webhook)
