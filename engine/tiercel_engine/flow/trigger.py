"""The fields every trigger has."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from tiercel_engine.flow.base import TaskId, Text, WrittenPart


class Trigger(WrittenPart):
    """One trigger of a flow.

    Attributes:
        id: Its name; no other trigger of the flow has it.
        type: What starts executions.
        description: Words for readers, in Markdown.
        disabled: Whether it rests.
        conditions: What must hold for a start.
        when: A template that must give true for a start, in dialect 2.0.
        labels: Labels of the executions that it starts.
        inputs: Inputs of the executions that it starts; templates may read `trigger`.
        stop_after: States of its executions after which it is disabled.
        log_level: Lines below this level are dropped.
        log_to_file: Whether its log lines are kept in a file instead of the log.
        worker_group: Which workers look for it: `key`, and `fallback` when there are none.
        worker_selector: Which workers look for it, in dialect 2.0.
        policy_refs: Kept and not used: policies are of the peer's enterprise edition.
        version: Kept and not used: the installed version runs.
        assets: Kept and not used.
        allow_concurrent: Whether it starts executions while an earlier one still runs.
        fail_on_trigger_error: Whether an error of the trigger itself makes a FAILED execution.
    """

    TYPE: ClassVar[str] = ""
    ALIASES: ClassVar[tuple[str, ...]] = ()
    DEPRECATED: ClassVar[bool] = False
    #: How the scheduler looks after triggers of this type: SCHEDULE, FLOW, POLLING, REALTIME;
    #: empty: it has nothing to remember of them.
    STATE_KIND: ClassVar[str] = ""

    id: TaskId
    type: str
    description: Text | None = None
    disabled: bool = False
    conditions: list[dict[str, Any]] | None = None
    when: str | bool | None = None
    labels: dict[str, Any] | list[dict[str, Any]] | None = None
    inputs: dict[str, Any] | None = None
    stop_after: list[str] | None = Field(None, alias="stopAfter")
    log_level: str | None = Field(None, validation_alias=AliasChoices("logLevel", "minLogLevel"))
    log_to_file: bool = Field(False, alias="logToFile")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    policy_refs: list[str] = Field([], alias="policyRefs")
    version: str | None = None
    assets: Any = None
    allow_concurrent: bool = Field(False, alias="allowConcurrent")
    fail_on_trigger_error: bool = Field(False, alias="failOnTriggerError")


class UnknownTrigger(Trigger):
    """A trigger of a stored flow whose type or properties are not known here; never fires."""

    model_config = ConfigDict(extra="allow")

    _problem: str = PrivateAttr("")

    @property
    def problem(self) -> str:
        """Why it is not of its own type."""
        return self._problem


def _as_own_type(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if info.context is None or not isinstance(value, dict):
        return handler(value)
    return info.context.trigger(value)


#: A trigger of whatever type its `type` property names.
AnyTrigger = SerializeAsAny[Annotated[Trigger, WrapValidator(_as_own_type)]]
