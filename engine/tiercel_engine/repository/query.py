"""Filters and sorts -> SQL conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tiercel_engine.repository import terms
from tiercel_engine.repository.base import (
    ExecutionFilter,
    LogFilter,
    MeasureFilter,
    SortUnknown,
    TriggerFilter,
)
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

LOG_SORTS: Columns = {
    "timestamp": logs.c.at_us,
    "level": logs.c.level,
    "namespace": logs.c.namespace,
    "flowId": logs.c.flow_id,
    "executionId": logs.c.execution_id,
    "taskId": logs.c.task_id,
    "taskRunId": logs.c.task_run_id,
    "triggerId": logs.c.trigger_id,
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
    conditions.extend(holds(term, EXECUTIONS) for term in where.terms)
    return conditions


class _Inside(FunctionElement[str]):
    """A text inside the JSON text of a column, by its path of plain names."""

    inherit_cache = True
    name = "inside"
    type = sa.Text()


@compiles(_Inside, "sqlite")
def _inside_sqlite(element: _Inside, compiler: SQLCompiler, **options: Any) -> str:
    column, path = element.clauses
    return f"json_extract({compiler.process(column, **options)}, '$.{path.name}')"


@compiles(_Inside, "postgresql")
def _inside_postgresql(element: _Inside, compiler: SQLCompiler, **options: Any) -> str:
    column, path = element.clauses
    names = path.name.replace(".", ",")
    return f"((({compiler.process(column, **options)})::json) #>> '{{{names}}}')"


def inside(column: sa.ColumnElement[str], path: str) -> sa.ColumnElement[Any]:
    """A text inside the JSON text of a column, by its path of plain names."""
    return _Inside(column, sa.literal_column(path))


class Searched(NamedTuple):
    """What terms can ask of the rows of a table.

    Attributes:
        fields: field of the API -> what it compares.
        texts: what `q` looks into.
    """

    fields: Columns
    texts: tuple[sa.ColumnElement[str], ...]


EXECUTIONS = Searched(
    {
        "id": executions.c.id,
        "executionId": executions.c.id,
        "namespace": executions.c.namespace,
        "flowId": executions.c.flow_id,
        "flowRevision": sa.cast(inside(executions.c.document, "flowRevision"), sa.BigInteger()),
        "state": executions.c.state,
        "kind": executions.c.kind,
        "parentId": executions.c.parent_id,
        "triggerExecutionId": executions.c.trigger_execution_id,
        "triggerId": inside(executions.c.document, "trigger.id"),
        "startDate": executions.c.start_us,
        "endDate": executions.c.end_us,
    },
    (executions.c.id, executions.c.namespace, executions.c.flow_id),
)
LOGS = Searched(
    {
        "namespace": logs.c.namespace,
        "flowId": logs.c.flow_id,
        "executionId": logs.c.execution_id,
        "taskId": logs.c.task_id,
        "taskRunId": logs.c.task_run_id,
        "triggerId": logs.c.trigger_id,
        "attempt": logs.c.attempt,
        "level": logs.c.level,
        "timestamp": logs.c.at_us,
        "kind": (
            sa.select(executions.c.kind)
            .where(executions.c.id == logs.c.execution_id)
            .scalar_subquery()
        ),
    },
    (logs.c.message,),
)
METRICS = Searched(
    {
        "namespace": metrics.c.namespace,
        "flowId": metrics.c.flow_id,
        "executionId": metrics.c.execution_id,
        "taskId": metrics.c.task_id,
        "taskRunId": metrics.c.task_run_id,
        "name": metrics.c.name,
        "type": metrics.c.type,
        "value": metrics.c.value,
        "timestamp": metrics.c.at_us,
    },
    (metrics.c.name,),
)
TRIGGERS = Searched(
    {
        "namespace": triggers.c.namespace,
        "flowId": triggers.c.flow_id,
        "triggerId": triggers.c.trigger_id,
        "workerId": inside(triggers.c.document, "workerId"),
        "executionId": inside(triggers.c.document, "executionId"),
        "kind": inside(triggers.c.document, "kind"),
        "disabled": triggers.c.disabled,
        "locked": triggers.c.locked,
        "lastTriggeredDate": triggers.c.date_us,
        "nextEvaluationDate": triggers.c.next_us,
        "updatedAt": triggers.c.updated_us,
    },
    (triggers.c.trigger_id, triggers.c.namespace, triggers.c.flow_id),
)


def holds(term: terms.Condition, searched: Searched) -> Condition:
    """A condition on the rows of a table. Labels are those of executions."""
    if isinstance(term, terms.Group):
        members = [holds(member, searched) for member in term.members]
        return sa.or_(sa.false(), *members) if term.is_any else sa.and_(sa.true(), *members)
    if term.field == "q":
        found = sa.or_(*(_contains(column, str(term.values[0])) for column in searched.texts))
        return sa.not_(found) if term.operator.startswith("NOT") else found
    if term.field == "labels":
        return _label_holds(term)
    return compared(searched.fields[term.field], term)


def _label_holds(term: terms.Term) -> Condition:
    if term.operator in ("NOT_EQUALS", "NOT_IN"):
        return sa.not_(sa.or_(*(_has_label(term.key, str(v)) for v in term.values)))
    label = labels.c
    if term.operator in ("IS_NULL", "IS_NOT_NULL"):
        has = sa.exists().where(label.key == term.key, label.execution_id == executions.c.id)
        return has if term.operator == "IS_NOT_NULL" else sa.not_(has)
    positive = term.operator.removeprefix("NOT_")
    value = compared(label.value, terms.Term("labels", positive, term.values))
    has = sa.exists().where(label.key == term.key, value, label.execution_id == executions.c.id)
    return sa.not_(has) if term.operator != positive else has


def compared(column: sa.ColumnElement[Any], term: terms.Term) -> Condition:
    """A column against the term's values; a negated operator also holds where there is none."""
    first = term.values[0] if term.values else None
    match term.operator:
        case "EQUALS" | "IN":
            return column.in_(term.values)
        case "NOT_EQUALS" | "NOT_IN":
            return sa.or_(column.is_(None), column.not_in(term.values))
        case "STARTS_WITH":
            return column.startswith(first, autoescape=True)
        case "ENDS_WITH":
            return column.endswith(first, autoescape=True)
        case "CONTAINS":
            return _contains(column, str(first))
        case "NOT_CONTAINS":
            return sa.or_(column.is_(None), sa.not_(_contains(column, str(first))))
        case "PREFIX":
            return sa.or_(*(_is_below(column, str(value)) for value in term.values))
        case "REGEX":
            return column.regexp_match(str(first))
        case "GREATER_THAN":
            return column > first
        case "GREATER_THAN_OR_EQUAL_TO":
            return column >= first
        case "LESS_THAN":
            return column < first
        case "LESS_THAN_OR_EQUAL_TO":
            return column <= first
        case "IS_NULL":
            return column.is_(None)
        case "IS_NOT_NULL":
            return column.is_not(None)
    raise AssertionError(f"Expected an operator, but it is {term.operator}.")


