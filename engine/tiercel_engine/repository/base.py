"""The read models as protocols. Write side: the indexer alone. Read side: the API alone.

Everything here can be dropped and rebuilt from the log. Documents are the JSON objects that the
HTTP API answers with (features: api.md §5), so reading is one query and no conversion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

JsonObject = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """One page of a search. `total` counts all rows that match."""

    results: list[JsonObject]
    total: int


class ExecutionFilter(msgspec.Struct, frozen=True):
    """Which executions; every part narrows. Instants in microseconds since the epoch."""

    q: str | None = None
    namespace: str | None = None
    namespace_prefix: str | None = None
    flow_id: str | None = None
    states: Sequence[str] = ()
    labels: Sequence[tuple[str, str]] = ()
    start_us: int | None = None
    end_us: int | None = None
    parent_id: str | None = None
    trigger_execution_id: str | None = None
    child_filter: str | None = None
    kinds: Sequence[str] = ()


class LogFilter(msgspec.Struct, frozen=True):
    """Which log lines."""

    execution_id: str | None = None
    namespace: str | None = None
    flow_id: str | None = None
    task_id: str | None = None
    task_run_id: str | None = None
    trigger_id: str | None = None
    attempt: int | None = None
    min_level: str | None = None
    q: str | None = None
    start_us: int | None = None
    end_us: int | None = None


class ReadModels(Protocol):
    """What the API reads. Thread-safe; every call is one short transaction."""

    def execution(self, execution_id: str) -> JsonObject | None:
        """The execution as the API answers it, task runs in creation order; None: not there.

        Values behind a claim check stand as `{"$claim": {uri, size_bytes, sha256}}`.
        """

    def execution_sequence(self, execution_id: str) -> int:
        """Number of the last event that the row of this execution holds; 0: not there."""

    def execution_positions(self, execution_id: str) -> list[int]:
        """Offsets in the executions topic of every record of this execution, ascending."""

    def search_executions(
        self, where: ExecutionFilter, page: int, size: int, sort: Sequence[tuple[str, bool]]
    ) -> Page:
        """Executions; `page` from 1, `sort`: (column, ascending) pairs."""

    def logs(self, where: LogFilter, limit: int = 10_000) -> list[JsonObject]:
        """Log lines in the order of their time."""

    def search_logs(
        self, where: LogFilter, page: int, size: int, ascending: bool = False
    ) -> Page: ...

    def metrics(
        self,
        execution_id: str,
        page: int,
        size: int,
        task_run_id: str | None = None,
        task_id: str | None = None,
        sort: Sequence[tuple[str, bool]] = (),
    ) -> Page: ...

    def indexed_offsets(self) -> Mapping[tuple[str, int], int]:
        """(topic, partition) -> next offset to index."""

    def close(self) -> None: ...
