"""The read models as protocols. Write side: the indexer alone. Read side: the API alone.

Everything here can be dropped and rebuilt from the log. Documents are the JSON objects that the
HTTP API answers with, so reading is one query and no conversion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tiercel_engine.errors import TransientError, UserError
from tiercel_engine.repository.aggregates import Statistics
from tiercel_engine.repository.terms import Condition

JsonObject = dict[str, Any]

#: Column name -> value of one row of `tables`.
Row = dict[str, Any]

#: (topic, partition).
Lane = tuple[str, int]


class OffsetsMoved(TransientError):
    """Somebody else indexed these partitions meanwhile; nothing was written, start over."""


class DatabaseUnavailable(TransientError):
    """The database did not answer or gave up the transaction; nothing was written."""


class SortUnknown(UserError):
    """No such column to sort by; the message names those that are."""


class Page(msgspec.Struct, frozen=True):
    """One page of a search. `total` counts all rows that match."""

    results: list[JsonObject]
    total: int


class ExecutionFilter(msgspec.Struct, frozen=True):
    """Which executions; every part narrows. Instants in microseconds since the epoch.

    Attributes:
        q: part of its id, namespace or flow id, in any case of letters.
        namespace: exactly this one; `namespace_prefix`: this one and those below it.
        states: any of them.
        labels: all of these (key, value).
        start_us: began then or later.
        end_us: began then or earlier.
        parent_id: replayed from or started by this one.
        trigger_execution_id: started by this execution's task or its end.
        child_filter: CHILD: started by another execution; MAIN: not so.
        kinds: any of NORMAL, TEST, PLAYGROUND, LOOP.
        terms: all of these conditions.
    """

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
    terms: Sequence[Condition] = ()


class LogFilter(msgspec.Struct, frozen=True):
    """Which log lines; every part narrows. `attempt` counts from 0, as in the documents.

    Attributes:
        namespace: this one and those below it; `exact_namespace`: only this one.
        min_level: TRACE, DEBUG, INFO, WARN or ERROR.
        levels: any of them.
        q: part of the message, in any case of letters.
        start_us, end_us: written then or later, then or earlier.
        terms: all of these conditions; a deletion has none.
    """

    execution_id: str | None = None
    namespace: str | None = None
    exact_namespace: str | None = None
    flow_id: str | None = None
    task_id: str | None = None
    task_run_id: str | None = None
    trigger_id: str | None = None
    attempt: int | None = None
    min_level: str | None = None
    levels: Sequence[str] = ()
    q: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    terms: Sequence[Condition] = ()


class MeasureFilter(msgspec.Struct, frozen=True):
    """Which metrics, of whatever name; every part narrows.

    Attributes:
        namespace: this one and those below it; `exact_namespace`: only this one.
        start_us, end_us: measured then or later, then or earlier.
    """

    namespace: str | None = None
    exact_namespace: str | None = None
    flow_id: str | None = None
    start_us: int | None = None
    end_us: int | None = None


class TriggerFilter(msgspec.Struct, frozen=True):
    """Which triggers; every part narrows.

    Attributes:
        q: part of its id, namespace or flow id, in any case of letters.
        namespace: exactly this one; `namespace_prefix`: this one and those below it.
        flow_id, trigger_id: exactly these.
        disabled: whether somebody disabled it.
        locked: whether an execution locks it.
        terms: all of these conditions.
    """

    q: str | None = None
    namespace: str | None = None
    namespace_prefix: str | None = None
    flow_id: str | None = None
    trigger_id: str | None = None
    disabled: bool | None = None
    locked: bool | None = None
    terms: Sequence[Condition] = ()


class MetricFilter(msgspec.Struct, frozen=True):
    """Which values of a metric; instants in microseconds since the epoch."""

    namespace: str
    flow_id: str
    name: str
    start_us: int
    end_us: int
    task_id: str | None = None


class ReadModels(Statistics, Protocol):
    """What the API reads. Thread-safe; every call is one short transaction.

    A call with a filter raises `SearchTooSlow` when its regular expressions take too long.
    """

    def execution(self, execution_id: str) -> JsonObject | None:
        """The execution as the API answers it, task runs in creation order; None: not there.

        Values behind a claim check stand as `{"$claim": {uri, size_bytes, sha256}}`. `duration`
        reaches to the last change of state, as in the peer, and is zero before the second state.
        """

    def task_run(self, execution_id: str, task_run_id: str) -> JsonObject | None:
        """One task run as `execution` has it; None: not there."""

    def execution_at(self, execution_id: str) -> tuple[JsonObject, int] | None:
        """As `execution`, with the number of the last event that the document holds."""

    def execution_sequence(self, execution_id: str) -> int:
        """Number of the last event that the row of this execution holds; 0: not there."""

    def execution_positions(self, execution_id: str) -> list[int]:
        """Offsets in the executions topic of every record of this execution, ascending."""

    def execution_states(self, ids: Sequence[str]) -> dict[str, str]:
        """State of each of these executions; those that are not there are left out."""

    def find_executions(self, where: ExecutionFilter, limit: int) -> list[str]:
        """Ids of the executions that match, newest first."""

    def latest_executions(self, flows: Sequence[tuple[str, str]]) -> list[JsonObject]:
        """The newest execution of each (namespace, flow id) that has one; no task runs."""

    def execution_documents(self, where: ExecutionFilter, limit: int) -> list[JsonObject]:
        """The executions that match, newest first, without their task runs."""

    def distinct_values(self, field: str, where: ExecutionFilter, limit: int) -> list[str]:
        """The values of a field of `query.EXECUTION_FIELDS`, or of `labels` (`key:value`).

        Raises:
            SortUnknown: no such field.
        """

    def average_duration_us(self, namespace: str, flow_id: str) -> tuple[int, int | None]:
        """How many successful executions a flow has, and their average; None: there are none."""

    def search_executions(
        self, where: ExecutionFilter, page: int, size: int, sort: Sequence[tuple[str, bool]]
    ) -> Page:
        """Executions; `page` from 1, `sort`: (column, ascending) pairs; none: newest first.

        Columns: id, namespace, flowId, state.current, state.startDate, state.endDate,
        state.duration. An execution's first `query.TASK_RUNS_PER_RESULT_MAX` task runs come along.

        Raises:
            SortUnknown: no such column.
        """

    def logs(self, where: LogFilter, limit: int = 10_000) -> list[JsonObject]:
        """Log lines in the order of their time."""

    def log_lines(
        self, where: LogFilter, partition: int, after: int, limit: int
    ) -> list[tuple[int, JsonObject]]:
        """Lines of an execution behind an offset of its logs partition, in the order of the log.

        Returns:
            (offset, line) pairs.
        """

    def search_logs(
        self, where: LogFilter, page: int, size: int, sort: Sequence[tuple[str, bool]] = ()
    ) -> Page:
        """Log lines, newest first unless sorted by a name of `query.LOG_SORTS`.

        Raises:
            SortUnknown: no such column.
        """

    def metrics(
        self,
        execution_id: str,
        page: int,
        size: int,
        terms: Sequence[Condition] = (),
        sort: Sequence[tuple[str, bool]] = (),
    ) -> Page:
        """Metrics of an execution that match, oldest first unless sorted by `query.METRIC_SORTS`.

        Raises:
            SortUnknown: no such column.
        """

    def search_triggers(
        self, where: TriggerFilter, page: int, size: int, sort: Sequence[tuple[str, bool]]
    ) -> Page:
        """Triggers that have a state, as the API answers them; none: by name.

        Columns: triggerId, namespace, flowId, date, nextExecutionDate, updatedDate.

        Raises:
            SortUnknown: no such column.
        """

    def flow_limits(
        self, tenant: str, page: int, size: int, terms: Sequence[Condition] = ()
    ) -> Page:
        """Flows that limit their executions: limit, behavior, how many run and how many wait.

        `terms`: all of these conditions on `namespace` and `flowId`.
        """

    def slot_holders(self, tenant: str, namespace: str, flow_id: str) -> dict[str, str | None]:
        """Executions that have a slot of a flow -> their state; None: they are not there."""

    def count_metrics(self, where: MeasureFilter) -> int:
        """How many metrics match."""

    def metric_names(self, namespace: str, flow_id: str, task_id: str | None = None) -> list[str]:
        """Names of the metrics of a flow, or of one task of it."""

    def tasks_with_metrics(self, namespace: str, flow_id: str) -> list[str]:
        """Ids of the tasks of a flow that have sent metrics."""

    def metric_series(
        self, where: MetricFilter, kind: str, step_us: int, offset_us: int = 0
    ) -> dict[int, float]:
        """A metric per span of time: sum, count, min or max of its values.

        Args:
            kind: sum, count, min or max.
            step_us: length of a span.
            offset_us: how much later than in UTC it is where spans begin.

        Returns:
            (start of a span + `offset_us`) / `step_us` -> value; empty spans are left out.
        """

    def indexed_offsets(self) -> Mapping[tuple[str, int], int]:
        """(topic, partition) -> next offset to index."""

    def close(self) -> None: ...


class Deletion(msgspec.Struct, frozen=True):
    """An execution to remove with its task runs; `logs`, `metrics`: those, too."""

    execution_id: str
    logs: bool
    metrics: bool


class LinesDeletion(msgspec.Struct, frozen=True):
    """Log lines or metrics to remove: those of a partition below an offset that match."""

    partition: int
    offset: int
    where: LogFilter | MeasureFilter


class Changes(msgspec.Struct):
    """What one batch of records does to the tables, at most one change per row.

    Attributes:
        offsets: (topic, partition) -> (next offset before the batch, after it).
        executions, task_runs: whole rows to insert or overwrite.
        deleted: executions to remove, before anything is written.
        task_runs_removed: rows of `execution_id`, `position`.
        records: rows of `execution_records`.
        labels_removed, labels_added: rows of `labels`; removed first.
        logs, metrics: rows to insert.
        triggers_removed, triggers: rows of `triggers` to remove, to insert or overwrite.
        flow_limits: rows to insert or overwrite; flow_slots_removed, flow_slots: as triggers.
    """

    offsets: dict[Lane, tuple[int, int]] = msgspec.field(default_factory=dict)
    executions: list[Row] = msgspec.field(default_factory=list)
    task_runs: list[Row] = msgspec.field(default_factory=list)
    deleted: list[Deletion] = msgspec.field(default_factory=list)
    task_runs_removed: list[Row] = msgspec.field(default_factory=list)
    records: list[Row] = msgspec.field(default_factory=list)
    labels_removed: list[Row] = msgspec.field(default_factory=list)
    labels_added: list[Row] = msgspec.field(default_factory=list)
    logs: list[Row] = msgspec.field(default_factory=list)
    metrics: list[Row] = msgspec.field(default_factory=list)
    triggers_removed: list[Row] = msgspec.field(default_factory=list)
    triggers: list[Row] = msgspec.field(default_factory=list)
    flow_limits: list[Row] = msgspec.field(default_factory=list)
    flow_slots_removed: list[Row] = msgspec.field(default_factory=list)
    flow_slots: list[Row] = msgspec.field(default_factory=list)


class WriteModels(Protocol):
    """What the indexer writes. Thread-safe; every call is one transaction.

    Every method raises `DatabaseUnavailable` when the database does not answer.
    """

    def open_lanes(self, lanes: Sequence[Lane]) -> dict[Lane, int]:
        """Next offset to index of each partition; a new one begins at 0."""

    def load_executions(self, ids: Sequence[str]) -> dict[str, Row]:
        """Rows of `executions` with `seq`, the number of their last event; by id."""

    def load_task_runs(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Row]:
        """Rows of `task_runs` by (execution id, task run id)."""

    def delete_lines(self, asked: LinesDeletion, after: int, limit: int) -> int | None:
        """Delete at most `limit` of the rows that a deletion reaches, those above offset `after`.

        Returns:
            `after` for the next call; None: there are no more.
        """

    def delete_lines_of(
        self, execution_id: str, with_logs: bool, with_metrics: bool, limit: int
    ) -> bool:
        """Delete at most `limit` lines of an execution, and metrics; whether no more are left."""

    def write(self, changes: Changes) -> None:
        """Write rows and offsets together or not at all.

        Raises:
            OffsetsMoved: a next offset is not what `changes` says; nothing was written.
        """

    def clear(self, keep_below: Mapping[Lane, int], logs: str, metrics: str) -> None:
        """Remove all rows and offsets, for a rebuild.

        Args:
            keep_below: lines and metrics of the topics `logs` and `metrics` below these offsets
                stay: the log no longer has them. Partitions not named here stay whole.
            logs: name of the logs topic.
            metrics: name of the metrics topic.
        """


class Store(ReadModels, WriteModels, Protocol):
    """Both sides of one database."""