def log_conditions(where: LogFilter) -> list[Condition]:
    """What a line must be to match."""
    line = logs.c
    equal: tuple[tuple[sa.ColumnElement[Any], str | int | None], ...] = (
        (line.execution_id, where.execution_id),
        (line.namespace, where.exact_namespace),
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
    if where.levels:
        conditions.append(line.level.in_([LEVELS.index(level) for level in where.levels]))
    if where.q:
        conditions.append(_contains(line.message, where.q))
    conditions.extend(holds(term, LOGS) for term in where.terms)
    return conditions + within(line.at_us, where.start_us, where.end_us)


def measure_conditions(where: MeasureFilter) -> list[Condition]:
    """What a metric must be to match."""
    m = metrics.c
    conditions: list[Condition] = []
    if where.namespace:
        conditions.append(_is_below(m.namespace, where.namespace))
    if where.exact_namespace is not None:
        conditions.append(m.namespace == where.exact_namespace)
    if where.flow_id is not None:
        conditions.append(m.flow_id == where.flow_id)
    return conditions + within(m.at_us, where.start_us, where.end_us)


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
    conditions.extend(holds(term, TRIGGERS) for term in where.terms)
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
        by = column.asc() if ascending else column.desc()
        # What has a value always is sorted by its index.
        plain = column.element if isinstance(column, sa.Label) else column
        order.append(by.nulls_last() if getattr(plain, "nullable", True) else by)
    return order


def within(
    column: sa.ColumnElement[int], start_us: int | None, end_us: int | None
) -> list[Condition]:
    """Instants from the one to the other, both in it."""
    after = [] if start_us is None else [column >= start_us]
    return after + ([] if end_us is None else [column <= end_us])


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
