"""Server-sent events over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import ApiServer, api_server, flow_source


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("follow"), embedded=True) as server:
        server.save_flow(flow_source("plain"))
        yield server


def events(response: requests.Response) -> Iterator[tuple[str, Any]]:
    """(id, data) of each server-sent event."""
    event_id = ""
    for line in response.iter_lines():
        text = line.decode()
        if text.startswith("id: "):
            event_id = text[4:]
        elif text.startswith("data: "):
            yield event_id, json.loads(text[6:])


def test_following_an_execution_shows_it_until_its_end(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    path = f"/executions/{execution_id}/follow"

    # when
    with api.get(path, stream=True) as response:
        stream = events(response)
        first = next(stream)
        api.work(execution_id)
        rest = list(stream)

    # then
    assert response.headers["Content-Type"] == "text/event-stream"
    assert first[0] == "progress"
    assert first[1]["state"]["current"] in ("CREATED", "RUNNING")
    assert [event_id for event_id, _ in rest[:-1]] == ["progress"] * (len(rest) - 1)
    assert rest[-1][0] == "end"
    assert rest[-1][1]["state"]["current"] == "SUCCESS"
    with api.get(path, stream=True) as again:
        assert [event_id for event_id, _ in events(again)] == ["end"]


def test_a_job_that_waits_shows_as_submitted_below_a_tenant_alone(api: ApiServer) -> None:
    # given: a job that no worker has taken
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    api.until(f"/executions/{execution_id}", lambda found: "taskRunList" in found)
    waiting = shown(api, execution_id)

    # when
    with api.get(f"/main/executions/{execution_id}/follow", stream=True) as response:
        stream = events(response)
        first = next(stream)[1]
        api.work(execution_id)
        last = list(stream)[-1][1]

    # then
    assert waiting == {"": ["CREATED"] * 2, "/main": ["CREATED", "SUBMITTED", "SUBMITTED"]}
    assert task_run_states(first) == ["CREATED", "SUBMITTED", "SUBMITTED"]
    whole = ["CREATED", "SUBMITTED", "RUNNING", "SUCCESS", "SUCCESS"]
    assert task_run_states(last) == whole
    assert shown(api, execution_id) == {"": [whole[0], *whole[2:]], "/main": whole}


def shown(api: ApiServer, execution_id: str) -> dict[str, list[str]]:
    """What reading and searching alike show below each prefix."""
    states = {}
    for prefix in ("", "/main"):
        read = api.get(f"{prefix}/executions/{execution_id}").json()
        found = api.get(f"{prefix}/executions/search?size=100").json()["results"]
        listed = api.get(f"{prefix}/executions?namespace=house.kitchen&flowId=plain&size=100")
        known = {one["id"]: one for one in found}[execution_id]
        assert read["taskRunList"] == known["taskRunList"]
        assert known in listed.json()["results"]
        assert "submissions" not in read["taskRunList"][0]
        states[prefix] = task_run_states(read)
    return states


def task_run_states(document: Any) -> list[str]:
    """The states of the first task run's history, and the current one."""
    state = document["taskRunList"][0]["state"]
    return [*(change["state"] for change in state["histories"]), state["current"]]


def test_following_a_log_shows_each_line_once(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    job = api.work(execution_id)
    api.say(job, "WARN", "stored")
    api.until(f"/logs/{execution_id}", lambda found: len(found) == 2)

    # when
    with api.get(f"/logs/{execution_id}/follow?minLevel=INFO", stream=True) as response:
        stream = events(response)
        stored = [next(stream), next(stream)]
        api.say(job, "DEBUG", "too quiet")
        api.say(job, "ERROR", "live")
        live = next(stream)

    # then
    assert [data["message"] for _, data in stored] == ["welcome", "stored"]
    assert live[0] == "progress"
    assert live[1] == api.until(f"/logs/{execution_id}", lambda found: len(found) == 4)[-1]
