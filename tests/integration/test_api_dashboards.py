"""Dashboards against a running server: as Kestra 0.21 has them, for whom, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api_harness import YAML, ApiServer, api_server, flow_source

from tiercel_engine.catalog import FlowCatalog
from tiercel_schemas.codec import decode
from tiercel_schemas.ids import dashboard_key

ADMIN = ("ada", "correct horse battery")
COOK = ("hal", "open the pod bay")
KITCHEN, CELLAR = "house.kitchen", "house.cellar"
#: It names a trigger, as flows do that a scheduler looks at.
SOURCE = """title: House
charts:
  - id: by_namespace
    type: io.kestra.plugin.core.dashboard.chart.Bar
    chartOptions: {column: namespace, description: io.kestra.plugin.core.trigger.Flow}
    data:
      type: io.kestra.plugin.core.dashboard.data.Executions
      columns:
        namespace: {field: NAMESPACE}
        total: {agg: COUNT}
  - id: flows
    type: io.kestra.plugin.core.dashboard.chart.KPI
    data:
      type: io.kestra.plugin.core.dashboard.data.FlowsKPI
      columns: {field: ID, agg: COUNT}
  - id: about
    type: io.kestra.plugin.core.dashboard.chart.Markdown
    content: "# The house"
  - id: wine
    type: io.kestra.plugin.core.dashboard.chart.Markdown
    source: {type: FlowDescription, namespace: house.cellar, flowId: wine}
"""
DAY = {"startDate": "2000-01-01T00:00:00Z", "endDate": "2000-01-02T00:00:00Z"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One execution in each of two namespaces. Ada may do everything, Hal reads the kitchen."""
    with api_server(tmp_path_factory.mktemp("dashboards")) as running:
        for namespace, flow_id in ((KITCHEN, "dinner"), (CELLAR, "wine")):
            running.save_flow(flow_source(flow_id, "description: a bottle", namespace))
            started = running.post(f"/executions/{namespace}/{flow_id}").json()
            running.work(started["id"])
            running.until_state(started["id"], "SUCCESS")
        setup = {"username": ADMIN[0], "password": ADMIN[1], "tenant": {"id": "main", "name": "m"}}
        assert running.post("/setup", json=setup).status_code == 200
        roles = [{"role": "viewer", "namespace": KITCHEN}]
        user = {"username": COOK[0], "password": COOK[1], "roles": roles}
        assert running.post("/users", json=user, auth=ADMIN).status_code == 200
        yield running


@pytest.fixture(scope="module")
def dashboard(server: ApiServer) -> dict[str, Any]:
    response = server.post("/dashboards", data=SOURCE, headers=YAML, auth=ADMIN)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def rows(server: ApiServer, path: str, auth: Any = ADMIN, body: Any = None) -> Any:
    response = server.post(f"/main/dashboards/{path}", json=body or {}, auth=auth)
    assert response.status_code == 200, response.text
    return response.json()["results"]


def test_before_2_the_server_names_a_dashboard(server: ApiServer, dashboard: Any) -> None:
    assert len(dashboard["id"]) == 22
    named = server.post("/dashboards", data="id: mine\n" + SOURCE, headers=YAML, auth=ADMIN)
    assert named.status_code == 422
    assert named.json()["_embedded"]["errors"][0]["path"] == "dashboard.id"
    reserved = "id: settings\n" + SOURCE
    taken = server.post("/main/dashboards", data=reserved, headers=YAML, auth=ADMIN)
    assert taken.status_code == 422


def test_before_2_both_dates_are_needed(server: ApiServer, dashboard: Any) -> None:
    path = f"/dashboards/{dashboard['id']}/charts/by_namespace"

    assert server.post(path, json={}, auth=ADMIN).status_code == 422
    assert server.post(path, json=DAY, auth=ADMIN).json() == {"results": [], "total": 0}
    assert server.post(f"/main{path}", auth=ADMIN).status_code == 200


def test_charts_show_what_the_caller_may_read(server: ApiServer, dashboard: Any) -> None:
    path = f"{dashboard['id']}/charts"

    everything = rows(server, f"{path}/by_namespace")
    own = rows(server, f"{path}/by_namespace", COOK)

    assert everything == [{"namespace": CELLAR, "total": 1}, {"namespace": KITCHEN, "total": 1}]
    assert own == everything[1:]
    assert [rows(server, f"{path}/flows", who) for who in (ADMIN, COOK)] == [
        [{"value": 2}],
        [{"value": 1}],
    ]
    assert rows(server, f"{path}/wine") == [{"content": "a bottle"}]
    hidden = server.post(f"/main/dashboards/{path}/wine", json={}, auth=COOK)
    assert hidden.status_code == 404
    cellar = {"namespace": CELLAR}
    assert rows(server, f"{path}/by_namespace", COOK, cellar) == []


def test_who_reads_one_namespace_may_read_dashboards_and_change_none(
    server: ApiServer, dashboard: Any
) -> None:
    path = f"/dashboards/{dashboard['id']}"

    assert server.get(path, auth=COOK).status_code == 200
    assert server.get("/dashboards", auth=COOK).json()["total"] == 1
    assert server.call("DELETE", path, auth=COOK).status_code == 403
    assert server.call("PUT", path, data=SOURCE, headers=YAML, auth=COOK).status_code == 403
    assert server.post("/dashboards", data=SOURCE, headers=YAML, auth=COOK).status_code == 403
    assert server.get(path).status_code == 401


def test_text_is_shown_and_exported(server: ApiServer, dashboard: Any) -> None:
    path = f"/main/dashboards/{dashboard['id']}/charts/about"

    assert rows(server, f"{dashboard['id']}/charts/about") == [{"content": "# The house"}]
    exported = server.post(f"{path}/export", json={}, auth=ADMIN)
    assert exported.text == "content\n# The house\n"
    assert exported.headers["Content-Disposition"] == 'attachment; filename="about.csv"'


def test_a_dashboard_is_in_the_log_and_no_flow(server: ApiServer, dashboard: Any) -> None:
    # when: somebody reads the log from its beginning
    catalog = FlowCatalog(server.log, server.topics, server.registry, server.clock)
    catalog.catch_up()
    found = catalog.entry(dashboard_key("main", dashboard["id"]))
    catalog.close()

    # then
    assert found is not None
    assert found.source == SOURCE
    flows = server.get("/flows/search", auth=ADMIN).json()
    assert sorted(flow["id"] for flow in flows["results"]) == ["dinner", "wine"]
    topic = server.topics.trigger_commands
    told = [
        decode(record.value).flow_id
        for partition in range(topic.partitions)
        for record in server.log.read(topic.name, partition, 0)
    ]
    assert dashboard["id"] not in told
    assert server.executor.ready.is_set()


def test_the_same_again_stores_nothing(server: ApiServer, dashboard: Any) -> None:
    path = f"/dashboards/{dashboard['id']}"

    again = server.call("PUT", path, data=SOURCE, headers=YAML, auth=ADMIN).json()

    assert again["updated"] == dashboard["updated"]
