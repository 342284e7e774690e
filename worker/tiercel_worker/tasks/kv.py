"""Tasks for the key-value pairs of namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Part, Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.kv import Pair, json_value
from tiercel_engine.storage.kv_values import KvType
from tiercel_worker.tasks.properties import flag, seconds
from tiercel_worker.tasks.versions import (
    NamespacesTask,
    VersionsBehavior,
    pattern_matcher,
    versions_limits,
)

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
    """`size`: how many pairs, or earlier values of them, were deleted."""

    size: int


class KeysBehavior(Part):
    """Whole pairs go: expired ones, or all."""

    type: Literal["key"] = "key"
    expired_only: bool | str = Field(True, alias="expiredOnly")


class PurgeKv(NamespacesTask):
    """Delete pairs of namespaces, such as those that have expired, or their earlier values.

    Properties: `namespaces` (the flow's own) or `namespacePattern` (a glob),
    `includeChildNamespaces` (true), `keyPattern` (a glob), `behavior`, or `expiredOnly` alone.
    With `behavior.type: key` pairs go: those that have expired, unless `expiredOnly` is false.
    With `behavior.type: version` their earlier values go: those set `before` a date, beyond
    `keepAmount` values that stay of each pair, its present one among them. Outputs: `size`.

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
          - id: shorten
            type: io.kestra.plugin.core.kv.PurgeKV
            behavior:
              type: version
              keepAmount: 3
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.kv.PurgeKV"
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeKvOutput

    key_pattern: Text | None = Field(None, alias="keyPattern")
    expired_only: bool | str | None = Field(None, alias="expiredOnly")
    behavior: KeysBehavior | VersionsBehavior | None = None

    def run(self, context: RunContext) -> PurgeKvOutput:
        purge = self._purge(context)
        matches = pattern_matcher(context, self.key_pattern)
        size = 0
        for namespace in self.all_namespaces(context, context.pairs.namespaces):
            for pair in context.pairs.list(namespace, expired=True):
                if matches(pair.key):
                    size += purge(pair)
        return PurgeKvOutput(size=size)

    def _purge(self, context: RunContext) -> Callable[[Pair], int]:
        """What is done to a pair; it says how much went."""
        pairs, behavior = context.pairs, self.behavior or KeysBehavior.model_validate({})
        asked = self.expired_only
        if asked is None:
            if isinstance(behavior, VersionsBehavior):
                limits = versions_limits(context, behavior)
                return lambda pair: pairs.purge_revisions(pair.namespace, pair.key, *limits)
            asked = behavior.expired_only
        expired_only = flag(context, asked)
        return lambda pair: (
            pairs.delete(pair.namespace, pair.key)
            if not expired_only or pairs.is_expired(pair)
            else 0
        )


PLUGINS = (Set, Get, Delete, GetKeys, PurgeKv)
