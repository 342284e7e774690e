"""`kestrapy`'s DashboardsApi, through the unchanged package."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from amazon.ion import simpleion
from kestrapy import (
    ApiException,
    ChartFiltersOverrides,
    DashboardControllerPreviewRequest,
    KestraClient,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually

T = "main"
NS = "kestrapy.dashboards"
FLOW = f"""id: cook
namespace: {NS}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: cooking
"""
CHART = f"""id: runs
type: io.kestra.plugin.core.dashboard.chart.Table
data:
  type: io.kestra.plugin.core.dashboard.data.Executions
  where:
    - field: NAMESPACE
      type: EQUAL_TO
      value: {NS}
  columns:
    id: {{field: ID}}
    flow: {{field: FLOW_ID, displayName: Flow}}
    state: {{field: STATE}}
    took: {{field: DURATION}}
  orderBy:
    - column: id
"""
TITLE = "What was cooked"


def dashboard(dashboard_id: str, title: str = TITLE) -> str:
    chart = CHART.replace("\n", "\n    ")
    return f"id: {dashboard_id}\ntitle: {title}\ncharts:\n  - {chart}"


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    """A client of a server that has run one flow twice."""
    embedded_server.save(FLOW)
    made = KestraClient(host=embedded_server.url, timeout=60)
    for _ in range(2):
        made.executions.create_execution(T, NS, "cook", wait=True)
    return made


@pytest.fixture(scope="module")
def stored(client: Any) -> dict[str, Any]:
    created: dict[str, Any] = client.dashboards.create_dashboard(T, dashboard("kitchen"))
    return created


def refused(status: int, call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(ApiException) as caught:
        call(*args, **named)
    assert caught.value.status == status, caught.value
    return str(caught.value.body)


@drives("create_dashboard", "dashboard")
def test_a_dashboard_is_stored_and_read(client: Any, stored: Any) -> None:
    assert (stored["id"], stored["title"], stored["deleted"]) == ("kitchen", TITLE, False)
    assert stored["timeWindow"] == {"default": "P30D", "max": "P366D"}
    assert stored["charts"][0]["data"]["columns"]["flow"]["displayName"] == "Flow"
    assert stored["sourceCode"] == dashboard("kitchen")
    assert stored["created"] == stored["updated"]
    assert client.dashboards.dashboard("kitchen", T) == stored

    again = refused(422, client.dashboards.create_dashboard, T, dashboard("kitchen"))
    assert "already exists" in again
    unnamed = client.dashboards.create_dashboard(T, "title: Nameless\ncharts: []\n")
    assert len(unnamed["id"]) == 22


@drives("update_dashboard")
def test_a_dashboard_is_changed_and_keeps_its_id(client: Any) -> None:
    client.dashboards.create_dashboard(T, dashboard("changing"))

    changed = client.dashboards.update_dashboard("changing", T, dashboard("changing", "Other"))

    assert changed["title"] == "Other"
    assert changed["created"] < changed["updated"]
    assert client.dashboards.dashboard("changing", T)["title"] == "Other"
    moved = refused(422, client.dashboards.update_dashboard, "changing", T, dashboard("other"))
    assert "Illegal dashboard id update" in moved
    refused(404, client.dashboards.update_dashboard, "nobody", T, dashboard("nobody"))


@drives("delete_dashboard")
def test_a_dashboard_is_deleted(client: Any) -> None:
    client.dashboards.create_dashboard(T, dashboard("passing"))

    client.dashboards.delete_dashboard("passing", T)

    refused(404, client.dashboards.dashboard, "passing", T)
    refused(404, client.dashboards.delete_dashboard, "passing", T)
    assert client.dashboards.create_dashboard(T, dashboard("passing"))["id"] == "passing"
    client.dashboards.delete_dashboard("passing", T)


@drives("search_dashboards")
def test_dashboards_are_searched_by_title(client: Any, stored: Any) -> None:
    for title in ("zebra of search", "ant of search"):
        client.dashboards.create_dashboard(T, f"title: {title}\n")

    found = client.dashboards.search_dashboards(T, page=1, size=1, q="OF SEARCH")
    backwards = client.dashboards.search_dashboards(T, q="of search", sort=["title:desc"])

    assert [one["title"] for one in found["results"]] == ["ant of search"]
    assert found["total"] == 2
    assert [one["title"][:3] for one in backwards["results"]] == ["zeb", "ant"]
    assert client.dashboards.search_dashboards(T, q="nowhere")["results"] == []


@drives("dashboard_chart_data")
def test_a_chart_of_a_dashboard_has_rows(client: Any, stored: Any) -> None:
    now = datetime.now(UTC)
    week = ChartFiltersOverrides(
        start_date=now - timedelta(days=7), end_date=now + timedelta(minutes=5)
    )

    found = eventually(
        lambda: client.dashboards.dashboard_chart_data("kitchen", "runs", T, week),
        lambda rows: [row["state"] for row in rows.results] == ["SUCCESS"] * 2,
    )

    assert found.total == 2
    assert found.results[0]["flow"] == "cook"
    assert 0 < found.results[0]["took"] < 60
    page = ChartFiltersOverrides(page_size=1, page_number=2)
    second = client.dashboards.dashboard_chart_data("kitchen", "runs", T, page)
    assert (second.results, second.total) == (found.results[1:], 2)
    elsewhere = ChartFiltersOverrides(
        filters=[{"field": "namespace", "operation": "EQUALS", "value": "elsewhere"}]
    )
    assert client.dashboards.dashboard_chart_data("kitchen", "runs", T, elsewhere).results == []
    unknown = refused(404, client.dashboards.dashboard_chart_data, "kitchen", "pie", T, week)
    assert "it has runs" in unknown
    long = ChartFiltersOverrides(start_date=now - timedelta(days=400), end_date=now)
    refused(422, client.dashboards.dashboard_chart_data, "kitchen", "runs", T, long)


@drives("preview_chart")
def test_a_chart_that_nobody_stored_has_rows(client: Any) -> None:
    request = DashboardControllerPreviewRequest(
        chart=CHART, global_filter=ChartFiltersOverrides(page_size=1)
    )

    assert client.dashboards.preview_chart(T, request).total == 2
    bad = DashboardControllerPreviewRequest(chart="id: x\ntype: io.kestra.nope.Chart\n")
    assert "Expected a type of" in refused(422, client.dashboards.preview_chart, T, bad)


@drives("export_chart", "export_dashboard_chart")
def test_rows_of_charts_are_exported_as_csv_and_ion(client: Any, stored: Any) -> None:
    request = DashboardControllerPreviewRequest(chart=CHART)
    none = ChartFiltersOverrides()

    text = client.dashboards.export_chart(T, request, format="CSV").decode()
    same = client.dashboards.export_dashboard_chart("kitchen", "runs", T, none).decode()
    ion = client.dashboards.export_dashboard_chart("kitchen", "runs", T, none, format="ION")

    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["id", "flow", "state", "took"]
    assert [row["flow"] for row in rows] == ["cook", "cook"]
    assert same == text
    assert [row["id"] for row in simpleion.loads(ion, single_value=False)] == [
        row["id"] for row in rows
    ]
    refused(422, client.dashboards.export_chart, T, request, format="PDF")


@drives("default_dashboards")
def test_a_dashboard_comes_with_the_server(client: Any) -> None:
    home = client.dashboards.default_dashboards(T)["defaultHomeDashboard"]

    shown = client.dashboards.dashboard(home, T)
    charts = {
        chart["id"]: client.dashboards.dashboard_chart_data(
            home, chart["id"], T, ChartFiltersOverrides()
        ).results
        for chart in shown["charts"]
    }

    assert 0 < charts["success_ratio"][0]["value"] <= 100
    assert charts["flows"][0]["value"] >= 1
    assert {"namespace", "state", "total"} == set(charts["executions_by_namespace"][0])
    assert any(row["state"] == "SUCCESS" for row in charts["executions_over_time"])
    refused(409, client.dashboards.delete_dashboard, home, T)


@drives("validate_dashboard", "validate_chart")
def test_what_is_wrong_is_told_by_path(client: Any) -> None:
    bad = dashboard("bad").replace("field: STATE", "field: MOOD")

    assert client.dashboards.validate_dashboard(T, dashboard("good")).constraints is None
    told = client.dashboards.validate_dashboard(T, bad).constraints
    assert told.startswith("charts[0].data.columns.state.field: Expected a field of ")
    assert client.dashboards.validate_chart(T, CHART).constraints is None
    unsorted = client.dashboards.validate_chart(T, CHART.replace("column: id", "column: age"))
    assert unsorted.constraints.startswith("data.orderBy[0].column: ")
