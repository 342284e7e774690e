"""What the API tells of flows that limit their executions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api_harness import ApiServer, api_server, flow_source

from tiercel_schemas.concurrency import RequestSlot

LIMITED = "concurrency: {limit: 1, behavior: QUEUE}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("concurrency")) as running:
        yield running


def row(flow_id: str, **counts: Any) -> dict[str, Any]:
    return {
        "tenantId": "main",
        "namespace": "house.kitchen",
        "flowId": flow_id,
        "limit": 1,
        "behavior": "QUEUE",
        **counts,
    }


def limit_of(answer: Any, flow_id: str) -> dict[str, Any] | None:
    found = [one for one in answer["results"] if one["flowId"] == flow_id]
    return found[0] if found else None


def test_who_runs_and_who_waits_is_counted(api: ApiServer) -> None:
    api.save_flow(flow_source("counted", LIMITED))
    search = "/concurrency-limit/search?size=100"
    assert limit_of(api.get(search).json(), "counted") is None

    first, second = (api.post("/executions/house.kitchen/counted").json()["id"] for _ in "ab")
    api.until(search, lambda a: limit_of(a, "counted") == row("counted", running=1, queued=1))
    api.work(first)
    api.until_state(first, "SUCCESS")
    api.until(search, lambda a: limit_of(a, "counted") == row("counted", running=1, queued=0))
    api.work(second)

    api.until(search, lambda a: limit_of(a, "counted") == row("counted", running=0, queued=0))
    assert api.get("/main/concurrency-limit/search?size=100").json()["total"] >= 1


def test_a_slot_of_what_is_over_is_taken_back_and_the_next_runs(api: ApiServer) -> None:
    # given: an execution that is not there any more has the only slot.
    api.save_flow(flow_source("stuck", LIMITED))
    ghost = RequestSlot("house.kitchen", "stuck", "ghost", 1, limit=1, forced=True)
    api.append(api.topics.commands.name, "main/house.kitchen/stuck", ghost)
    waiting = api.post("/executions/house.kitchen/stuck").json()["id"]
    search = "/concurrency-limit/search?size=100"
    api.until(search, lambda a: limit_of(a, "stuck") == row("stuck", running=1, queued=1))

    # when
    body = {"tenantId": "main", "namespace": "house.kitchen", "flowId": "stuck"}
    answer = api.call("PUT", "/main/concurrency-limit/house.kitchen/stuck", json=body)

    # then
    assert answer.status_code == 200
    api.until_state(waiting, "RUNNING")
    refused = api.call("PUT", "/concurrency-limit/house.kitchen/stuck", json={**body, "running": 5})
    assert refused.status_code == 422
    assert "Expected 5 executions" in refused.json()["message"]
    api.work(waiting)


def test_a_flow_without_a_limit_has_none_to_show_or_change(api: ApiServer) -> None:
    api.save_flow(flow_source("free"))

    path = "/concurrency-limit/house.kitchen/free"
    assert api.call("PUT", path, json={"running": 0}).status_code == 404
    assert api.call("PUT", path, json={"running": "none"}).status_code == 422
    assert limit_of(api.get("/concurrency-limit/search?size=100").json(), "free") is None
