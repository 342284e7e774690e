"""The read models on SQL: what the API reads. `SqlStore` adds what the indexer writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tiercel_engine.clock import iso
from tiercel_engine.repository import query, slots
from tiercel_engine.repository.base import (
    ExecutionFilter,
    JsonObject,
    Lane,
    LogFilter,
    MeasureFilter,
    MetricFilter,
    Page,
    SortUnknown,
    TriggerFilter,
)
from tiercel_engine.repository.reader import paged
from tiercel_engine.repository.statistics import SqlStatistics
from tiercel_engine.repository.tables import (
    execution_records,
    executions,
    indexed_offsets,
    labels,
    logs,
    metrics,
    task_runs,
    triggers,
)
from tiercel_engine.repository.terms import Condition

#: Parameters of one statement; both databases have a limit on them.
IDS_PER_QUERY_MAX = 500

_decode = msgspec.json.Decoder().decode


class SqlReadModels(SqlStatistics):
    """`ReadModels` on an engine. Threads take connections from its pool."""

    def execution(self, execution_id: str) -> JsonObject | None:
        with self._reading() as connection:
            return self._execution(connection, execution_id)

    def execution_at(self, execution_id: str) -> tuple[JsonObject, int] | None:
        with self._reading() as connection:
            found = self._execution(connection, execution_id)
            return None if found is None else (found, self._sequence(connection, execution_id))

    def _execution(self, connection: sa.Connection, execution_id: str) -> JsonObject | None:
        runs = (
            sa.select(task_runs.c.document)
            .where(task_runs.c.execution_id == execution_id)
            .order_by(task_runs.c.position)
        )
        document = sa.select(executions.c.document).where(executions.c.id == execution_id)
        text = connection.execute(document).scalar()
        if text is None:
            return None
        run_texts = connection.execute(runs).scalars().all()
        return _with_task_runs(_decode(text), [_decode(run) for run in run_texts])

    def task_run(self, execution_id: str, task_run_id: str) -> JsonObject | None:
        t = task_runs.c
        document = sa.select(t.document).where(t.execution_id == execution_id, t.id == task_run_id)
        with self._reading() as connection:
            text = connection.execute(document).scalar()
        return None if text is None else _decode(text)

    def execution_sequence(self, execution_id: str) -> int:
        with self._reading() as connection:
            return self._sequence(connection, execution_id)

    def _sequence(self, connection: sa.Connection, execution_id: str) -> int:
        newest = sa.select(sa.func.max(execution_records.c.seq)).where(
            execution_records.c.execution_id == execution_id
        )
        return connection.execute(newest).scalar() or 0

    def execution_positions(self, execution_id: str) -> list[int]:
        offsets = (
            sa.select(execution_records.c.offset)
            .where(execution_records.c.execution_id == execution_id)
            .order_by(execution_records.c.seq)
        )
        with self._reading() as connection:
            return list(connection.execute(offsets).scalars())

    def execution_states(self, ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with self._reading() as connection:
            for first in range(0, len(ids), IDS_PER_QUERY_MAX):
                some = list(ids[first : first + IDS_PER_QUERY_MAX])
                states = sa.select(executions.c.id, executions.c.state)
                rows = connection.execute(states.where(executions.c.id.in_(some)))
                found.update((row.id, row.state) for row in rows)
        return found

    def find_executions(self, where: ExecutionFilter, limit: int) -> list[str]:
        newest = executions.c.start_us.desc(), executions.c.id.desc()
        conditions = query.execution_conditions(where)
        found = sa.select(executions.c.id).where(*conditions).order_by(*newest).limit(limit)
        with self._searching(where.terms) as connection:
            return list(connection.execute(found).scalars())

    def latest_executions(self, flows: Sequence[tuple[str, str]]) -> list[JsonObject]:
        found: list[JsonObject] = []
        with self._reading() as connection:
            for namespace, flow_id in flows:
                where = ExecutionFilter(namespace=namespace, flow_id=flow_id)
                found += [_decode(text) for text in connection.execute(_newest(where, 1)).scalars()]
        return found

    def execution_documents(self, where: ExecutionFilter, limit: int) -> list[JsonObject]:
        with self._searching(where.terms) as connection:
            return [_decode(text) for text in connection.execute(_newest(where, limit)).scalars()]

    def distinct_values(self, field: str, where: ExecutionFilter, limit: int) -> list[str]:
        conditions = query.execution_conditions(where)
        if field == "labels":
            value: sa.ColumnElement[Any] = labels.c.key + ":" + labels.c.value
            found = sa.select(value).join(executions, executions.c.id == labels.c.execution_id)
        else:
            column = query.EXECUTIONS.fields.get(field)
            if column is None:
                known = ", ".join((*query.EXECUTIONS.fields, "labels"))
                raise SortUnknown(f"Expected one of {known}, but it is {field!r}.")
            value, found = column, sa.select(column).where(column.is_not(None))
        some = found.where(*conditions).distinct().order_by(value).limit(limit)
        with self._searching(where.terms) as connection:
            return [str(one) for one in connection.execute(some).scalars()]

    def average_duration_us(self, namespace: str, flow_id: str) -> tuple[int, int | None]:
        x = executions.c
        asked = sa.select(sa.func.count(), sa.func.avg(x.end_us - x.start_us)).where(
            x.namespace == namespace, x.flow_id == flow_id, x.state == "SUCCESS"
        )
        with self._reading() as connection:
            count, mean = connection.execute(asked).one()
        return count, None if mean is None else round(mean)

    def search_executions(
        self, where: ExecutionFilter, page: int, size: int, sort: Sequence[tuple[str, bool]]
    ) -> Page:
        conditions = query.execution_conditions(where)
        by = query.order_by(sort or [("state.startDate", False)], query.EXECUTION_SORTS)
        order = (*by, executions.c.id.desc())
        # First which, then their documents: whatever matches is sorted, and documents are long.
        which = paged(sa.select(executions.c.id).where(*conditions).order_by(*order), page, size)
        found = (
            sa.select(executions.c.id, executions.c.document)
            .where(executions.c.id.in_(which))
            .order_by(*order)
        )
        total = sa.select(sa.func.count()).select_from(executions).where(*conditions)
        with self._searching(where.terms) as connection:
            rows = connection.execute(found).all()
            count = connection.execute(total).scalar_one()
            runs = _first_task_runs(connection, [row.id for row in rows])
        results = [_with_task_runs(_decode(row.document), runs[row.id]) for row in rows]
        return Page(results, count)

    def logs(self, where: LogFilter, limit: int = 10_000) -> list[JsonObject]:
        with self._searching(where.terms) as connection:
            oldest_first = (("timestamp", True),)
            rows = connection.execute(_lines(where, oldest_first).limit(limit)).mappings()
            return [log_document(row) for row in rows]

    def log_lines(
        self, where: LogFilter, partition: int, after: int, limit: int
    ) -> list[tuple[int, JsonObject]]:
        # Not the bare column: the primary key would lead through the lines of all executions.
        place = logs.c.offset + 0
        found = (
            sa.select(logs)
            .where(*query.log_conditions(where), logs.c.partition == partition, place > after)
            .order_by(place)
            .limit(limit)
        )
        with self._reading() as connection:
            rows = connection.execute(found).mappings()
            return [(row["offset"], log_document(row)) for row in rows]

    def search_logs(
        self, where: LogFilter, page: int, size: int, sort: Sequence[tuple[str, bool]] = ()
    ) -> Page:
        conditions = query.log_conditions(where)
        total = sa.select(sa.func.count()).select_from(logs).where(*conditions)
        with self._searching(where.terms) as connection:
            rows = connection.execute(paged(_lines(where, sort), page, size)).mappings()
            results = [log_document(row) for row in rows]
            return Page(results, connection.execute(total).scalar_one())

    def metrics(
        self,
        execution_id: str,
        page: int,
        size: int,
        terms: Sequence[Condition] = (),
        sort: Sequence[tuple[str, bool]] = (),
    ) -> Page:
        m = metrics.c
        conditions = [m.execution_id == execution_id]
        conditions += [query.holds(term, query.METRICS) for term in terms]
        order = query.order_by(sort or [("timestamp", True)], query.METRIC_SORTS)
        found = sa.select(metrics).where(*conditions).order_by(*order, m.partition, m.offset)
        total = sa.select(sa.func.count()).select_from(metrics).where(*conditions)
        with self._searching(terms) as connection:
            rows = connection.execute(paged(found, page, size)).mappings()
            results = [metric_document(row) for row in rows]
            return Page(results, connection.execute(total).scalar_one())

    def count_metrics(self, where: MeasureFilter) -> int:
        total = sa.select(sa.func.count()).select_from(metrics)
        with self._reading() as connection:
            matching = total.where(*query.measure_conditions(where))
            return connection.execute(matching).scalar_one()

    def search_triggers(
        self, where: TriggerFilter, page: int, size: int, sort: Sequence[tuple[str, bool]]
    ) -> Page:
        conditions = query.trigger_conditions(where)
        t = triggers.c
        order = query.order_by(sort, query.TRIGGER_SORTS)
        found = (
            sa.select(t.document)
            .where(*conditions)
            .order_by(*order, t.namespace, t.flow_id, t.trigger_id)
        )
        total = sa.select(sa.func.count()).select_from(triggers).where(*conditions)
        with self._searching(where.terms) as connection:
            texts = connection.execute(paged(found, page, size)).scalars().all()
            return Page([_decode(text) for text in texts], connection.execute(total).scalar_one())

    def flow_limits(
        self, tenant: str, page: int, size: int, terms: Sequence[Condition] = ()
    ) -> Page:
        found = slots.limits(tenant).where(*(query.holds(term, slots.LIMITS) for term in terms))
        total = sa.select(sa.func.count()).select_from(found.order_by(None).subquery())
        with self._reading() as connection:
            rows = connection.execute(paged(found, page, size)).mappings()
            results = [slots.document(row) for row in rows]
            return Page(results, connection.execute(total).scalar_one())

    def slot_holders(self, tenant: str, namespace: str, flow_id: str) -> dict[str, str | None]:
        with self._reading() as connection:
            rows = connection.execute(slots.holders(tenant, namespace, flow_id))
            return {row.execution_id: row.state for row in rows}

    def metric_names(self, namespace: str, flow_id: str, task_id: str | None = None) -> list[str]:
        m = metrics.c
        conditions = [m.namespace == namespace, m.flow_id == flow_id]
        if task_id is not None:
            conditions.append(m.task_id == task_id)
        return self._distinct(m.name, conditions)

    def tasks_with_metrics(self, namespace: str, flow_id: str) -> list[str]:
        m = metrics.c
        return self._distinct(m.task_id, [m.namespace == namespace, m.flow_id == flow_id])

    def _distinct(self, column: sa.ColumnElement[Any], where: Sequence[Any]) -> list[str]:
        found = sa.select(column).where(*where).distinct().order_by(column)
        with self._reading() as connection:
            return list(connection.execute(found).scalars())

    def metric_series(
        self, where: MetricFilter, kind: str, step_us: int, offset_us: int = 0
    ) -> dict[int, float]:
        m = metrics.c
        conditions = [
            m.namespace == where.namespace,
            m.flow_id == where.flow_id,
            m.name == where.name,
            m.at_us >= where.start_us,
            m.at_us <= where.end_us,
        ]
        if where.task_id is not None:
            conditions.append(m.task_id == where.task_id)
        functions: dict[str, Callable[[Any], sa.ColumnElement[Any]]] = {
            "sum": sa.func.sum,
            "count": sa.func.count,
            "min": sa.func.min,
            "max": sa.func.max,
        }
        span = (m.at_us + offset_us) // step_us
        found = sa.select(span, functions[kind](m.value)).where(*conditions).group_by(span)
        with self._reading() as connection:
            return {int(row[0]): float(row[1]) for row in connection.execute(found)}

    def indexed_offsets(self) -> Mapping[Lane, int]:
        with self._reading() as connection:
            rows = connection.execute(sa.select(indexed_offsets)).all()
        return {(row.topic, row.partition): row.next_offset for row in rows}

    def close(self) -> None:
        self._engine.dispose()


def _newest(where: ExecutionFilter, limit: int) -> sa.Select[Any]:
    newest = executions.c.start_us.desc(), executions.c.id.desc()
    conditions = query.execution_conditions(where)
    return sa.select(executions.c.document).where(*conditions).order_by(*newest).limit(limit)


def log_document(row: Mapping[Any, Any]) -> JsonObject:
    """A line as the API answers it, parts without a value left out."""
    named = {
        "namespace": row["namespace"],
        "flowId": row["flow_id"],
        "taskId": row["task_id"],
        "executionId": row["execution_id"],
        "taskRunId": row["task_run_id"],
        "attemptNumber": row["attempt"],
        "triggerId": row["trigger_id"],
        "timestamp": iso(row["at_us"]),
        "level": query.LEVELS[row["level"]],
        "thread": row["thread"],
        "message": row["message"],
        "deleted": False,
    }
    return {name: value for name, value in named.items() if value is not None}


def metric_document(row: Mapping[Any, Any]) -> JsonObject:
    """A metric as the API answers it."""
    return {
        "namespace": row["namespace"],
        "flowId": row["flow_id"],
        "taskId": row["task_id"],
        "executionId": row["execution_id"],
        "taskRunId": row["task_run_id"],
        "type": row["type"],
        "name": row["name"],
        "value": row["value"],
        "timestamp": iso(row["at_us"]),
        "tags": _decode(row["tags"]),
        "deleted": False,
    }


def _lines(where: LogFilter, sort: Sequence[tuple[str, bool]]) -> sa.Select[Any]:
    by = tuple(sort) or (("timestamp", False),)
    if "timestamp" not in dict(by):
        by += (("timestamp", by[-1][1]),)
    # Lines of one instant keep the order in which they came, or its opposite.
    places = (logs.c.partition, logs.c.offset)
    order = [place.asc() if by[-1][1] else place.desc() for place in places]
    sorts = query.order_by(by, query.LOG_SORTS)
    return sa.select(logs).where(*query.log_conditions(where)).order_by(*sorts, *order)


def _first_task_runs(
    connection: sa.Connection, execution_ids: list[str]
) -> dict[str, list[JsonObject]]:
    """The first task runs of each execution, in creation order."""
    runs: dict[str, list[JsonObject]] = defaultdict(list)
    if not execution_ids:
        return runs
    t = task_runs.c
    rank = sa.func.row_number().over(partition_by=t.execution_id, order_by=t.position)
    # Ranks come from the key alone; documents are read for those that are kept.
    ranked = (
        sa.select(t.execution_id, t.position, rank.label("rank"))
        .where(t.execution_id.in_(execution_ids))
        .subquery()
    )
    found = (
        sa.select(t.execution_id, t.document)
        .join(
            ranked,
            sa.and_(t.execution_id == ranked.c.execution_id, t.position == ranked.c.position),
        )
        .where(ranked.c.rank <= query.TASK_RUNS_PER_RESULT_MAX)
        .order_by(t.execution_id, t.position)
    )
    for row in connection.execute(found):
        runs[row.execution_id].append(_decode(row.document))
    return runs


def _with_task_runs(document: JsonObject, runs: list[JsonObject]) -> JsonObject:
    """The document with its task runs where the peer puts them; none before the first."""
    if not runs:
        return document
    whole: JsonObject = {}
    for name, value in document.items():
        whole[name] = value
        if name == "flowRevision":
            whole["taskRunList"] = runs
    return whole
