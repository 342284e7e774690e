"""The function http() of templates against a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.http_house import http_house

from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.outside import http
from tiercel_engine.outside.http import http_value


class Answers(BaseHTTPRequestHandler):
    """Tells what it was asked; other paths have their own answers."""

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        path = self.path.partition("?")[0]
        if path == "/fails":
            self._say(418, b"no", "text/plain")
        elif path == "/text":
            self._say(200, "grüße".encode("latin-1"), "text/plain; charset=latin-1")
        elif path == "/empty":
            self._say(204, b"", "text/plain")
        elif path == "/broken":
            self._say(200, b"{", "application/json")
        elif path == "/large":
            self._say(200, b"x" * 5_000, "text/plain")
        elif path == "/slow":
            self.server.slow.wait(20)  # type: ignore[attr-defined]
            self._say(200, b"late", "text/plain")
        else:
            told = {
                "method": self.command,
                "path": self.path,
                "body": body,
                "type": self.headers.get("Content-Type"),
                "accept": self.headers.get("Accept"),
                "auth": self.headers.get("Authorization"),
                "x": self.headers.get_all("X-Many"),
            }
            self._say(200, json.dumps(told).encode(), "application/json")

    do_POST = do_PUT = do_GET

    def _say(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Tests do not print."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listener:
        listener.slow = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.slow.set()  # type: ignore[attr-defined]
        listener.shutdown()
        thread.join()


def test_json_is_asked_for_and_read(server: str) -> None:
    told = http_value({"uri": f"{server}/a", "query": {"q": 1, "r": "x y"}})

    assert told["method"] == "GET"
    assert told["path"] == "/a?q=1&r=x+y"
    assert told["accept"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        (None, {"a": [1, None]}, '{"a":[1,null]}'),
        (None, "text", "text"),
        ("application/x-www-form-urlencoded", {"a": 1, "b": "x y"}, "a=1&b=x+y"),
        ("application/yaml", {"a": {"b": 1}}, "a:\n  b: 1\n"),
        ("text/plain", "plain", "plain"),
    ],
)
def test_a_body_is_written_as_its_content_type_says(
    server: str, kind: str | None, body: Any, sent: str
) -> None:
    call = {"uri": server, "method": "post", "body": body}

    told = http_value(call if kind is None else {**call, "contentType": kind})

    assert told["body"] == sent
    assert told["type"] == (kind or "application/json")


def test_headers_may_have_several_values_and_options_sign_in(server: str) -> None:
    headers = {"X-Many": ["1", "2"], "Accept": "text/csv", "Content-Type": "ignored/here"}
    bearer = {"auth": {"type": "BEARER", "token": "t"}}
    basic = {"auth": {"username": "u", "password": "p"}}

    told = http_value({"uri": server, "headers": headers, "options": bearer})

    assert told["x"] == ["1", "2"]
    assert (told["accept"], told["type"], told["auth"]) == ("text/csv", None, "Bearer t")
    assert http_value({"uri": server, "options": basic})["auth"] == "Basic dTpw"


def test_other_answers_are_text_or_nothing(server: str) -> None:
    assert http_value({"uri": f"{server}/text"}) == "grüße"
    assert http_value({"uri": f"{server}/empty"}) is None


def test_a_failure_is_told_unless_it_is_allowed(server: str) -> None:
    with pytest.raises(TaskError, match="server respond with status 418"):
        http_value({"uri": f"{server}/fails"})
    assert http_value({"uri": f"{server}/fails", "options": {"allowFailed": True}}) == "no"


def test_what_is_wrong_is_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match="Expected an answer of JSON"):
        http_value({"uri": f"{server}/broken"})
    with pytest.raises(UserError, match="options of the function http"):
        http_value({"uri": server, "options": {"unknown": 1}})
    with pytest.raises(TaskError, match="HTTP request GET http://127"):
        http_value({"uri": "http://127.0.0.1:1/"})
    with pytest.raises(TaskError, match="Failed to execute HTTP request GET nowhere"):
        http_value({"uri": "nowhere"})
    monkeypatch.setattr(http, "BODY_BYTES_MAX", 4_999)
    with pytest.raises(TaskError, match="at most 4999 bytes"):
        http_value({"uri": f"{server}/large"})


def test_a_server_that_does_not_answer_is_not_waited_for(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.2)
    with pytest.raises(TaskError, match="slow: "):
        http_value({"uri": f"{server}/slow"})


def test_a_server_that_asks_for_a_digest_gets_one() -> None:
    auth = {"type": "digest", "username": "ada", "password": "pass:word"}
    with http_house() as house:
        call = {"uri": f"{house.url}/digest", "options": {"auth": auth}}
        assert http_value(call) == "welcome, 0"
        assert http_value({**call, "method": "POST", "body": "12345"}) == "welcome, 5"
        call["options"] = {"auth": {**auth, "type": "OTHER"}}
        with pytest.raises(UserError, match=r"auth\.type: Input should be 'BASIC'"):
            http_value(call)
