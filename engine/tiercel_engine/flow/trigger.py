"""The fields every trigger has (features.md §4)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr


class Trigger(BaseModel):
    """One trigger of a flow."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    TYPE: ClassVar[str] = ""
    ALIASES: ClassVar[tuple[str, ...]] = ()

    id: str
    type: str
    description: str | None = None
    disabled: bool = False
    conditions: list[Any] | None = None
    when: str | bool | None = None
    labels: dict[str, Any] | list[Any] | None = None
    inputs: dict[str, Any] | None = None
    stop_after: list[str] | None = Field(None, alias="stopAfter")
    log_level: str | None = Field(
        None, validation_alias=AliasChoices("logLevel", "minLogLevel", "log_level")
    )
    log_to_file: bool = Field(False, alias="logToFile")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    allow_concurrent: bool = Field(False, alias="allowConcurrent")
    fail_on_trigger_error: bool = Field(False, alias="failOnTriggerError")

    _properties: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        """The trigger as it was written (a JSON object)."""
        return self._properties
