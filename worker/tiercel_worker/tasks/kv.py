"""Tasks for the key-value pairs of namespaces."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.globs import matcher
from tiercel_engine.storage.kv import KvType, json_value
from tiercel_worker.tasks.properties import flag, seconds, text_list

OWN = "{{ flow.namespace }}"


class Set(RunnableTask):
    """Set the value of a key in a namespace.

    Properties: `key`, `value` (a template keeps the type of what it gives), `namespace` (the
    flow's own), `overwrite` (true; false fails where the key has a value), `ttl` (a duration after
    which the pair is gone), `kvType` (STRING, NUMBER, BOOLEAN, DATETIME, DATE, DURATION or JSON:
    what a text shall become), `kvDescription`. Outputs: none.

    Example:
        ```yaml
        id: remember
        namespace: docs.tasks
        tasks:
          - id: keep
            type: io.kestra.plugin.core.kv.Set
            key: last-run
            value: "{{ execution.startDate }}"
            kvType: DATETIME
            ttl: P7D
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.Set"

    key: Text
    value: Any
    namespace: Text = OWN
    overwrite: bool | str = True
    ttl: str | float | None = None
    kv_type: str | None = Field(None, alias="kvType")
    kv_description: Text | None = Field(None, alias="kvDescription")

    def run(self, context: RunContext) -> None:
        context.pairs.set(
            context.render(self.namespace),
            context.render(self.key),
            context.render_value(self.value),
            kind=self._kind(context),
            ttl_s=seconds(context, self.ttl),
            description=None
            if self.kv_description is None
            else context.render(self.kv_description),
            overwrite=flag(context, self.overwrite),
        )

    def _kind(self, context: RunContext) -> KvType | None:
        if self.kv_type is None:
            return None
        name = context.render(self.kv_type).upper()
        if name not in KvType.__members__:
            raise TaskError(f"Expected kvType as one of {', '.join(KvType)}, but it was {name}.")
        return KvType(name)


class GetOutput(BaseModel):
    """`value`: in its type; none without a pair."""

    value: Any = None


class Get(RunnableTask):
    """Read the value of a key.

    Properties: `key`, `namespace` (the flow's own; then its parents are asked, too, where it has
    no such key), `errorOnMissing` (false). Outputs: `value`; dates and durations as ISO 8601 texts.

    Example:
        ```yaml
        id: recall
        namespace: docs.tasks
        tasks:
          - id: keep
            type: io.kestra.plugin.core.kv.Set
            key: pieces
            value: "{{ 6 * 7 }}"
          - id: read
            type: io.kestra.plugin.core.kv.Get
            key: pieces
            errorOnMissing: true
          - id: say
            type: io.kestra.plugin.core.log.Log
            message: "{{ outputs.read.value }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.Get"
    OUTPUTS: ClassVar[type[BaseModel] | None] = GetOutput

    key: Text
    namespace: Text = OWN
    error_on_missing: bool | str = Field(False, alias="errorOnMissing")

    def run(self, context: RunContext) -> GetOutput:
        namespace, key = context.render(self.namespace), context.render(self.key)
        pair = context.pairs.get(namespace, key, inherit=namespace == context.namespace)
        if pair is None and flag(context, self.error_on_missing):
            raise TaskError(
                f"Expected a value for the key '{key}' in the namespace '{namespace}', but there"
                " is none and `errorOnMissing` is true."
            )
        return GetOutput(value=None if pair is None else json_value(pair))


class DeleteOutput(BaseModel):
    """`deleted`: whether there was one."""

    deleted: bool


