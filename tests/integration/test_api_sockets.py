"""Clients that are slow, many, or hostile, over raw sockets: refused or cut off by named bounds."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.api_harness import DEADLINE_S, YAML, ApiServer, api_server, flow_source, until

from tiercel_api import bodies
from tiercel_api.bounds import Bounds
from tiercel_api.connections import CONNECTIONS
from tiercel_api.security.limiter import FAILURES_MAX
from tiercel_api.services import ApiSettings

TIGHT = ApiSettings(
    bounds=Bounds(per_client_max=4, head_timeout_s=0.3, head_bytes_max=60_000, stall_timeout_s=0.3)
)
GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n"
WEBHOOK = "triggers:\n  - {id: w, type: io.kestra.plugin.core.trigger.Webhook, key: right-key}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("sockets"), TIGHT) as server:
        server.save_flow(flow_source("plain", "inputs:\n  - {id: orders, type: FILE}"))
        server.session.close()
        yield server


@pytest.fixture
def connection(api: ApiServer) -> Iterator[socket.socket]:
    with connect(api) as client:
        yield client
    until(lambda: not api.app[CONNECTIONS]._open)


def connect(api: ApiServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), DEADLINE_S)


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    data = b""
    try:
        while chunk := client.recv(65_536):
            data += chunk
    except ConnectionError:
        pass
    return data


@contextmanager
def dripping(client: socket.socket, drop: bytes) -> Iterator[None]:
    """Send a little more, always in time, until the server has enough."""
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            try:
                client.sendall(drop)
            except OSError:
                return

    sender = threading.Thread(target=drip)
    sender.start()
    yield
    stop.set()
    sender.join()


def answer(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    return client.recv(65_536)


@pytest.mark.parametrize("head", [b"", b"G", GET])
def test_a_head_that_does_not_come_is_given_up(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)

    assert everything(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_head_that_comes_drop_by_drop_is_given_up(connection: socket.socket) -> None:
    connection.sendall(GET)

    with dripping(connection, b"X-A: b\r\n"):
        said = everything(connection)

    assert said.startswith(b"HTTP/1.1 408 ") or said.startswith(b"HTTP/1.1 400 ")


def test_a_used_connection_is_closed_when_the_next_head_does_not_come(
    connection: socket.socket,
) -> None:
    assert answer(connection, GET + b"\r\n").endswith(b"pong")

    connection.sendall(b"GET /pi")

    assert everything(connection) == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (GET + b"X-Long: " + b"x" * 9_000 + b"\r\n\r\n", b"400"),
        (GET + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", b"400"),
        (GET + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1_000) for n in range(100)), b"431"),
    ],
)
def test_heads_that_are_too_large_are_refused(
    connection: socket.socket, head: bytes, status: bytes
) -> None:
    connection.sendall(head)

    assert everything(connection).split()[1] == status


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /api/v1/logs/x%0d%0aSet-Cookie:%20a=b/download HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/flows/search?q=%0d%0aX:1&size=%0d%0a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"X-Folded: a\r\n b: c\r\n\r\n",
        GET + b"X-Bare: a\rSet-Cookie: a=b\r\n\r\n",
        GET + b"X-Zero: a\x00b\r\n\r\n",
        GET + b"X Blank: a\r\n\r\n",
        GET + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        GET + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_would_split_heads_is_refused(
    connection: socket.socket, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    said = answer(connection, request_)

    assert said.split()[1] in (b"400", b"422")
    assert b"\nset-cookie" not in said.lower()
    assert "Traceback" not in caplog.text


def test_one_client_has_so_many_connections_and_no_more(api: ApiServer) -> None:
    until(lambda: not api.app[CONNECTIONS]._open)
    with ExitStack() as stack:
        # given
        mine = [stack.enter_context(connect(api)) for _ in range(4)]
        assert all(answer(client, GET + b"\r\n").endswith(b"pong") for client in mine)

        # when
        with connect(api) as more:
            refused = everything(more)
        mine[0].close()
        until(lambda: len(api.app[CONNECTIONS]._open) == 3)
        with connect(api) as another:
            taken = answer(another, GET + b"\r\n")

    # then
    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"Retry-After: " in refused
    assert taken.endswith(b"pong")


def test_a_body_that_comes_drop_by_drop_is_given_up(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(bodies, "PIECE_TIMEOUT_S", 0.3)
    head = (
        b"POST /api/v1/flows HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/x-yaml\r\nContent-Length: 1000\r\n\r\n"
    )
    connection.sendall(head)

    # when
    with dripping(connection, b"#"):
        said = connection.recv(65_536)

    # then
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_an_answer_that_nobody_takes_is_given_up(api: ApiServer) -> None:
    # given: megabytes of lines
    until(lambda: not api.app[CONNECTIONS]._open)
    files = {"orders": ("orders", b"x")}
    execution_id = api.post("/executions/house.kitchen/plain", files=files).json()["id"]
    job = api.next_job(execution_id)
    for _ in range(100):
        api.say(job, "INFO", "x" * 200_000)
    api.until(f"/logs/{execution_id}", lambda lines: len(lines) == 100)
    api.session.close()

    # when
    with connect(api) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        path = f"/api/v1/logs/{execution_id}/download"
        reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: len(api.app[CONNECTIONS]._open) == 1)

        # then
        until(lambda: not api.app[CONNECTIONS]._open)


def test_guesses_at_once_are_no_more_than_one_after_the_other(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        # given
        user = {"username": "ada", "password": "correct horse battery"}
        api.post("/setup", json=user)
        auth = (user["username"], user["password"])
        source = flow_source("hooked", WEBHOOK)
        api.post("/flows", data=source.encode(), headers=YAML, auth=auth)

        def guess(number: int) -> bytes:
            body = json.dumps({"username": "ada", "password": f"guess {number}"})
            request = (
                "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
            )
            with connect(api) as client:
                client.sendall(request.encode())
                return everything(client)

        # when
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(guess, range(2 * FAILURES_MAX)))
        hook = "/api/v1/executions/webhook/house.kitchen/hooked/right-key"
        with connect(api) as client:
            hooked = answer(client, f"POST {hook} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

        # then
        looked_at = [said for said in answers if said.split()[1] == b"401"]
        refused = [said for said in answers if said.split()[1] == b"429"]
        assert len(looked_at) + len(refused) == 2 * FAILURES_MAX
        assert FAILURES_MAX <= len(looked_at) <= FAILURES_MAX + 1
        assert all(b"\r\nRetry-After: " in said for said in refused)
        assert hooked.split()[1] == b"429"


def test_keys_of_webhooks_are_guessed_no_faster_at_once(tmp_path: Path) -> None:
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("hooked", WEBHOOK))
        path = "/api/v1/executions/webhook/house.kitchen/hooked"

        def guess(key: str) -> bytes:
            request = f"POST {path}/{key} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            with connect(api) as client:
                client.sendall(request.encode())
                return everything(client).split()[1]

        # when
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(guess, [f"wrong-{n}" for n in range(60)]))

        # then
        assert set(answers) == {b"404", b"429"}
        assert answers.count(b"404") < FAILURES_MAX
        assert guess("right-key") == b"429"
