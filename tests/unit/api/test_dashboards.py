"""Dashboards: what their text means, what is wrong with it, and what the read model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tiercel_api.dashboards.asking import ROWS_MAX, asked_of
from tiercel_api.dashboards.charts import Asked, answer, names, questions
from tiercel_api.dashboards.parts import TimeWindow
from tiercel_api.dashboards.reading import load_chart, load_dashboard
from tiercel_api.dashboards.schema import schema
from tiercel_api.dashboards.store import default_source
from tiercel_api.errors import HttpError
from tiercel_api.spans import DAY_US, HOUR_US, Window
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.source import read
from tiercel_engine.repository.aggregates import Aggregation, Column, Rows
from tiercel_engine.repository.terms import Group, Term


def load_yaml(source: str) -> Any:
    return read(source).data


NOW_US = 1_700_000_000_000_000
NORMAL = Term("kind", "IN", ("NORMAL",))
WEEK = Window(NOW_US - 7 * DAY_US, NOW_US)


def chart(kind: str, data: str, columns: str, more: str = "", options: str = "{}") -> str:
    return (
        f"id: it\ntype: io.kestra.plugin.core.dashboard.chart.{kind}\nchartOptions: {options}\n"
        f"data:\n  type: io.kestra.plugin.core.dashboard.data.{data}\n  columns: {columns}\n{more}"
    )


def ask(source: str, window: Window = WEEK) -> list[Aggregation]:
    return questions(load_chart(source), Asked(window, (), 1, 100, [("f", "n", 1)]))


EXAMPLE = Path(__file__).parents[3] / "deploy" / "dashboards" / "kitchen.yaml"


@pytest.mark.parametrize("source", [default_source(), EXAMPLE.read_text()], ids=["own", "example"])
def test_the_schema_of_editors_takes_what_holds_and_finds_what_does_not(source: str) -> None:
    check = Draft7Validator(schema())
    written = load_dashboard(source).properties

    assert list(check.iter_errors(written)) == []
    for before, after in (("STATE", "MOOD"), ("IN", "LIKE"), ("chart.Table", "chart.Spiral")):
        assert not check.is_valid(load_yaml(source.replace(before, after)))


def test_the_default_dashboard_holds() -> None:
    dashboard = load_dashboard(default_source()).dashboard

    assert {one.kind for one in dashboard.charts} == {"KPI", "TimeSeries", "Pie", "Table", "Bar"}
    for one in dashboard.charts:
        assert questions(one, Asked(WEEK, (), 1, 100))


def test_a_table_asks_for_its_columns_in_their_order() -> None:
    more = (
        "  where:\n    - {field: STATE, type: IN, values: [FAILED, KILLED]}\n"
        "    - {field: LABELS, labelKey: team, type: STARTS_WITH, value: da}\n"
        "  orderBy: [{column: at, order: DESC}]\n"
    )
    (asked,) = ask(chart("Table", "Executions", "{at: {field: START_DATE}, id: {field: ID}}", more))

    assert asked.columns == [Column("at", "startDate"), Column("id", "id")]
    assert asked.where == [
        Term("state", "IN", ("FAILED", "KILLED")),
        Term("labels", "STARTS_WITH", ("da",), "team"),
        NORMAL,
    ]
    assert (asked.order, asked.page, asked.size) == ([("at", False)], 1, 100)


@pytest.mark.parametrize(
    ("days", "step_us", "offset_us"),
    [
        (0.1, 60_000_000, 0),
        (0.5, HOUR_US, 0),
        (7, DAY_US, 0),
        (200, 7 * DAY_US, 3 * DAY_US),
        (400, 7 * DAY_US, 3 * DAY_US),
    ],
)
def test_the_longer_the_window_the_longer_the_steps(
    days: float, step_us: int, offset_us: int
) -> None:
    source = chart(
        "TimeSeries",
        "Logs",
        "{date: {field: DATE}, total: {agg: COUNT}}",
        options="{column: date}",
    )
    window = Window(NOW_US - round(days * DAY_US), NOW_US)

    (asked,) = ask(source, window)

    assert (asked.step_us, asked.offset_us) == (step_us, offset_us)
    # A Tuesday in the evening: the answer is the start of its step.
    step = (NOW_US + offset_us) // step_us
    (row,) = answer(load_chart(source), [Rows([(step, 3)], 1)], window)
    starts = {7 * DAY_US: "2023-11-13T00:00:00Z", DAY_US: "2023-11-14T00:00:00Z"}
    starts |= {HOUR_US: "2023-11-14T22:00:00Z", 60_000_000: "2023-11-14T22:13:00Z"}
    assert row == {"date": starts[step_us], "total": 3}


def test_values_are_shown_in_the_units_of_charts() -> None:
    took = load_chart(
        chart("Table", "Executions", "{t: {field: DURATION, agg: AVG}, s: {field: STATE}}")
    )
    lines = load_chart(chart("Table", "Logs", "{l: {field: LEVEL}, at: {field: DATE}}"))

    assert answer(took, [Rows([(1_500_000.0, "FAILED"), (None, "CREATED")], 2)], WEEK) == [
        {"t": 1.5, "s": "FAILED"},
        {"t": None, "s": "CREATED"},
    ]
    assert answer(lines, [Rows([(4, NOW_US)], 1)], WEEK) == [
        {"l": "ERROR", "at": "2023-11-14T22:13:20Z"}
    ]


def test_a_value_is_a_number_or_a_share_of_what_its_conditions_leave() -> None:
    numerator = "  numerator: [{field: STATE, type: EQUAL_TO, value: SUCCESS}]\n"
    flat = chart("KPI", "ExecutionsKPI", "{field: ID, agg: COUNT}", numerator)
    share = flat.replace("chartOptions: {}", "chartOptions: {numberType: PERCENTAGE}")

    assert [asked.where for asked in ask(flat)] == [[NORMAL, Term("state", "EQUALS", ("SUCCESS",))]]
    assert [len(asked.where) for asked in ask(share)] == [2, 1]
    two = [Rows([(2,)], 1), Rows([(3,)], 1)]
    assert answer(load_chart(share), two, WEEK) == [{"value": 66.67}]
    nothing = [Rows([(0,)], 1), Rows([(0,)], 1)]
    assert answer(load_chart(share), nothing, WEEK) == [{"value": None}]
    assert names(load_chart(share)) == ["value"]


def test_charts_of_flows_take_the_flows_along() -> None:
    (asked,) = ask(chart("KPI", "FlowsKPI", "{field: ID, agg: COUNT}"))

    assert (asked.table, asked.flows, asked.where) == ("flows", [("f", "n", 1)], [])


def test_conditions_are_joined_by_or_on_the_field_beside_it() -> None:
    more = (
        "  where:\n    - type: OR\n      field: DURATION\n      values:\n"
        "        - {type: LESS_THAN, value: 2}\n"
        "        - {type: GREATER_THAN, value: PT1M}\n"
    )
    (asked,) = ask(chart("Table", "Executions", "{id: {field: ID}}", more))

    assert asked.where[0] == Group(
        [Term("duration", "LESS_THAN", (2e6,)), Term("duration", "GREATER_THAN", (6e7,))],
        is_any=True,
    )


KPI = chart("KPI", "ExecutionsKPI", "{field: ID, agg: COUNT}")
TABLE = chart("Table", "Executions", "{id: {field: ID}}")


@pytest.mark.parametrize(
    ("source", "path", "words"),
    [
        ("id: x", "type", "must not be null"),
        ("id: x\ntype: Bar", "data", "must not be null"),
        ("id: x\ntype: Spiral", "type", "chart.Bar"),
        (TABLE.replace("data.Exec", "data.Elec"), "data.type", "data.Executions"),
        (TABLE.replace("{id: {field: ID}}", "{}"), "data.columns", "size must be"),
        (TABLE.replace("ID}", "id}"), "data.columns.id.field", "a field of NAMESPACE"),
        (TABLE.replace("ID}", "ID, agg: SUM}"), "data.columns.id.agg", "Expected COUNT"),
        (TABLE.replace("ID}", "ID, labelKey: a}"), "data.columns.id.labelKey", "LABELS"),
        (TABLE.replace("field: ID", "agg: SUM"), "data.columns.id.field", "COUNT needs none"),
        (TABLE.replace("ID}", "ID, hue: red}"), "data.columns.id.hue", "Extra inputs"),
        (TABLE + "  orderBy: [{column: x}]", "data.orderBy[0].column", "a column of id"),
        (TABLE + "  where: [{field: ID, type: LIKE}]", "data.where[0]", "a type of EQUAL_TO"),
        (TABLE + "  where: [{field: ID, type: IN}]", "data.where[0]", "values: must not"),
        (TABLE + "  where: [{field: LABELS, type: IS_NULL}]", "data.where[0]", "labelKey"),
        (
            TABLE + "  where: [{field: START_DATE, type: CONTAINS, value: x}]",
            "data.where[0]",
            "START_DATE has no CONTAINS",
        ),
        (
            TABLE + "  where: [{field: START_DATE, type: LESS_THAN, value: today}]",
            "data.where[0]",
            "a date with a zone",
        ),
        (TABLE + "  where: [{field: ID, type: REGEX, value: '('}]", "data.where[0]", ""),
        (TABLE.replace("Table", "Pie"), "data.columns", "with an `agg`"),
        (TABLE.replace("Table", "TimeSeries"), "chartOptions.column", "along a date"),
        (TABLE.replace("Options: {}", "Options: {column: b}"), "chartOptions.column", "of id"),
        (KPI.replace(", agg: COUNT", ""), "data.columns.agg", "must not be null"),
        (KPI + "  orderBy: [{column: x}]", "data.orderBy", "one value"),
        (TABLE + "  numerator: [{field: ID, type: IS_NULL}]", "data.numerator", "one value"),
    ],
)
def test_what_is_wrong_with_a_chart_is_told_by_path(source: str, path: str, words: str) -> None:
    with pytest.raises(InvalidFlow) as caught:
        load_chart(source)

    found = {one.path: one.message for one in caught.value.violations}
    assert path in found, found
    assert words in found[path]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("charts: []", "title"),
        ("title: ''", "title"),
        ("title: a\nid: 'b c'", "id"),
        ("title: a\ntimeWindow: {default: P40D, max: P30D}", "timeWindow.default"),
        ("title: a\ntimeWindow: {max: a while}", "timeWindow.max"),
        (
            "title: a\ncharts: [{id: m, type: Markdown}, {id: m, type: Markdown}]",
            "charts[1].id",
        ),
    ],
)
def test_what_is_wrong_with_a_dashboard_is_told_by_path(source: str, path: str) -> None:
    with pytest.raises(InvalidFlow) as caught:
        load_dashboard(source)

    assert path in [one.path for one in caught.value.violations]


def test_what_is_no_map_is_no_dashboard() -> None:
    for source in ("", "- a", "a: [", "title: a\nhue: red"):
        with pytest.raises(InvalidFlow):
            load_dashboard(source)


def asked(body: Any, table: str = "executions", **named: Any) -> Asked:
    limits = TimeWindow(default="P7D", max="P30D")
    return asked_of(body, table, limits, NOW_US, **{"needs_dates": False, **named})


def test_without_dates_the_dashboards_window_ends_now() -> None:
    assert asked(None) == Asked(WEEK, [], 1, ROWS_MAX, ())
    later = asked({"startDate": "2023-11-14T00:00:00Z"}).window
    assert (later.start_us, later.end_us) == (1_699_920_000_000_000, NOW_US)


def test_filters_reach_the_charts_that_have_their_fields() -> None:
    body = {
        "namespace": "house",
        "labels": {"team": "data"},
        "filters": [
            {"field": "state", "operation": "IN", "value": ["FAILED", "KILLED"]},
            {"field": "taskId", "operation": "EQUALS", "value": "bake"},
        ],
    }

    below = Term("namespace", "PREFIX", ("house",))
    of_executions = asked(body).where
    of_logs = asked(body, "logs").where

    assert of_executions[:2] == [below, Term("labels", "EQUALS", ("data",), "team")]
    assert "FAILED" in str(of_executions)
    assert "bake" not in str(of_executions)
    assert of_logs[0] == below
    assert "bake" in str(of_logs)
    assert "FAILED" not in str(of_logs)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "JSON object"),
        ({"startDate": 3}, "Expected text"),
        ({"startDate": "2023-10-01T00:00:00Z"}, "at most P30D"),
        ({"startDate": "2023-11-14T00:00:00Z", "endDate": "2023-11-13T00:00:00Z"}, "before"),
        ({"pageSize": 0}, "1 or more"),
        ({"pageSize": ROWS_MAX + 1}, "pages of at most"),
        ({"pageNumber": 200, "pageSize": ROWS_MAX}, "pages of at most"),
        ({"labels": ["a"]}, "labels as an object"),
        ({"filters": "x"}, "a list of filters"),
        ({"filters": [{"field": "mood", "operation": "EQUALS", "value": "x"}]}, "mood"),
    ],
    ids=str,
)
def test_bodies_that_do_not_read_are_refused(body: Any, words: str) -> None:
    with pytest.raises(HttpError, match=words) as caught:
        asked(body)
    assert caught.value.status == 422


def test_before_2_both_dates_are_needed() -> None:
    with pytest.raises(HttpError, match="startDate and endDate"):
        asked({"startDate": "2023-11-14T00:00:00Z"}, needs_dates=True)
