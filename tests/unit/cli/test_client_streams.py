"""Streams that are cut off go on where they stood."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tiercel_cli import client
from tiercel_cli.client import Client, ServerRefused, ServerUnreachable

EVENT = 'id: {0}\ndata: {{"id": "x", "n": {0}}}\n\n'
RECONNECT = "event: reconnect\nretry: 900\ndata:\n\n"


class Streams(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: a status, or a stream's text."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[str | int] = []
        self.asked: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    server: Streams

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Last-Event-ID"))
        answer = self.server.answers.pop(0)
        self.send_response(answer if isinstance(answer, int) else 200)
        self.end_headers()
        if isinstance(answer, str):
            self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    monkeypatch.setattr(client, "RECONNECT_S", 0.0)
    monkeypatch.setattr(client, "RECONNECTS_MAX", 3)
    with Streams() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def follow(server: Streams) -> list[int]:
    followed = Client(f"http://127.0.0.1:{server.server_port}").follow("x")
    return [document["n"] for document in followed]


def test_it_goes_on_behind_the_last_event(streams: Streams) -> None:
    # given: a server that stops, one that is busy, and one that knows the rest
    end = 'id: end\ndata: {"id": "x", "n": 9}\n\n'
    streams.answers = [EVENT.format(3) + EVENT.format(5) + RECONNECT, 503, EVENT.format(6) + end]

    # when
    seen = follow(streams)

    # then
    assert seen == [3, 5, 6, 9]
    assert streams.asked == [None, "5", "5"]


def test_it_gives_up_after_some_tries(streams: Streams) -> None:
    streams.answers = [EVENT.format(3), *[503] * 3]

    with pytest.raises(ServerRefused):
        follow(streams)

    assert streams.asked == [None, "3", "3", "3"]


def test_a_stream_that_says_nothing_is_not_asked_for_again(streams: Streams) -> None:
    streams.answers = [RECONNECT]

    with pytest.raises(ServerUnreachable, match="closed the stream"):
        follow(streams)


def test_what_is_not_there_is_told_at_once(streams: Streams) -> None:
    streams.answers = [404]

    with pytest.raises(ServerRefused):
        follow(streams)
