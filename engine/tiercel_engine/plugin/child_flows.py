"""Tasks that start executions of other flows, and what a ForEachItem is made of."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from tiercel_engine.flow.base import Part, Text
from tiercel_engine.flow.task import AnyTask, Task
from tiercel_engine.plugin.base import FlowableTask

_NEW = "io.kestra.plugin.core.flow."
_OLD = "io.kestra.core.tasks.flows."

#: What stores outputs of executions that a ForEachItem started; the executor sends it.
OUTPUTS_TYPE = _NEW + "ForEachItem$Outputs"


class ChildFlow(FlowableTask):
    """What starts executions of another flow."""

    namespace: Text
    flow_id: Text = Field(alias="flowId")
    revision: int | None = None
    inputs: dict[str, Any] = Field({})
    labels: dict[str, Any] | list[dict[str, Any]] | None = None
    wait: bool = True
    transmit_failed: bool = Field(True, alias="transmitFailed")
    inherit_labels: bool | Text = Field(False, alias="inheritLabels")
    schedule_date: Text | None = Field(None, alias="scheduleDate")
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] | None = Field(
        None, alias="restartBehavior"
    )


class Subflow(ChildFlow):
    """Starts one execution of another flow."""

    TYPE: ClassVar[str] = _NEW + "Subflow"
    ALIASES: ClassVar[tuple[str, ...]] = (_NEW + "Flow", _OLD + "Subflow", _OLD + "Flow")

    outputs: dict[str, Any] | None = None


class Batch(Part):
    """How the items are cut: by bytes, else by partitions, else by rows."""

    PEER_NAME: ClassVar[str] = _NEW + "ForEachItem$ForEachItemBatch"

    rows: int | Text | None = None
    bytes: Text | None = None
    partitions: int | Text | None = None
    separator: Text = "\n"


class Items(FlowableTask):
    """The part of a ForEachItem that starts its executions. Nobody writes it."""

    TYPE: ClassVar[str] = _NEW + "ForEachItem$ForEachItemExecutable"

    _whole: ForEachItem | None = PrivateAttr(None)

    @property
    def whole(self) -> ForEachItem:
        """The ForEachItem that it is a part of."""
        assert self._whole is not None, "Expected a part of a ForEachItem."
        return self._whole


class ForEachItem(ChildFlow):
    """Starts an execution of another flow per batch of a file's items.

    It has three parts that nobody writes: `{id}_split` cuts the file, `{id}_items` starts the
    executions, `{id}_merge` puts their outputs together.
    """

    TYPE: ClassVar[str] = _NEW + "ForEachItem"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "ForEachItem",)
    SPLIT: ClassVar[str] = TYPE + "$ForEachItemSplit"
    MERGE: ClassVar[str] = TYPE + "$ForEachItemMergeOutputs"

    items: Text
    batch: Batch = Field(default_factory=Batch)
    #: How many executions run at once; 0 for all.
    concurrency_limit: int = Field(0, ge=0, alias="concurrencyLimit")
    errors: list[AnyTask] = Field([])
    finally_: list[AnyTask] = Field([], alias="finally")

    _parts: list[Task] | None = PrivateAttr(None)

    def child_lists(self) -> dict[str, list[Task]]:
        ends = {"errors": self.errors, "finally": self.finally_}
        return {"tasks": self.parts(), **{name: tasks for name, tasks in ends.items() if tasks}}

    def parts(self) -> list[Task]:
        """Split, items, merge."""
        if self._parts is None:
            batch = self.batch.model_dump(by_alias=True, exclude_none=True)
            split = {"items": self.items, "batch": batch}
            names = ("namespace", "flowId", "inputs", "labels", "inheritLabels", "scheduleDate")
            written = self.model_dump(by_alias=True, include={_FIELDS[name] for name in names})
            items = Items.model_validate({"id": f"{self.id}_items", "type": Items.TYPE})
            items._whole = self
            items._properties = {"id": items.id, "type": items.type, **written}
            self._parts = [
                _part(f"{self.id}_split", self.SPLIT, split),
                items,
                _part(f"{self.id}_merge", self.MERGE, {}),
            ]
        return self._parts


#: Names of properties -> attributes.
_FIELDS = {field.alias or name: name for name, field in ChildFlow.model_fields.items()}


def _part(task_id: str, task_type: str, properties: dict[str, Any]) -> Task:
    """A part that a worker runs."""
    task = Task.model_validate({"id": task_id, "type": task_type})
    task._properties = {"id": task_id, "type": task_type, **properties}
    return task
