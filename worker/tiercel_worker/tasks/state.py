"""Tasks that keep a state between executions; deprecated, `kv.*` does more.

A state is a JSON value among the key-value pairs of the namespace.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.kv_values import KvType
from tiercel_worker.tasks.properties import flag, text_map

#: How much of a value's hash tells its state from others of that name.
HASH_CHARS = 16


class StateTask(RunnableTask):
    """Which state is meant: one per flow, or per namespace, and per value of the task run."""

    DEPRECATED: ClassVar[bool] = True

    name: Text = "default"
    namespace: bool | str = False
    taskrun_value: bool | str = Field(True, alias="taskrunValue")

    def key(self, context: RunContext) -> str:
        """The key of the pair that holds the state."""
        parts = ["states", context.render(self.name)]
        if not flag(context, self.namespace):
            parts.insert(0, context.flow_id)
        value = (context.variables.get("taskrun") or {}).get("value")
        if value is not None and flag(context, self.taskrun_value):
            parts.append(hashlib.sha256(str(value).encode()).hexdigest()[:HASH_CHARS])
        return "_".join(parts)

    def data_of(self, context: RunContext) -> dict[str, Any] | None:
        """The state; None when there is none."""
        pair = context.pairs.get(context.namespace, self.key(context))
        return None if pair is None else dict(pair.value)


class SetOutput(BaseModel):
    """`count`: how many members the state has now; `key`: of its pair."""

    count: int
    key: str


class Set(StateTask):
    """Merge values into a state.

    Properties: `data` (a map), `name` ("default"), `namespace` (false: the state belongs to the
    flow), `taskrunValue` (true: inside a loop each value has a state of its own). Outputs: `count`
    and `key`.

    Example:
        ```yaml
        id: counting
        namespace: docs.tasks
        tasks:
          - id: keep
            type: io.kestra.plugin.core.state.Set
            data:
              last: "{{ execution.id }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.state.Set"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.states.Set",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = SetOutput

    data: dict[str, Any] | str | None = None

    def run(self, context: RunContext) -> SetOutput:
        merged = {**(self.data_of(context) or {}), **text_map(context, self.data, "data")}
        key = self.key(context)
        context.pairs.set(context.namespace, key, merged, kind=KvType.JSON)
        return SetOutput(count=len(merged), key=key)


class GetOutput(BaseModel):
    """`data`: the state; `count`: how many members it has."""

    count: int
    data: dict[str, Any]


class Get(StateTask):
    """Read a state.

    Properties: `errorOnMissing` (false), and `name`, `namespace`, `taskrunValue` as in `state.Set`.
    Outputs: `count` and `data`, empty where there is no state.

    Example:
        ```yaml
        id: remembered
        namespace: docs.tasks
        tasks:
          - id: read
            type: io.kestra.plugin.core.state.Get
          - id: say
            type: io.kestra.plugin.core.log.Log
            message: "{{ outputs.read.count }} values"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.state.Get"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.states.Get",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = GetOutput

    error_on_missing: bool | str = Field(False, alias="errorOnMissing")

    def run(self, context: RunContext) -> GetOutput:
        data = self.data_of(context)
        if data is None and flag(context, self.error_on_missing):
            raise TaskError(f"Expected the state '{self.key(context)}', but there is none.")
        return GetOutput(count=len(data or {}), data=data or {})


class DeleteOutput(BaseModel):
    """`deleted`: whether there was one."""

    deleted: bool


class Delete(StateTask):
    """Delete a state.

    Properties: `errorOnMissing` (false), and `name`, `namespace`, `taskrunValue` as in `state.Set`.
    Outputs: `deleted`.

    Example:
        ```yaml
        id: forgotten
        namespace: docs.tasks
        tasks:
          - id: drop
            type: io.kestra.plugin.core.state.Delete
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.state.Delete"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.states.Delete",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = DeleteOutput

    error_on_missing: bool | str = Field(False, alias="errorOnMissing")

    def run(self, context: RunContext) -> DeleteOutput:
        deleted = context.pairs.delete(context.namespace, self.key(context))
        if not deleted and flag(context, self.error_on_missing):
            raise TaskError(f"Expected the state '{self.key(context)}', but there is none.")
        return DeleteOutput(deleted=deleted)


PLUGINS = (Set, Get, Delete)