class Delete(RunnableTask):
    """Delete a key.

    Properties: `key`, `namespace` (the flow's own), `errorOnMissing` (false). Outputs: `deleted`.

    Example:
        ```yaml
        id: forget
        namespace: docs.tasks
        tasks:
          - id: drop
            type: io.kestra.plugin.core.kv.Delete
            key: last-run
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.Delete"
    OUTPUTS: ClassVar[type[BaseModel] | None] = DeleteOutput

    key: Text
    namespace: Text = OWN
    error_on_missing: bool | str = Field(False, alias="errorOnMissing")

    def run(self, context: RunContext) -> DeleteOutput:
        namespace, key = context.render(self.namespace), context.render(self.key)
        deleted = context.pairs.delete(namespace, key)
        if not deleted and flag(context, self.error_on_missing):
            raise TaskError(
                f"Expected the key '{key}' in the namespace '{namespace}', but there is none and"
                " `errorOnMissing` is true."
            )
        return DeleteOutput(deleted=deleted)


class GetKeysOutput(BaseModel):
    """`keys`: in order."""

    keys: list[str]


class GetKeys(RunnableTask):
    """List the keys of a namespace.

    Properties: `prefix` (all keys without one), `namespace` (the flow's own). Outputs: `keys`.

    Example:
        ```yaml
        id: keys
        namespace: docs.tasks
        tasks:
          - id: all
            type: io.kestra.plugin.core.kv.GetKeys
            prefix: last-
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.GetKeys"
    OUTPUTS: ClassVar[type[BaseModel] | None] = GetKeysOutput

    prefix: Text | None = None
    namespace: Text = OWN

    def run(self, context: RunContext) -> GetKeysOutput:
        prefix = "" if self.prefix is None else context.render(self.prefix)
        pairs = context.pairs.list(context.render(self.namespace), prefix)
        return GetKeysOutput(keys=[pair.key for pair in pairs])


class PurgeKvOutput(BaseModel):
    """`size`: how many pairs were deleted."""

    size: int


class PurgeKv(RunnableTask):
    """Delete pairs of namespaces, such as those that have expired.

    Properties: `namespaces` (the flow's own), `includeChildNamespaces` (true), `keyPattern` (a
    glob), `behavior` (`type: key` with `expiredOnly`, true when not given) or `expiredOnly` alone.
    Outputs: `size`.

    Example:
        ```yaml
        id: tidy
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.kv.PurgeKV
            keyPattern: "session-*"
            behavior:
              type: key
              expiredOnly: true
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.PurgeKV"
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeKvOutput

    namespaces: list[Text] | str | None = None
    namespace_pattern: Text | None = Field(None, alias="namespacePattern")
    include_child_namespaces: bool | str = Field(True, alias="includeChildNamespaces")
    key_pattern: Text | None = Field(None, alias="keyPattern")
    expired_only: bool | str | None = Field(None, alias="expiredOnly")
    behavior: dict[str, Any] | None = None

    def run(self, context: RunContext) -> PurgeKvOutput:
        pattern = None if self.key_pattern is None else context.render(self.key_pattern)
        matches = matcher([] if pattern is None else [pattern])
        expired_only = self._expired_only(context)
        pairs, size = context.pairs, 0
        for namespace in self._namespaces(context):
            for pair in pairs.list(namespace, expired=True):
                if matches(pair.key) and (not expired_only or pairs.is_expired(pair)):
                    size += pairs.delete(namespace, pair.key)
        return PurgeKvOutput(size=size)

    def _namespaces(self, context: RunContext) -> list[str]:
        if self.namespace_pattern is not None:
            matches = matcher([context.render(self.namespace_pattern)])
            return [name for name in context.pairs.namespaces("") if matches(name)]
        named = text_list(context, self.namespaces, "namespaces") or [context.namespace]
        if not flag(context, self.include_child_namespaces):
            return named
        return sorted({name for root in named for name in context.pairs.namespaces(root)})

    def _expired_only(self, context: RunContext) -> bool:
        behavior = self.behavior or {}
        if self.expired_only is None and behavior.get("type", "key") != "key":
            raise TaskError(
                "Expected behavior.type key, but it was"
                f" {behavior['type']}: earlier revisions of pairs are not kept."
            )
        asked = behavior.get("expiredOnly", True)
        return flag(context, asked if self.expired_only is None else self.expired_only)


PLUGINS = (Set, Get, Delete, GetKeys, PurgeKv)
