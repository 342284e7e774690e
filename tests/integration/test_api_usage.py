"""What a server tells of itself and of how much it is used."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import ApiServer, api_server, flow_source


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("usage")) as running:
        body = "inputs: [{id: a, type: STRING, defaults: b}]\nlabels: {a: b}\ntriggers:\n"
        body += "  - {id: t, type: io.kestra.plugin.core.trigger.Webhook, key: k}"
        running.save_flow(flow_source("one", body))
        running.save_flow(flow_source("two", namespace="house.garden"))
        yield running


def test_what_answers_here_is_told(server: ApiServer) -> None:
    told = requests.get(f"{server.url}/api", timeout=20).json()

    assert told["name"] == "tiercel"
    assert requests.get(server.url + told["openapi"], timeout=20).status_code == 200


def test_configs_have_what_both_generations_ask_for(server: ApiServer) -> None:
    found: dict[str, Any] = server.get("/configs").json()

    assert {
        "uuid", "version", "isTaskRunEnabled", "isTemplateEnabled", "preview",
        "isBasicAuthEnabled", "systemNamespace", "hiddenLabelsPrefixes",
        "edition", "isBasicAuthInitialized", "chartDefaultDuration", "pluginsHash",
    } <= found.keys()  # fmt: skip
    assert found["isBasicAuthInitialized"] is False
    assert server.get("/main/configs").json() == found


def test_who_may_ask_for_what(tmp_path_factory: pytest.TempPathFactory) -> None:
    admin, cook = ("ada", "correct horse battery"), ("cem", "a pinch of salt")
    with api_server(tmp_path_factory.mktemp("usage-roles")) as running:
        first = {"username": admin[0], "password": admin[1]}
        assert running.post("/setup", json=first).status_code == 200
        roles = [{"role": "editor", "namespace": "house"}]
        user = {"username": cook[0], "password": cook[1], "roles": roles}
        assert running.post("/users", json=user, auth=admin).status_code == 200

        def status(path: str, auth: Any) -> int:
            url = f"{running.url}/api/v1{path}"
            return requests.get(url, auth=auth, timeout=20).status_code

        for path in ("/configs", "/pebble/filters", "/license-info", "/blueprints/community"):
            assert (status(path, cook), status(path, None)) == (200, 401), path
        for path in ("/instance/services/search", "/main/instance/services/active"):
            assert (status(path, admin), status(path, cook)) == (200, 403), path
        assert (status("/usages/all", admin), status("/usages/all", cook)) == (200, 403)
        assert status("/configs/login", None) == status("/main/configs/login", None) == 200


def test_flows_are_counted_by_their_types(server: ApiServer) -> None:
    flows = server.get("/main/usages/all").json()["flows"]

    assert (flows["count"], flows["namespacesCount"]) == (2, 2)
    assert flows["taskTypeCount"] == {"tests.Say": 2}
    assert flows["triggerTypeCount"] == {"io.kestra.plugin.core.trigger.Webhook": 1}
    assert flows["inputTypeCount"] == {"STRING": 1}
    assert (flows["hasLabelsCount"], flows["hasSlaCount"]) == (1, 0)


def test_executions_are_counted_day_by_day(server: ApiServer) -> None:
    days = server.get("/usages/all").json()["executions"]["dailyExecutionsCount"]

    assert len(days) >= 30
    assert {"startDate", "executionCounts", "duration"} <= days[0].keys()


@pytest.mark.parametrize("since", ["", "?from=2020-01-01", "?from=2020-01-01T00:00:00Z"])
def test_a_report_is_a_table(server: ApiServer, since: str) -> None:
    report = server.get(f"/stats/generate-reports{since}")

    rows = list(csv.DictReader(report.text.splitlines()))
    assert report.headers["Content-Type"].startswith("text/csv")
    assert rows
    assert rows[0]["executions"] == "0"
    assert server.get("/stats/generate-reports?from=yesterday").status_code == 422
