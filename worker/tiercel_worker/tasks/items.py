"""Tasks on the rows of a file, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.rows import Row, read_rows
from tiercel_engine.storage.uri import file_name
from tiercel_worker.last_rows import last_rows
from tiercel_worker.task_runner.files import OWN_PREFIX

KEY_BYTES = 16

Behavior = Literal["FAIL", "INCLUDE", "EXCLUDE"]


class FilterOutput(BaseModel):
    """`uri`: the rows that are left; the totals count rows."""

    model_config = ConfigDict(populate_by_name=True)

    uri: str
    processed: int = Field(alias="processedItemsTotal")
    dropped: int = Field(alias="droppedItemsTotal")


class FilterItems(RunnableTask):
    """Keep those rows of a file for which a condition holds.

    Properties: `from` (an address: Ion, JSON lines, CSV), `filterCondition` (a template that sees
    the members of the row as variables, and the row itself as `item`), `filterType` (INCLUDE, or
    EXCLUDE to drop those for which it holds), `errorOrNullBehavior` (FAIL, INCLUDE or EXCLUDE: what
    becomes of a row for which the condition gives nothing or an error). Outputs: `uri`,
    `processedItemsTotal`, `droppedItemsTotal`. Metrics: `records` and `dropped`.

    Example:
        ```yaml
        id: large-orders
        namespace: docs.tasks
        tasks:
          - id: orders
            type: io.kestra.plugin.core.storage.Write
            extension: .jsonl
            content: |
              {"id": 1, "pieces": 3}
              {"id": 2, "pieces": 30}
          - id: large
            type: io.kestra.plugin.core.storage.FilterItems
            from: "{{ outputs.orders.uri }}"
            filterCondition: "{{ pieces > 10 }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.FilterItems"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.FilterItems",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = FilterOutput

    from_: Text = Field(alias="from")
    filter_condition: Text = Field(alias="filterCondition")
    filter_type: Literal["INCLUDE", "EXCLUDE"] = Field("INCLUDE", alias="filterType")
    error_or_null_behavior: Behavior = Field("FAIL", alias="errorOrNullBehavior")

    def run(self, context: RunContext) -> FilterOutput:
        uri, processed, kept = filtered(
            context, self.from_, lambda row: self._is_kept(context, row)
        )
        return FilterOutput(
            uri=uri, processedItemsTotal=processed, droppedItemsTotal=processed - kept
        )

    def _is_kept(self, context: RunContext, row: Row) -> bool:
        try:
            text = context.render(self.filter_condition, _variables(row)).strip().lower()
        except InvalidExpression as error:
            if self.error_or_null_behavior == "FAIL":
                raise TaskError(f"The condition fails on the row {_shown(row)}: {error}") from error
            return self.error_or_null_behavior == "INCLUDE"
        if not text:
            if self.error_or_null_behavior == "FAIL":
                raise TaskError(f"Expected true or false of the row {_shown(row)}, but nothing.")
            return self.error_or_null_behavior == "INCLUDE"
        return (text == "true") is (self.filter_type == "INCLUDE")


class DeduplicateOutput(BaseModel):
    """`uri`: the rows that are left; `numKeys`: how many different keys there are."""

    model_config = ConfigDict(populate_by_name=True)

    uri: str
    keys: int = Field(alias="numKeys")
    processed: int = Field(alias="processedItemsTotal")
    dropped: int = Field(alias="droppedItemsTotal")


class DeduplicateItems(RunnableTask):
    """Keep the last row of each key.

    The file is read twice; its keys lie on the disk of the worker meanwhile.
    Properties: `from` (an address: Ion, JSON lines, CSV), `expr` (a template of the key, which sees
    the members of the row as variables, and the row itself as `item`). Outputs: `uri`, `numKeys`,
    `processedItemsTotal`, `droppedItemsTotal`. Metrics: `records` and `dropped`.

    Example:
        ```yaml
        id: latest-orders
        namespace: docs.tasks
        tasks:
          - id: orders
            type: io.kestra.plugin.core.storage.Write
            extension: .jsonl
            content: |
              {"id": 1, "pieces": 3}
              {"id": 1, "pieces": 4}
          - id: latest
            type: io.kestra.plugin.core.storage.DeduplicateItems
            from: "{{ outputs.orders.uri }}"
            expr: "{{ id }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.DeduplicateItems"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.DeduplicateItems",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = DeduplicateOutput

    from_: Text = Field(alias="from")
    expr: Text

    def run(self, context: RunContext) -> DeduplicateOutput:
        with last_rows(context.working_directory() / f"{OWN_PREFIX}keys") as last:
            rows = _rows(context, context.render(self.from_))
            last.note(self._key(context, row) for row in rows)
            at, numbers = count(), last.numbers()
            following = next(numbers, None)

            def is_last(_: Row) -> bool:
                nonlocal following
                if next(at) != following:
                    return False
                following = next(numbers, None)
                return True

            uri, processed, kept = filtered(context, self.from_, is_last)
            return DeduplicateOutput(
                uri=uri,
                numKeys=last.count(),
                processedItemsTotal=processed,
                droppedItemsTotal=processed - kept,
            )

    def _key(self, context: RunContext, row: Row) -> bytes:
        text = context.render(self.expr, _variables(row))
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()


def filtered(
    context: RunContext, template: str, is_kept: Callable[[Row], bool]
) -> tuple[str, int, int]:
    """Store the rows that are kept: the new file's address, rows read, rows kept."""
    source_uri = context.render(template)
    counts = [0, 0]

    def lines() -> Iterator[bytes]:
        for row in _rows(context, source_uri):
            counts[0] += 1
            if is_kept(row):
                counts[1] += 1
                yield row.line

    name = file_name(source_uri)
    suffix = name.rpartition(".")[2].lower() if "." in name else "ion"
    uri = context.store_stream(lines(), "items." + ("ion" if suffix == "csv" else suffix))
    context.metric("records", counts[0])
    context.metric("dropped", counts[0] - counts[1])
    return uri, counts[0], counts[1]


def _rows(context: RunContext, uri: str) -> Iterator[Row]:
    with context.open_stored(uri) as source:
        for row in read_rows(source, file_name(uri)):
            if context.is_cancelled():
                raise TaskError("The task was stopped.")
            yield row


def _variables(row: Row) -> dict[str, Any]:
    members = row.value if isinstance(row.value, Mapping) else {}
    return {"item": row.value, **members}


def _shown(row: Row) -> str:
    return row.line[:200].decode("utf-8", "replace").rstrip()


PLUGINS = (FilterItems, DeduplicateItems)
