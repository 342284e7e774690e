"""A browser's EventSource, by the letter of the HTML standard, against cut connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source, until

from tiercel_api.connections import CONNECTIONS
from tiercel_api.follow import FOLLOWERS


class EventSource:
    """What a page's EventSource does: `messages` are what `onmessage` gets.

    It comes back by itself whenever a stream ends, with the last id that it has seen, until the
    server answers with anything but 200.
    """

    def __init__(self, url: str) -> None:
        self.messages: list[tuple[str, str]] = []
        self.named: list[str] = []
        self.connections = 0
        self.last_event_id = ""
        self.closed_by = 0
        self._url = url
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self.closed_by:
            headers = {"Accept": "text/event-stream"}
            if self.last_event_id:
                headers["Last-Event-ID"] = self.last_event_id
            response = requests.get(self._url, headers=headers, stream=True, timeout=DEADLINE_S)
            if response.status_code != 200:
                self.closed_by = response.status_code
                return
            assert response.headers["Content-Type"] == "text/event-stream"
            self.connections += 1
            # A lost connection is a reason to come back, as an ended one is.
            with suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                self._read(response)

    def _read(self, response: requests.Response) -> None:
        # An event counts once its blank line has come; a cut one is thrown away.
        event_id, kind, data = self.last_event_id, "", []
        for raw in response.iter_lines(chunk_size=1):
            line = raw.decode()
            if not line:
                self.last_event_id = event_id
                if data and kind in ("", "message"):
                    self.messages.append((event_id, "\n".join(data)))
                elif data:
                    self.named.append(kind)
                kind, data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                event_id = value
            elif field == "event":
                kind = value
            elif field == "data":
                data.append(value)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("source"), embedded=True) as server:
        server.save_flow(flow_source("plain"))
        yield server


def cut_all(api: ApiServer) -> None:
    """Cut every stream, in the event loop, as a network does."""
    streams = set(api.app[FOLLOWERS]._streams)
    for stream in streams:
        api._loop.call_soon_threadsafe(stream.cut, "test")
    until(lambda: not streams & api.app[FOLLOWERS]._streams)


def test_an_execution_is_followed_through_cuts_to_its_end(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    source = EventSource(f"{api.url}/api/v1/executions/{execution_id}/follow")
    until(lambda: len(source.messages) >= 1)

    # when
    for connections in (1, 2):
        until(lambda n=connections: source.connections == n)  # type: ignore[misc]
        cut_all(api)
    until(lambda: source.connections == 3)
    api.work(execution_id)
    source.join()

    # then: the end is told once, and after it the server says that there is no more
    ids = [event_id for event_id, _ in source.messages]
    assert ids[-1] == "end"
    assert [int(one) for one in ids[:-1]] == sorted({int(one) for one in ids[:-1]})
    last: dict[str, Any] = json.loads(source.messages[-1][1])
    assert last["state"]["current"] == "SUCCESS"
    assert source.closed_by == 204
    assert source.named == []


def test_a_log_is_followed_through_cuts_without_loss_or_repetition(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    job = api.next_job(execution_id)
    source = EventSource(f"{api.url}/api/v1/logs/{execution_id}/follow")

    # when
    for number in range(40):
        api.say(job, "INFO", f"line {number}")
        if number % 10 == 5:
            until(lambda n=number: len(source.messages) >= n - 3)  # type: ignore[misc]
            cut_all(api)
    until(lambda: len(source.messages) >= 40)
    api._loop.call_soon_threadsafe(api.app[CONNECTIONS].end)
    source.join()

    # then: a server that stops says so by name, and refuses new streams
    assert [json.loads(data)["message"] for _, data in source.messages] == [
        f"line {number}" for number in range(40)
    ]
    assert source.connections >= 5
    assert source.named == ["reconnect"]
    assert source.closed_by == 503
