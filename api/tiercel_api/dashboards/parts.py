"""What an author writes of a dashboard, part by part: the shape alone.

The language is Kestra's: charts of rows (Bar, Pie, TimeSeries, Table), of one value (KPI) and of
text (Markdown) over executions, logs, metrics, triggers and flows.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from tiercel_engine.flow.base import FlowId, Part, Rule, TaskId, Text
from tiercel_engine.flow.duration import parse_duration_s

CHART_PREFIX = "io.kestra.plugin.core.dashboard.chart."
DATA_PREFIX = "io.kestra.plugin.core.dashboard.data."
#: Charts of one dashboard, columns of one chart, and conditions of one chart.
CHARTS_MAX = 100
COLUMNS_MAX = 50
CONDITIONS_MAX = 100

ROWS = ("Bar", "Pie", "TimeSeries", "Table")
VALUE = ("KPI", "Trends")
TEXT = "Markdown"
#: What the types of data may end with: they have other names in charts of one value.
ENDS = ("", "KPI", "Trends")
#: Type of data -> the table that it reads.
TABLES = {
    "Executions": "executions",
    "Logs": "logs",
    "Metrics": "metrics",
    "Triggers": "triggers",
    "Flows": "flows",
}


def _duration(value: str) -> str:
    try:
        seconds = parse_duration_s(value)
    except ValueError as error:
        raise Rule(str(error)) from None
    if seconds <= 0:
        raise Rule(f"Expected a duration of more than 0 s, but it was {value!r}")
    return value


Duration = Annotated[Text, AfterValidator(_duration)]
Order = Literal["ASC", "DESC"]


class TimeWindow(Part):
    """How much time is shown: unless said otherwise, and at most."""

    PEER_NAME: ClassVar[str] = "TimeWindow"

    default: Duration = "P30D"
    max: Duration = "P366D"

    @property
    def default_us(self) -> int:
        return round(parse_duration_s(self.default) * 1_000_000)

    @property
    def max_us(self) -> int:
        return round(parse_duration_s(self.max) * 1_000_000)


class ColumnPart(Part):
    """One column: a field, or what its values in a group come to."""

    PEER_NAME: ClassVar[str] = "ColumnDescriptor"

    field: Text | None = None
    agg: Literal["COUNT", "SUM", "AVG", "MIN", "MAX"] | None = None
    display_name: Text | None = Field(None, alias="displayName")
    label_key: Text | None = Field(None, alias="labelKey")
    graph_style: Literal["LINES", "BARS", "POINTS"] | None = Field(None, alias="graphStyle")
    alignment: Literal["LEFT", "RIGHT", "CENTER"] | None = Field(None, alias="columnAlignment")


class ConditionPart(Part):
    """A condition on rows."""

    PEER_NAME: ClassVar[str] = "AbstractFilter"

    type: Text
    field: Text | None = None
    value: Any = None
    values: list[Any] | None = None
    label_key: Text | None = Field(None, alias="labelKey")


class OrderPart(Part):
    """A column to sort by."""

    PEER_NAME: ClassVar[str] = "OrderBy"

    column: Text
    order: Order = "ASC"


class DataPart(Part):
    """Where rows come from, and which."""

    PEER_NAME: ClassVar[str] = "DataFilter"

    type: Text
    columns: dict[str, Any] = Field(default_factory=dict)
    where: list[ConditionPart] = Field(default_factory=list, max_length=CONDITIONS_MAX)
    numerator: list[ConditionPart] = Field(default_factory=list, max_length=CONDITIONS_MAX)
    order_by: list[OrderPart] = Field(default_factory=list, alias="orderBy")


class Chart(Part):
    """One chart as it is written."""

    PEER_NAME: ClassVar[str] = "Chart"

    id: TaskId
    type: Text
    options: dict[str, Any] = Field(default_factory=dict, alias="chartOptions")
    data: DataPart | None = None
    content: Text | None = None
    source: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The last part of its type."""
        return self.type.removeprefix(CHART_PREFIX)

    @property
    def table(self) -> str | None:
        """The table that it reads; None: it is text, or its data is of no known type."""
        if self.data is None:
            return None
        name = self.data.type.removeprefix(DATA_PREFIX)
        for end in ENDS:
            name = name.removesuffix(end)
        return TABLES.get(name)


class Dashboard(Part):
    """A dashboard as it is written."""

    PEER_NAME: ClassVar[str] = "Dashboard"

    id: FlowId | None = None
    title: Text = Field(min_length=1)
    description: Text | None = None
    window: TimeWindow = Field(default_factory=TimeWindow, alias="timeWindow")
    charts: list[Chart] = Field(default_factory=list, max_length=CHARTS_MAX)

    def chart(self, chart_id: str) -> Chart | None:
        """The chart with this id."""
        return next((chart for chart in self.charts if chart.id == chart_id), None)
