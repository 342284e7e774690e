"""What the read model is asked for a chart, and the rows of the chart's answer.

Dates that rows are grouped by begin spans of the window (`spans`), at most a week long: weeks are
of one length. Durations are seconds, levels names, dates ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tiercel_api.dashboards.conditions import field_name, terms
from tiercel_api.dashboards.parts import VALUE, Chart, ColumnPart, DataPart
from tiercel_api.spans import DAY_US, US, Window
from tiercel_engine.clock import iso
from tiercel_engine.repository.aggregates import FIELDS, Aggregation, Column, Kind, Rows
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import Condition, Term, leaves

#: The name of the one value of a chart of one value.
VALUE_NAME = "value"
_WEEK_US = 7 * DAY_US
#: The epoch was a Thursday: three days later than a Monday.
_MONDAY_US = 3 * DAY_US


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of a chart.

    Attributes:
        window: what its rows lie in, if they have dates.
        where: what else holds for its rows.
        page: from 1, of `size` rows.
        flows: what charts of flows are about: (id, namespace, revision).
    """

    window: Window
    where: Sequence[Condition]
    page: int
    size: int
    flows: Sequence[tuple[str, str, int]] = ()


def questions(chart: Chart, asked: Asked) -> list[Aggregation]:
    """What to ask the read model; none for a chart of text. `chart` has no problems."""
    if chart.table is None or chart.data is None:
        return []
    data, table = chart.data, chart.table
    where = [*terms(table, data.where), *asked.where]
    if table == "executions" and "kind" not in {leaf.field for leaf in leaves(where)}:
        # Parts of others and tests are shown to who asks for them.
        where.append(Term("kind", "IN", ("NORMAL",)))
    if chart.kind not in VALUE:
        order = [(one.column, one.order == "ASC") for one in data.order_by]
        return [_aggregation(table, _columns(data), where, asked, order, asked.page, asked.size)]
    column = [_column(VALUE_NAME, ColumnPart.model_validate(data.columns, by_alias=True))]
    part = _aggregation(table, column, [*where, *terms(table, data.numerator)], asked)
    return [part, _aggregation(table, column, where, asked)] if _is_share(chart) else [part]


def answer(chart: Chart, found: Sequence[Rows], window: Window) -> list[JsonObject]:
    """The rows of a chart, from what the read model answered to its questions."""
    if chart.table is None or chart.data is None:
        return []
    if chart.kind in VALUE:
        part = ColumnPart.model_validate(chart.data.columns, by_alias=True)
        column = _column(VALUE_NAME, part)
        values = [_shown(chart.table, column, rows.rows[0][0], window, True) for rows in found]
        return [{VALUE_NAME: _share(*values) if _is_share(chart) else values[0]}]
    columns = _columns(chart.data)
    is_grouped = any(column.aggregate is not None for column in columns)
    return [
        {
            column.name: _shown(chart.table, column, value, window, is_grouped)
            for column, value in zip(columns, row, strict=True)
        }
        for row in found[0].rows
    ]


def names(chart: Chart) -> list[str]:
    """The names of the columns of a chart's answer."""
    if chart.kind in VALUE:
        return [VALUE_NAME]
    return [] if chart.data is None else list(chart.data.columns)


def _aggregation(
    table: str,
    columns: Sequence[Column],
    where: Sequence[Condition],
    asked: Asked,
    order: Sequence[tuple[str, bool]] = (),
    page: int = 1,
    size: int = 1,
) -> Aggregation:
    step_us, offset_us = _steps(asked.window)
    return Aggregation(
        table,
        columns,
        where,
        start_us=asked.window.start_us,
        end_us=asked.window.end_us,
        step_us=step_us,
        offset_us=offset_us,
        order=order,
        page=page,
        size=size,
        flows=asked.flows if table == "flows" else (),
    )


def _steps(window: Window) -> tuple[int, int]:
    """(length of a step, how much later than in UTC it begins)."""
    if window.span.name in ("week", "month"):
        return _WEEK_US, window.offset_us + _MONDAY_US
    return window.span.step_us, window.offset_us


def _columns(data: DataPart) -> list[Column]:
    parts = {
        name: ColumnPart.model_validate(written, by_alias=True)
        for name, written in data.columns.items()
    }
    return [_column(name, part) for name, part in parts.items()]


def _column(name: str, part: ColumnPart) -> Column:
    field = None if part.field is None else field_name(part.field)
    return Column(name, field, part.agg, part.label_key or "")


def _is_share(chart: Chart) -> bool:
    return chart.options.get("numberType") == "PERCENTAGE"


def _share(part: float | None, whole: float | None) -> float | None:
    """Percent; none of nothing."""
    return round(100 * (part or 0) / whole, 2) if whole else None


def _shown(table: str, column: Column, value: Any, window: Window, is_grouped: bool) -> Any:
    """A value of the read model as a chart answers it."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if column.field is None or column.aggregate == "COUNT":
        return value
    show = _SHOWN.get(FIELDS[table][column.field])
    if show is _instant and is_grouped and column.aggregate is None:
        step_us, offset_us = _steps(window)
        return iso(value * step_us - offset_us)
    return value if show is None else show(value)


def _instant(value: int) -> str:
    return iso(value)


_SHOWN: Mapping[Kind, Any] = {
    Kind.INSTANT: _instant,
    Kind.DURATION: lambda value: value / US,
    Kind.LEVEL: lambda value: LEVELS[value],
}
