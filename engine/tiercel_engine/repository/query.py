"""Filters and sorts -> SQL conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tiercel_engine.repository.base import ExecutionFilter, LogFilter, SortUnknown, TriggerFilter
from tiercel_engine.repository.tables import executions, labels, logs, metrics, triggers

#: How many task runs of an execution come along in a search. A single execution has them all.
TASK_RUNS_PER_RESULT_MAX = 1_000

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")

Condition = sa.ColumnElement[bool]
# SQLAlchemy's columns are generic over what they hold; here any will do.
Columns = Mapping[str, sa.ColumnElement[Any]]

EXECUTION_SORTS: Columns = {
    "id": executions.c.id,
    "namespace": executions.c.namespace,
    "flowId": executions.c.flow_id,
    "state.current": executions.c.state,
    "state.startDate": executions.c.start_us,
    "state.endDate": executions.c.end_us,
    "state.duration": executions.c.changed_us - executions.c.start_us,
}

METRIC_SORTS: Columns = {
    "name": metrics.c.name,
    "type": metrics.c.type,
    "value": metrics.c.value,
    "timestamp": metrics.c.at_us,
    "taskId": metrics.c.task_id,
    "taskRunId": metrics.c.task_run_id,
}

TRIGGER_SORTS: Columns = {
    "triggerId": triggers.c.trigger_id,
    "namespace": triggers.c.namespace,
    "flowId": triggers.c.flow_id,
    "date": triggers.c.date_us,
    "nextExecutionDate": triggers.c.next_us,
    "updatedDate": triggers.c.updated_us,
}


def execution_conditions(where: ExecutionFilter) -> list[Condition]:
    """What an execution must be to match."""
    x = executions.c
    conditions: list[Condition] = []
    if where.q:
        columns = (x.id, x.namespace, x.flow_id)
        conditions.append(sa.or_(*(_contains(column, where.q) for column in columns)))
    if where.namespace is not None:
        conditions.append(x.namespace == where.namespace)
    if where.namespace_prefix:
        conditions.append(_is_below(x.namespace, where.namespace_prefix))
    if where.flow_id is not None:
        conditions.append(x.flow_id == where.flow_id)
    if where.states:
        conditions.append(x.state.in_(list(where.states)))
    if where.kinds:
        conditions.append(x.kind.in_(list(where.kinds)))
    if where.start_us is not None:
        conditions.append(x.start_us >= where.start_us)
    if where.end_us is not None:
        conditions.append(x.start_us <= where.end_us)
    if where.parent_id is not None:
        conditions.append(x.parent_id == where.parent_id)
    if where.trigger_execution_id is not None:
        conditions.append(x.trigger_execution_id == where.trigger_execution_id)
    if where.child_filter == "CHILD":
        conditions.append(x.trigger_execution_id.is_not(None))
    elif where.child_filter == "MAIN":
        conditions.append(x.trigger_execution_id.is_(None))
    conditions.extend(_has_label(key, value) for key, value in where.labels)
    return conditions


def log_conditions(where: LogFilter) -> list[Condition]:
    """What a line must be to match."""
    line = logs.c
    equal: tuple[tuple[sa.ColumnElement[Any], str | int | None], ...] = (
        (line.execution_id, where.execution_id),
        (line.flow_id, where.flow_id),
        (line.task_id, where.task_id),
        (line.task_run_id, where.task_run_id),
        (line.trigger_id, where.trigger_id),
        (line.attempt, where.attempt),
    )
    conditions: list[Condition] = [column == value for column, value in equal if value is not None]
    if where.namespace:
        conditions.append(_is_below(line.namespace, where.namespace))
    if where.min_level is not None:
        conditions.append(line.level >= LEVELS.index(where.min_level))
    if where.q:
        conditions.append(_contains(line.message, where.q))
    if where.start_us is not None:
        conditions.append(line.at_us >= where.start_us)
    if where.end_us is not None:
        conditions.append(line.at_us <= where.end_us)
    return conditions


def trigger_conditions(where: TriggerFilter) -> list[Condition]:
    """What a trigger must be to match."""
    t = triggers.c
    conditions: list[Condition] = []
    if where.q:
        columns = (t.trigger_id, t.namespace, t.flow_id)
        conditions.append(sa.or_(*(_contains(column, where.q) for column in columns)))
    if where.namespace_prefix:
        conditions.append(_is_below(t.namespace, where.namespace_prefix))
    equal: tuple[tuple[sa.ColumnElement[Any], str | int | None], ...] = (
        (t.namespace, where.namespace),
        (t.flow_id, where.flow_id),
        (t.trigger_id, where.trigger_id),
        (t.disabled, None if where.disabled is None else int(where.disabled)),
        (t.locked, None if where.locked is None else int(where.locked)),
    )
    conditions.extend(column == value for column, value in equal if value is not None)
    return conditions


def order_by(sort: Sequence[tuple[str, bool]], columns: Columns) -> list[sa.UnaryExpression[Any]]:
    """The ORDER BY of (name, ascending) pairs; rows without a value come last.

    Raises:
        SortUnknown: a name is not among `columns`.
    """
    order = []
    for name, ascending in sort:
        column = columns.get(name)
        if column is None:
            raise SortUnknown(
                f"Expected a sort by one of {', '.join(columns)}, but it is {name!r}."
            )
        order.append((column.asc() if ascending else column.desc()).nulls_last())
    return order


def _contains(column: sa.ColumnElement[str], part: str) -> Condition:
    return sa.func.lower(column).contains(part.lower(), autoescape=True)


def _is_below(column: sa.ColumnElement[str], prefix: str) -> Condition:
    # "/" follows "." in ASCII, so this range is every name that begins with "prefix.".
    return sa.or_(column == prefix, sa.and_(column >= f"{prefix}.", column < f"{prefix}/"))


def _has_label(key: str, value: str) -> Condition:
    label = labels.c
    return sa.exists().where(
        label.key == key, label.value == value, label.execution_id == executions.c.id
    )
