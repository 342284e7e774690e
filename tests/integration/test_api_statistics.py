"""Counts over time, and searches of task runs, against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api_harness import ApiServer, api_server, flow_source

from tiercel_engine.flow.duration import parse_duration_s
from tiercel_schemas.state import State

ADMIN = ("ada", "correct horse battery")
COOK = ("hal", "open the pod bay")
KITCHEN, CELLAR = "house.kitchen", "house.cellar"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Two executions of one flow, one of them failed, and one in another namespace.

    Ada may do everything, Hal reads `house.kitchen` alone.
    """
    with api_server(tmp_path_factory.mktemp("statistics")) as running:
        running.save_flow(flow_source("dinner"))
        running.save_flow(flow_source("wine", namespace=CELLAR))
        for namespace, flow_id, state in (
            (KITCHEN, "dinner", "SUCCESS"),
            (KITCHEN, "dinner", "FAILED"),
            (CELLAR, "wine", "SUCCESS"),
        ):
            started = running.post(f"/executions/{namespace}/{flow_id}").json()
            running.work(started["id"], state)
            running.until_state(started["id"], state)
        running.until("/logs/search", lambda found: found["total"] == 3)
        setup = {"username": ADMIN[0], "password": ADMIN[1], "tenant": {"id": "main", "name": "m"}}
        assert running.post("/setup", json=setup).status_code == 200
        roles = [{"role": "viewer", "namespace": KITCHEN}]
        user = {"username": COOK[0], "password": COOK[1], "roles": roles}
        assert running.post("/users", json=user, auth=ADMIN).status_code == 200
        yield running


def ask(server: ApiServer, path: str, body: Any = None, auth: Any = ADMIN) -> Any:
    response = server.post(f"/stats{path}", json=body or {}, auth=auth)
    assert response.status_code == 200, response.text
    return response.json()


def test_days_without_executions_are_there_with_every_state(server: ApiServer) -> None:
    days = ask(server, "/executions/daily", {"namespace": KITCHEN})

    assert len(days) == 31
    empty, today = days[0], days[-1]
    assert empty["duration"] == {"count": 0}
    assert set(empty["executionCounts"]) == {state.value for state in State}
    assert set(empty["executionCounts"].values()) == {0}
    counts = {state: n for state, n in today["executionCounts"].items() if n}
    assert counts == {"SUCCESS": 1, "FAILED": 1}
    assert today["groupBy"] == "day"
    duration = {name: today["duration"][name] for name in ("min", "avg", "max", "sum")}
    seconds = {name: parse_duration_s(text) for name, text in duration.items()}
    assert 0 < seconds["min"] <= seconds["avg"] <= seconds["max"] < seconds["sum"]
    assert today["duration"]["count"] == 2


@pytest.mark.parametrize(
    ("hours", "group_by", "spans"),
    [(1, "minute", 61), (12, "hour", 13), (48, "day", 3), (24 * 200, "week", 30)],
)
def test_the_longer_the_window_the_longer_the_spans(
    server: ApiServer, hours: int, group_by: str, spans: int
) -> None:
    end = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    window = {
        "startDate": (end - timedelta(hours=hours)).isoformat(),
        "endDate": end.isoformat(),
    }

    found = ask(server, "/executions/daily", window)

    assert ({one["groupBy"] for one in found}, len(found)) == ({group_by}, spans)


def test_days_begin_at_midnight_of_the_callers_offset(server: ApiServer) -> None:
    window = {"startDate": "2026-11-20T10:00:00+05:30", "endDate": "2026-11-22T10:00:00+05:30"}

    starts = [day["startDate"] for day in ask(server, "/executions/daily", window)]

    assert starts == [f"2026-11-{day}T18:30:00Z" for day in (19, 20, 21)]


def test_task_runs_are_counted_by_their_own_states(server: ApiServer) -> None:
    today = ask(server, "/taskruns/daily", {"flowId": "dinner", "state": ["FAILED"]})[-1]

    assert {state: n for state, n in today["executionCounts"].items() if n} == {"FAILED": 1}
    assert today["duration"]["count"] == 1


def test_executions_are_counted_flow_by_flow(server: ApiServer) -> None:
    flows = [{"namespace": KITCHEN, "id": "dinner"}, {"namespace": KITCHEN, "id": "unknown"}]

    found = ask(server, "/executions/daily/group-by-flow", {"flows": flows})
    together = ask(server, "/executions/daily/group-by-flow", {"namespaceOnly": True})

    assert set(found) == {KITCHEN}
    assert found[KITCHEN]["dinner"][-1]["executionCounts"]["FAILED"] == 1
    assert len(found[KITCHEN]["unknown"]) == 31
    assert together[CELLAR]["*"][-1]["executionCounts"]["SUCCESS"] == 1


