"""Server-sent events over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source, until

from tiercel_api import follow
from tiercel_api.follow import FOLLOWERS


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
    assert first[0].isdecimal()
    assert first[1]["state"]["current"] in ("CREATED", "RUNNING")
    positions = [int(event_id) for event_id, _ in (first, *rest[:-1])]
    assert positions == sorted(set(positions))
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
    assert int(stored[0][0]) < int(stored[1][0]) < int(live[0])
    assert live[1] == api.until(f"/logs/{execution_id}", lambda found: len(found) == 4)[-1]


def test_a_stream_goes_on_behind_the_last_event_that_was_seen(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    path = f"/executions/{execution_id}/follow"
    with api.get(path, stream=True) as response:
        seen, document = next(events(response))

    # when
    again = api.get(path, stream=True, headers={"Last-Event-ID": seen})
    api.work(execution_id)
    rest = list(events(again))

    # then
    positions = [int(event_id) for event_id, _ in rest[:-1]]
    assert all(position > int(seen) for position in positions)
    assert rest[-1][0] == "end"
    assert [one["state"]["histories"] for _, one in rest] != [document["state"]["histories"]]
    assert api.get(path, headers={"Last-Event-ID": "end"}).status_code == 204
    assert [e for e, _ in events(api.get(path, headers={"Last-Event-ID": "progress"}))] == ["end"]


def test_no_line_is_lost_or_repeated_by_a_reader_that_comes_back(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: so little room that live lines are read again from where they are stored
    monkeypatch.setattr(follow, "LINES_MAX", 3)
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    job = api.next_job(execution_id)
    path = f"/logs/{execution_id}/follow?minLevel=INFO"
    for number in range(10):
        api.say(job, "INFO", f"line {number}")

    # when: each connection takes some lines, while more come
    seen: list[str] = []
    last: dict[str, str] = {}
    number = 10
    while len(seen) < 60:
        with api.get(path, stream=True, headers=last) as response:
            for (event_id, line), _ in zip(events(response), range(7), strict=False):
                seen.append(line["message"])
                last = {"Last-Event-ID": event_id}
                if number < 60:
                    api.say(job, "INFO", f"line {number}")
                    api.say(job, "DEBUG", "too quiet")
                    number += 1
                if len(seen) == 60:
                    break

    # then
    assert seen == [f"line {number}" for number in range(60)]


def test_lines_that_nobody_has_indexed_are_shown_too(tmp_path: Path) -> None:
    with api_server(tmp_path, embedded=True) as server:
        # given
        server.save_flow(flow_source("plain"))
        execution_id = server.post("/executions/house.kitchen/plain").json()["id"]
        job = server.next_job(execution_id)
        server.say(job, "INFO", "indexed")
        server.until(f"/logs/{execution_id}", lambda found: len(found) == 1)
        server.stop_indexer()
        server.say(job, "INFO", "in the log alone")

        # when
        with server.get(f"/logs/{execution_id}/follow", stream=True) as response:
            stream = events(response)
            first, second = next(stream), next(stream)
            server.say(job, "INFO", "live")
            third = next(stream)

        # then
        messages = [line["message"] for _, line in (first, second, third)]
        assert messages == ["indexed", "in the log alone", "live"]


def test_a_reader_that_leaves_gives_its_place_up_at_once(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    streams = [
        api.get(f"/{kind}/{execution_id}/follow", stream=True) for kind in ("executions", "logs")
    ]
    until(lambda: len(api.app[FOLLOWERS]._streams) == 2)

    # when: nothing happens to the execution, and no comment is due for long
    for stream in streams:
        stream.close()

    # then
    until(lambda: not api.app[FOLLOWERS]._streams)
    assert follow.KEEP_ALIVE_S > DEADLINE_S / 2


def test_silence_is_filled_with_comments(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "KEEP_ALIVE_S", 0.05)
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]

    for kind in ("executions", "logs"):
        with api.get(f"/{kind}/{execution_id}/follow", stream=True) as response:
            lines = response.iter_lines()
            assert [next(line for line in lines if line.startswith(b":")) for _ in "ab"] == [
                b": ",
                b": ",
            ]
