"""A flow's definition, as its author wrote it (features.md §1)."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr, SerializeAsAny

from tiercel_engine.flow.inputs import Input
from tiercel_engine.flow.task import RetryPolicy, Task
from tiercel_engine.flow.trigger import Trigger


class Output(BaseModel):
    """One output of a flow: a template and the type its value must have."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str
    type: str = "STRING"
    value: Any = None
    required: bool = True
    description: str | None = None
    display_name: str | None = Field(None, alias="displayName")
    item_type: str | None = Field(None, alias="itemType")


class Flow(BaseModel):
    """One revision of a flow. `properties` is the definition exactly as written, in JSON terms."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str
    namespace: str
    tenant: str = Field("main", validation_alias=AliasChoices("tenantId", "tenant"))
    revision: int = 1
    description: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    inputs: list[SerializeAsAny[Input]] = []
    variables: dict[str, Any] = {}
    tasks: list[SerializeAsAny[Task]]
    errors: list[SerializeAsAny[Task]] = []
    finally_: list[SerializeAsAny[Task]] = Field([], alias="finally")
    after_execution: list[SerializeAsAny[Task]] = Field([], alias="afterExecution")
    listeners: list[dict[str, Any]] = []
    triggers: list[SerializeAsAny[Trigger]] = []
    outputs: list[Output] = []
    plugin_defaults: list[dict[str, Any]] = Field(
        [], validation_alias=AliasChoices("pluginDefaults", "taskDefaults")
    )
    concurrency: dict[str, Any] | None = None
    retry: RetryPolicy | None = None
    sla: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    policy_refs: list[str] = Field([], alias="policyRefs")
    draft: bool = False
    disabled: bool = False
    deleted: bool = False

    _properties: dict[str, Any] = PrivateAttr(default_factory=dict)
    _tasks_by_id: dict[str, Task] = PrivateAttr(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        """The flow as it was written (a JSON object)."""
        return self._properties

    def model_post_init(self, context: Any) -> None:
        """Index every task, at any depth, by its id."""
        pending = [*self.tasks, *self.errors, *self.finally_, *self.after_execution]
        while pending:
            task = pending.pop()
            self._tasks_by_id[task.id] = task
            for children in task.child_lists().values():
                pending.extend(children)

    def task(self, task_id: str) -> Task | None:
        """The task with this id, at any depth."""
        return self._tasks_by_id.get(task_id)