def test_executions_are_counted_namespace_by_namespace(server: ApiServer) -> None:
    found = ask(server, "/executions/daily/group-by-namespace")

    assert {name: entry["total"] for name, entry in found.items()} == {KITCHEN: 2, CELLAR: 1}
    assert found[KITCHEN]["counts"]["FAILED"] == 1
    assert found[KITCHEN]["counts"]["RUNNING"] == 0


def test_the_newest_execution_of_each_flow(server: ApiServer) -> None:
    flows = [{"namespace": KITCHEN, "id": "dinner"}, {"namespace": CELLAR, "id": "wine"}]

    found = ask(server, "/executions/latest/group-by-flow", {"flows": flows})

    assert [(one["flowId"], one["state"]["current"]) for one in found] == [
        ("dinner", "FAILED"),
        ("wine", "SUCCESS"),
    ]


def test_log_lines_are_counted_by_level(server: ApiServer) -> None:
    today = ask(server, "/logs/daily", {"namespace": KITCHEN})[-1]

    assert today["counts"] == {"TRACE": 0, "DEBUG": 0, "INFO": 2, "WARN": 0, "ERROR": 0}
    assert ask(server, "/logs/daily", {"minLevel": "WARN"})[-1]["counts"]["INFO"] == 0


def test_flows_and_triggers_are_counted(server: ApiServer) -> None:
    assert ask(server, "/summary") == {"flows": 2, "triggers": 0}
    assert ask(server, "/summary", {"namespace": CELLAR})["flows"] == 1


def test_task_runs_are_searched_the_newest_first(server: ApiServer) -> None:
    def found(query: str = "", auth: Any = ADMIN) -> list[tuple[str, str]]:
        answer = server.get(f"/taskruns/search?{query}", auth=auth).json()
        assert answer["total"] >= len(answer["results"])
        return [(run["flowId"], run["state"]["current"]) for run in answer["results"]]

    everything = [("wine", "SUCCESS"), ("dinner", "FAILED"), ("dinner", "SUCCESS")]
    assert found() == everything
    assert found("sort=state.startDate:asc") == everything[::-1]
    assert found("state=FAILED") == everything[1:2]
    assert found(f"namespace={CELLAR}&q=WINE") == everything[:1]
    assert found("size=1&page=2") == everything[1:2]
    assert found("endDate=2020-01-01T00:00:00Z") == []
    assert found(auth=COOK) == everything[1:]
    assert server.get("/taskruns/search?sort=nothing:asc", auth=ADMIN).status_code == 422
    assert server.get("/taskruns/maxTaskRunSetting", auth=ADMIN).json() == 1_000


def test_who_reads_one_namespace_gets_the_counts_of_that_alone(server: ApiServer) -> None:
    def total(days: Any) -> int:
        return sum(sum(day["executionCounts"].values()) for day in days)

    assert total(ask(server, "/executions/daily", auth=ADMIN)) == 3
    assert total(ask(server, "/executions/daily", auth=COOK)) == 2
    assert total(ask(server, "/executions/daily", {"namespace": CELLAR}, auth=COOK)) == 0
    assert set(ask(server, "/executions/daily/group-by-namespace", auth=COOK)) == {KITCHEN}
    flows = {"flows": [{"namespace": CELLAR, "id": "wine"}]}
    assert ask(server, "/executions/latest/group-by-flow", flows, auth=COOK) == []
    assert ask(server, "/executions/daily/group-by-flow", flows, auth=COOK) == {}
    assert ask(server, "/summary", auth=COOK)["flows"] == 1
    assert ask(server, "/logs/daily", auth=COOK)[-1]["counts"]["INFO"] == 2
    assert server.post("/stats/summary", json={}).status_code == 401


def test_who_reads_one_namespace_sees_no_other_in_lists(server: ApiServer) -> None:
    flows = [{"namespace": KITCHEN, "id": "dinner"}, {"namespace": CELLAR, "id": "wine"}]

    latest = server.post("/executions/latest", json=flows, auth=COOK).json()
    values = server.get("/executions/distinct-field-values?field=flowId", auth=COOK).json()

    assert [one["flowId"] for one in latest] == ["dinner"]
    assert values == ["dinner"]


@pytest.mark.parametrize(
    "body",
    [
        {"startDate": "yesterday"},
        {"startDate": "2026-11-22T00:00:00Z", "endDate": "2026-11-20T00:00:00Z"},
        {"namespace": 3},
        {"state": ["NOWHERE"]},
        {"startDate": "1980-01-01T00:00:00Z"},
        [],
    ],
    ids=str,
)
def test_what_does_not_read_is_refused(server: ApiServer, body: Any) -> None:
    response = server.post("/stats/executions/daily", json=body, auth=ADMIN)

    assert response.status_code in (400, 422), response.text
