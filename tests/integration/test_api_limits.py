"""What the API does when its neighbours, or its clients, fail."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, YAML, ApiServer, api_server, flow_source, until

from tiercel_api import bodies, follow
from tiercel_api.follow import FOLLOWERS
from tiercel_api.services import ApiSettings
from tiercel_engine.errors import LogBusy

HELD = ApiSettings(command_timeout_s=0.3, index_timeout_s=0.3, followers_max=2)
ORDERS = "inputs:\n  - {id: orders, type: FILE}"


def test_a_silent_executor_is_told_with_a_time_to_try_again(tmp_path: Path) -> None:
    with api_server(tmp_path, HELD) as api:
        # given
        api.save_flow(flow_source("plain"))
        execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
        api.until_state(execution_id, "RUNNING")
        api.executor.stop()
        until(lambda: not api.executor.ready.is_set())

        # when
        killed = api.call("DELETE", f"/executions/{execution_id}/kill")
        stored = api.post("/flows", data=flow_source("late"), headers=YAML)
        created = api.post("/executions/house.kitchen/plain")

        # then
        for response in (killed, stored):
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            assert response.json()["message"].startswith("Service Unavailable: ")
        assert created.status_code == 200


def test_a_busy_log_is_told_with_a_time_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server(tmp_path) as api:
        api.save_flow(flow_source("orders", ORDERS))

        def is_full(*_: Any) -> None:
            raise LogBusy("The log takes nothing more.")

        monkeypatch.setattr("tiercel_engine.eventlog.memory.MemoryAppender.append", is_full)
        response = api.post("/executions/house.kitchen/orders", files={"orders": ("a", b"x")})
        monkeypatch.undo()

        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"


def test_a_fault_of_ours_is_answered_with_a_number_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server(tmp_path) as api:

        def is_broken(_: str) -> None:
            raise RuntimeError("a secret detail")

        monkeypatch.setattr(api.store, "execution", is_broken)
        response = api.get("/executions/anything")

        assert response.status_code == 500
        assert "secret" not in response.text
        assert response.json()["message"].startswith("Internal server error: see incident ")


def test_a_reader_that_takes_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "WRITE_TIMEOUT_S", 0.2)
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("plain"))
        execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
        job = api.next_job(execution_id)
        for _ in range(100):
            api.say(job, "INFO", "x" * 200_000)
        api.until(f"/logs/{execution_id}", lambda lines: len(lines) == 100)

        # when
        with socket.create_connection(("127.0.0.1", api.port), DEADLINE_S) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            path = f"/api/v1/logs/{execution_id}/follow"
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: len(open_streams(api)) == 1)

            # then
            until(lambda: not open_streams(api))


def open_streams(api: ApiServer) -> set[follow.EventStream]:
    return api.app[FOLLOWERS]._streams


def test_streams_are_bounded_and_end_with_the_server(tmp_path: Path) -> None:
    with api_server(tmp_path, HELD) as api:
        # given
        api.save_flow(flow_source("plain"))
        execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
        path = f"/executions/{execution_id}/follow"
        streams = [api.get(path, stream=True) for _ in range(2)]

        # when
        third = api.get(path)

        # then
        assert [stream.status_code for stream in streams] == [200, 200]
        assert third.status_code == 503
        assert third.json()["message"].startswith("Service Unavailable: ")
    for stream in streams:
        assert b"event: reconnect\nretry: " in stream.content


def test_a_body_that_stops_coming_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PIECE_TIMEOUT_S", 0.2)
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("orders", ORDERS))
        head = (
            "POST /api/v1/executions/house.kitchen/orders HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 1000\r\n\r\n"
            '--xx\r\nContent-Disposition: form-data; name="orders"; filename="a"\r\n\r\nsome'
        )

        # when
        with socket.create_connection(("127.0.0.1", api.port), DEADLINE_S) as client:
            client.sendall(head.encode())
            answer = client.recv(100)

        # then
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
        assert list(api.storage.list("kestra:///house")) == []


def test_an_upload_whose_client_leaves_stores_nothing(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("orders", ORDERS))
        head = (
            "POST /api/v1/executions/house.kitchen/orders HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 9000000\r\n\r\n"
            '--xx\r\nContent-Disposition: form-data; name="orders"; filename="a"\r\n\r\n'
        )

        # when
        with socket.create_connection(("127.0.0.1", api.port), DEADLINE_S) as client:
            client.sendall(head.encode() + b"x" * 3_000_000)

        # then
        until(lambda: requests.get(f"{api.url}/ping", timeout=DEADLINE_S).text == "pong")
        assert list(api.storage.list("kestra:///house")) == []
        assert api.get("/executions/search").json()["total"] == 0


def test_another_instances_flow_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        # given
        source = flow_source("theirs")

        # when
        api.append(*api.stored_elsewhere(source, "theirs"))
        response = api.post("/executions/house.kitchen/theirs")

        # then
        assert response.status_code == 200


def test_a_stored_flow_that_does_not_read_any_more_is_shown_with_its_reason(
    tmp_path: Path,
) -> None:
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("good"))
        api.append(*api.stored_elsewhere("id: [broken", "broken"))

        # when
        read = api.get("/flows/house.kitchen/broken?source=true").json()
        found = api.get("/flows/search?sort=id:asc").json()
        labelled = api.get("/flows/search?labels=a:b").json()
        started = api.post("/executions/house.kitchen/broken")

        # then
        assert read["exception"].startswith("Illegal flow yaml: ")
        assert read["source"] == "id: [broken"
        assert [(f["id"], "exception" in f) for f in found["results"]] == [
            ("broken", True),
            ("good", False),
        ]
        assert labelled["total"] == 0
        assert started.status_code == 409
