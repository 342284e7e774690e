"""The fields every task has, as a flow's author writes them.

A task type adds its own properties in a subclass (see `tiercel_engine.plugin.base`); one that has
tasks inside declares them as `list[AnyTask]`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from tiercel_engine.flow.base import Part, TaskId, Text, WrittenPart
from tiercel_engine.flow.duration import parse_duration_s

#: Seconds, written as ISO 8601 text ("PT10S") or as a number of seconds.
DurationS = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    WithJsonSchema({"type": ["string", "number"], "examples": ["PT30S", "PT5M", "P1D"]}),
]


class RetryPolicy(Part):
    """When and how often a failed task run is tried again."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.tasks.retrys.AbstractRetry"

    type: Literal["constant", "exponential", "random"]
    interval: DurationS | None = None
    max_interval: DurationS | None = Field(None, alias="maxInterval")
    min_interval: DurationS | None = Field(None, alias="minInterval")
    delay_factor: float = Field(2.0, alias="delayFactor")
    max_attempts: int | None = Field(
        None, ge=1, validation_alias=AliasChoices("maxAttempts", "maxAttempt")
    )
    max_duration: DurationS | None = Field(None, alias="maxDuration")
    warning_on_retry: bool = Field(False, alias="warningOnRetry")
    behavior: Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"] = "RETRY_FAILED_TASK"


class Task(WrittenPart):
    """One task of a flow.

    Attributes:
        id: Its name; no other task of the flow has it.
        type: What it does.
        description: Words for readers, in Markdown.
        retry: When and how often it is tried again after a failure.
        timeout: How long one attempt may take, such as PT10M.
        disabled: Whether it is left out.
        run_if: A template; the task is skipped when it gives false, nothing or 0.
        allow_failure: Whether its failure is a warning, and the execution goes on.
        allow_warning: Whether its warning counts as success.
        log_level: Lines below this level are dropped.
        log_to_file: Whether its log lines are kept in a file instead of the log.
        worker_group: Which workers run it: `key`, and `fallback` when there are none.
        worker_selector: Which workers run it, in dialect 2.0.
        policy_refs: Kept and not used: policies are of the peer's enterprise edition.
        version: Kept and not used: the installed version runs.
        task_cache: Kept and not used.
        assets: Kept and not used.
    """

    #: Today's type name, then the older names that mean the same.
    TYPE: ClassVar[str] = ""
    ALIASES: ClassVar[tuple[str, ...]] = ()
    #: Whether authors should use something else.
    DEPRECATED: ClassVar[bool] = False
    #: Whether the engine alone uses it: no author does.
    INTERNAL: ClassVar[bool] = False

    id: TaskId
    type: str
    description: Text | None = None
    retry: RetryPolicy | None = None
    timeout: str | float | None = None
    disabled: bool = False
    run_if: str | bool = Field("true", validation_alias=AliasChoices("runIf", "when"))
    allow_failure: bool = Field(False, alias="allowFailure")
    allow_warning: bool = Field(False, alias="allowWarning")
    log_level: str | None = Field(None, alias="logLevel")
    log_to_file: bool = Field(False, alias="logToFile")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    policy_refs: list[str] = Field([], alias="policyRefs")
    version: str | None = None
    task_cache: dict[str, Any] | None = Field(None, alias="taskCache")
    assets: Any = None

    def child_lists(self) -> dict[str, list[Task]]:
        """The lists of tasks inside this one, by branch name. Runnable tasks have none."""
        return {}


class UnknownTask(Task):
    """A task of a stored flow whose type or properties are not known here.

    It keeps everything that was written; a worker that does not know it either fails its run
    with a clear error. `problem` says what was wrong.
    """

    model_config = ConfigDict(extra="allow")

    _problem: str = PrivateAttr("")

    @property
    def problem(self) -> str:
        """Why it is not of its own type."""
        return self._problem


def _as_own_type(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if info.context is None or not isinstance(value, dict):
        return handler(value)
    return info.context.task(value)


#: A task of whatever type its `type` property names.
AnyTask = SerializeAsAny[Annotated[Task, WrapValidator(_as_own_type)]]
