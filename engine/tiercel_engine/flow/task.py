"""The fields every task has, as a flow's author writes them.

Facts about the fields: features.md §1 of the peer's behaviour (retry, timeout, allowFailure, ...).
A task type adds its own properties in a subclass (see `tiercel_engine.plugin.base`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from tiercel_engine.flow.duration import parse_duration_s

#: Seconds, written as ISO 8601 text ("PT10S") or as a number of seconds.
DurationS = Annotated[float, BeforeValidator(parse_duration_s)]


class RetryPolicy(BaseModel):
    """When and how often a failed task run is tried again (features.md §1, Retry)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    type: Literal["constant", "exponential", "random"]
    interval: DurationS | None = None
    max_interval: DurationS | None = Field(None, alias="maxInterval")
    min_interval: DurationS | None = Field(None, alias="minInterval")
    delay_factor: float = Field(2.0, alias="delayFactor")
    max_attempts: int | None = Field(
        None, ge=1, validation_alias=AliasChoices("maxAttempts", "maxAttempt", "max_attempts")
    )
    max_duration: DurationS | None = Field(None, alias="maxDuration")
    warning_on_retry: bool = Field(False, alias="warningOnRetry")
    behavior: Literal["RETRY_FAILED_TASK", "CREATE_NEW_EXECUTION"] = "RETRY_FAILED_TASK"


class Task(BaseModel):
    """One task of a flow. `properties` is the task exactly as written, defaults merged in."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    #: Today's type name, then the older names that mean the same.
    TYPE: ClassVar[str] = ""
    ALIASES: ClassVar[tuple[str, ...]] = ()

    id: str
    type: str
    description: str | None = None
    retry: RetryPolicy | None = None
    timeout: str | float | None = None
    disabled: bool = False
    run_if: str | bool = Field("true", validation_alias=AliasChoices("runIf", "when", "run_if"))
    allow_failure: bool = Field(False, alias="allowFailure")
    allow_warning: bool = Field(False, alias="allowWarning")
    log_level: str | None = Field(None, alias="logLevel")
    log_to_file: bool = Field(False, alias="logToFile")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    version: str | None = None
    task_cache: dict[str, Any] | None = Field(None, alias="taskCache")
    assets: Any = None

    _properties: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        """The task as it was written (a JSON object), plugin defaults merged in."""
        return self._properties

    def child_lists(self) -> dict[str, list[Task]]:
        """The lists of tasks inside this one, by branch name. Runnable tasks have none."""
        return {}
