"""What must hold in a dashboard beyond the shape of each of its parts.

Every problem is (where it stands, what is wrong). A chart without problems can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tiercel_api.dashboards.conditions import Refused, kind_of, term
from tiercel_api.dashboards.parts import (
    CHART_PREFIX,
    COLUMNS_MAX,
    DATA_PREFIX,
    ROWS,
    TABLES,
    TEXT,
    VALUE,
    Chart,
    ColumnPart,
    ConditionPart,
    Dashboard,
)
from tiercel_engine.flow.source import Location
from tiercel_engine.repository.aggregates import Kind

Problem = tuple[Location, str]

_ADDED = frozenset({Kind.NUMBER, Kind.DURATION})
#: Aggregate -> the kinds of fields that have one; any has a COUNT.
_AGGREGATED = {
    "SUM": _ADDED,
    "AVG": _ADDED,
    "MIN": _ADDED | {Kind.INSTANT},
    "MAX": _ADDED | {Kind.INSTANT},
}


def of_dashboard(dashboard: Dashboard) -> list[Problem]:
    """What is wrong with a dashboard."""
    problems: list[Problem] = []
    if dashboard.window.default_us > dashboard.window.max_us:
        problems.append((("timeWindow", "default"), "must not be longer than timeWindow.max"))
    seen: set[str] = set()
    for number, chart in enumerate(dashboard.charts):
        at = ("charts", number)
        if chart.id in seen:
            problems.append(((*at, "id"), f"Duplicate chart id: {chart.id}"))
        seen.add(chart.id)
        problems += of_chart(chart, at)
    return problems


def of_chart(chart: Chart, at: Location) -> list[Problem]:
    """What is wrong with a chart that stands at `at`."""
    if chart.kind == TEXT:
        return []
    known = (*ROWS, *VALUE, TEXT)
    if chart.kind not in known:
        named = ", ".join(f"{CHART_PREFIX}{name}" for name in known)
        return [((*at, "type"), f"Expected a type of {named}, but it is {chart.type!r}")]
    if chart.data is None:
        return [((*at, "data"), "must not be null")]
    table, inside = chart.table, (*at, "data")
    if table is None:
        named = ", ".join(f"{DATA_PREFIX}{name}" for name in TABLES)
        return [((*inside, "type"), f"Expected a type of {named}, but it is {chart.data.type!r}")]
    problems = list(_conditions(table, chart.data.where, (*inside, "where")))
    problems += _conditions(table, chart.data.numerator, (*inside, "numerator"))
    if chart.kind in VALUE:
        return problems + list(_value(chart, table, inside))
    return problems + list(_rows(chart, table, at))


def _value(chart: Chart, table: str, at: Location) -> Iterator[Problem]:
    """A chart of one value has one column."""
    column, problems = read_column(chart.data.columns if chart.data else {}, (*at, "columns"))
    yield from problems
    if column is not None:
        yield from _column(column, table, (*at, "columns"))
        if column.agg is None:
            yield (*at, "columns", "agg"), "must not be null"
    if chart.data is not None and chart.data.order_by:
        yield (*at, "orderBy"), "Expected none: there is one value"


def _rows(chart: Chart, table: str, at: Location) -> Iterator[Problem]:
    assert chart.data is not None
    inside = (*at, "data", "columns")
    columns: dict[str, ColumnPart] = {}
    if not 1 <= len(chart.data.columns) <= COLUMNS_MAX:
        yield inside, f"size must be between 1 and {COLUMNS_MAX}"
    for name, written in chart.data.columns.items():
        column, problems = read_column(written, (*inside, name))
        yield from problems
        if column is not None:
            columns[name] = column
            yield from _column(column, table, (*inside, name))
    if chart.data.numerator:
        yield (*at, "data", "numerator"), "Expected none: it belongs to charts of one value"
    for number, order in enumerate(chart.data.order_by):
        if order.column not in columns:
            where = (*at, "data", "orderBy", number, "column")
            yield where, f"Expected a column of {', '.join(columns)}, but it is {order.column!r}"
    yield from _options(chart, columns, table, at)


def _options(
    chart: Chart, columns: Mapping[str, ColumnPart], table: str, at: Location
) -> Iterator[Problem]:
    """The columns that the options of a chart name."""
    for option in ("column", "colorByColumn"):
        named = chart.options.get(option)
        if named is not None and named not in columns:
            where = (*at, "chartOptions", option)
            yield where, f"Expected a column of {', '.join(columns)}, but it is {named!r}"
    if chart.kind == "TimeSeries":
        where = (*at, "chartOptions", "column")
        named = chart.options.get("column")
        if named is None:
            yield where, "must not be null: a time series is drawn along a date"
        elif named in columns and not _is_date(columns[named], table):
            yield where, f"Expected a column that holds a date, but {named!r} does not"
    is_table = chart.kind == "Table" or not columns
    if not is_table and all(column.agg is None for column in columns.values()):
        yield (*at, "data", "columns"), "Expected a column with an `agg`, but none has one"


def _is_date(column: ColumnPart, table: str) -> bool:
    if column.agg is not None or column.field is None:
        return False
    try:
        return kind_of(table, column.field)[1] is Kind.INSTANT
    except Refused:
        return False


def read_column(written: Any, at: Location) -> tuple[ColumnPart | None, list[Problem]]:
    """A column, or what is wrong with it."""
    try:
        return ColumnPart.model_validate(written, by_alias=True, by_name=False), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [((*at, *one["loc"]), one["msg"]) for one in found]


def _column(column: ColumnPart, table: str, at: Location) -> Iterator[Problem]:
    if column.field is None:
        if column.agg != "COUNT":
            yield (*at, "field"), "must not be null: only COUNT needs none"
        return
    try:
        _, kind = kind_of(table, column.field)
    except Refused as refused:
        yield (*at, "field"), str(refused)
        return
    fitting = _AGGREGATED.get(column.agg or "")
    if fitting is not None and kind not in fitting:
        yield (
            (*at, "agg"),
            f"Expected COUNT, but it is {column.agg}, which {column.field} has none of",
        )
    if column.label_key is not None and kind is not Kind.LABELS:
        yield (*at, "labelKey"), "Expected none: it belongs to the field LABELS"


def _conditions(table: str, written: Sequence[ConditionPart], at: Location) -> Iterator[Problem]:
    for number, one in enumerate(written):
        try:
            term(table, one)
        except Refused as refused:
            yield (*at, number), str(refused)
