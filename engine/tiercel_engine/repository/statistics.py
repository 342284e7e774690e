"""What many rows come to, in SQL: groups, sums, and pages of task runs.

Every statement is bounded by its window of time and its page; windows are ranges of an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tiercel_engine.repository import query
from tiercel_engine.repository.aggregates import (
    DATES,
    FIELDS,
    QUESTION_S_MAX,
    Aggregation,
    Column,
    Kind,
    Rows,
)
from tiercel_engine.repository.engines import bounding_time
from tiercel_engine.repository.query import Columns, Searched
from tiercel_engine.repository.reader import SqlReader, paged
from tiercel_engine.repository.tables import executions, labels, logs, metrics, task_runs, triggers
from tiercel_engine.repository.terms import leaves
from tiercel_schemas.state import TERMINATED

_FUNCTIONS: Mapping[str, Callable[[Any], sa.ColumnElement[Any]]] = {
    "COUNT": sa.func.count,
    "SUM": sa.func.sum,
    "AVG": sa.func.avg,
    "MIN": sa.func.min,
    "MAX": sa.func.max,
}


class SqlStatistics(SqlReader):
    """`Statistics` on an engine."""

    def aggregate(self, asked: Aggregation) -> Rows:
        plan = _Plan(asked, self._is_postgresql)
        found = plan.select()
        with (
            self._reading() as connection,
            bounding_time(connection, QUESTION_S_MAX),
            self._matching(connection, asked.where),
        ):
            ordered = paged(found.order_by(*plan.order()), asked.page, asked.size)
            rows = [tuple(row) for row in connection.execute(ordered)]
            if len(rows) < asked.size and (rows or asked.page == 1):
                return Rows(rows, (asked.page - 1) * asked.size + len(rows))
            total = sa.select(sa.func.count()).select_from(found.subquery())
            return Rows(rows, connection.execute(total).scalar_one())


class _Plan:
    """One aggregation as SQL."""

    def __init__(self, asked: Aggregation, is_postgresql: bool) -> None:
        self._asked = asked
        self._is_postgresql = is_postgresql
        self._searched, self._source = self._table()
        self._fields = self._searched.fields
        self._selected = {
            column.name: self._expression(column).label(f"c{number}")
            for number, column in enumerate(asked.columns)
        }

    def select(self) -> sa.Select[Any]:
        asked = self._asked
        found = sa.select(*self._selected.values()).select_from(self._source)
        found = found.where(*self._conditions())
        if asked.is_grouped:
            keys = [self._selected[c.name] for c in asked.columns if c.aggregate is None]
            found = found.group_by(*keys)
        return found

    def order(self) -> list[sa.UnaryExpression[Any]]:
        asked = self._asked
        if asked.order:
            ties = () if asked.is_grouped else _TIES[asked.table]
            return [*query.order_by(asked.order, self._selected), *(tie.asc() for tie in ties)]
        if asked.is_grouped:
            keys = [(c.name, True) for c in asked.columns if c.aggregate is None]
            return query.order_by(keys, self._selected)
        date = DATES.get(asked.table)
        newest = [] if date is None else [self._fields[date].desc()]
        return [*newest, *(column.asc() for column in _TIES[asked.table])]

    def _conditions(self) -> list[query.Condition]:
        asked = self._asked
        conditions = [query.holds(term, self._searched) for term in asked.where]
        date = DATES.get(asked.table)
        if date is not None:
            conditions += query.within(self._fields[date], asked.start_us, asked.end_us)
        return conditions

    def _expression(self, column: Column) -> sa.ColumnElement[Any]:
        if column.field is None:
            return sa.func.count()
        value = self._value(column)
        if column.aggregate is not None:
            return _FUNCTIONS[column.aggregate](value)
        is_instant = FIELDS[self._asked.table][column.field] is Kind.INSTANT
        if is_instant and self._asked.is_grouped and self._asked.step_us:
            return (value + self._asked.offset_us) // self._asked.step_us
        return value

    def _value(self, column: Column) -> sa.ColumnElement[Any]:
        assert column.field is not None
        if column.field != "labels":
            return self._fields[column.field]
        label = labels.c
        of_execution = label.execution_id == executions.c.id
        if column.label:
            # A key may stand on an execution more than once.
            found = sa.select(sa.func.min(label.value)).where(
                of_execution, label.key == column.label
            )
            return found.scalar_subquery()
        pair = label.key + ":" + label.value
        joined = (
            sa.func.string_agg(pair, ",") if self._is_postgresql else sa.func.group_concat(pair)
        )
        return sa.select(joined).where(of_execution).scalar_subquery()

    def _table(self) -> tuple[Searched, sa.FromClause]:
        match self._asked.table:
            case "executions":
                return EXECUTIONS, executions
            case "taskRuns":
                return TASK_RUNS, self._task_runs()
            case "logs":
                return LOGS, logs
            case "metrics":
                return METRICS, metrics
            case "triggers":
                return TRIGGERS, triggers
            case "flows":
                return self._flows()
        raise AssertionError(f"Expected a table, but it is {self._asked.table}.")

    def _task_runs(self) -> sa.FromClause:
        """Task runs; with their executions only when something of those is asked."""
        asked = {column.field for column in self._asked.columns if column.field is not None}
        asked |= {term.field for term in leaves(self._asked.where)}
        if asked <= OF_TASK_RUNS:
            return task_runs
        return task_runs.join(executions, executions.c.id == task_runs.c.execution_id)

    def _flows(self) -> tuple[Searched, sa.FromClause]:
        """The given flows as a table: one JSON text as parameter."""
        rows = [{"id": i, "namespace": n, "revision": r} for i, n, r in self._asked.flows]
        text = sa.literal(msgspec.json.encode(rows).decode(), sa.Text())
        kinds: dict[str, sa.types.TypeEngine[Any]] = {
            "id": sa.Text(),
            "namespace": sa.Text(),
            "revision": sa.BigInteger(),
        }
        if self._is_postgresql:
            columns = [sa.column(name, kind) for name, kind in kinds.items()]
            given = sa.func.json_to_recordset(sa.cast(text, postgresql.JSON))
            source = given.table_valued(*columns).render_derived(with_types=True)
            # Columns of a function have no collation, and compare by the database's.
            texts = {name: sa.collate(source.c[name], "C") for name in ("id", "namespace")}
            fields: dict[str, Any] = {**texts, "revision": source.c.revision}
        else:
            source = sa.func.json_each(text).table_valued("value")
            fields = {
                name: sa.func.json_extract(source.c.value, f"$.{name}", type_=kind)
                for name, kind in kinds.items()
            }
        fields |= {"flowId": fields["id"], "flowRevision": fields["revision"]}
        return Searched(fields, (fields["id"], fields["namespace"])), source


x, t, line, m, g = executions.c, task_runs.c, logs.c, metrics.c, triggers.c
EXECUTIONS = Searched(
    {**query.EXECUTIONS.fields, "duration": x.changed_us - x.start_us}, query.EXECUTIONS.texts
)
_OWN: Columns = {
    "id": t.id,
    "executionId": t.execution_id,
    "state": t.state,
    "duration": t.changed_us - t.start_us,
    "startDate": t.start_us,
    "endDate": sa.case((t.state.in_(TERMINATED), t.changed_us)),
    "document": t.document,
}
#: Fields that need no execution.
OF_TASK_RUNS = frozenset(_OWN)
TASK_RUNS = Searched({**query.EXECUTIONS.fields, **_OWN}, (t.id, *query.EXECUTIONS.texts))
LOGS = Searched(
    {
        **query.LOGS.fields,
        "attemptNumber": line.attempt,
        "date": line.at_us,
        "message": line.message,
        "thread": line.thread,
    },
    query.LOGS.texts,
)
METRICS = Searched({**query.METRICS.fields, "date": m.at_us}, query.METRICS.texts)
TRIGGERS = Searched(
    {**query.TRIGGERS.fields, "id": g.trigger_id, "nextExecutionDate": g.next_us},
    query.TRIGGERS.texts,
)
#: Table -> what tells rows apart that are equal otherwise, so that pages do not overlap.
_TIES: Mapping[str, tuple[sa.ColumnElement[Any], ...]] = {
    "executions": (x.id,),
    "taskRuns": (t.execution_id, t.position),
    "logs": (line.partition, line.offset),
    "metrics": (m.partition, m.offset),
    "triggers": (g.namespace, g.flow_id, g.trigger_id),
    "flows": (),
}
