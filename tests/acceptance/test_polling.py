"""Polling triggers on real servers: a worker looks, the scheduler starts, once per find."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.acceptance.running import RunningServer, eventually

FLOW = """id: watch
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ trigger.code }}}} {{{{ trigger.body }}}}"
triggers:
  - id: look
    type: io.kestra.plugin.fs.http.Trigger
    uri: {url}
    interval: PT0.2S
    responseCondition: "{{{{ response.body == 'go' }}}}"
    stopAfter: [SUCCESS]
"""


class Site:
    """An HTTP server whose answer the test decides."""

    def __init__(self) -> None:
        self.answer = b"wait"
        self.asked = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.set()
                self.send_response(200)
                self.send_header("Content-Length", str(len(site.answer)))
                self.end_headers()
                self.wfile.write(site.answer)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_an_address_is_asked_until_its_answer_is_the_right_one(
    server: RunningServer, namespace: str, site: Site
) -> None:
    server.save(FLOW.format(namespace=namespace, url=site.url))
    assert site.asked.wait(60)
    assert server.client.executions(namespace, None, [], 1, 10)["total"] == 0

    site.answer = b"go"

    found = eventually(
        lambda: server.client.executions(namespace, None, ["SUCCESS"], 1, 10)["results"], bool
    )
    assert len(found) == 1
    assert server.messages(found[0]["id"]) == ["200 go"]
    assert found[0]["trigger"]["variables"]["code"] == 200
    # It stops after a success.
    eventually(
        lambda: server.get(f"/triggers/{namespace}/watch").json()["results"],
        lambda rows: bool(rows) and rows[0]["disabled"],
    )
    assert server.client.executions(namespace, None, [], 1, 10)["total"] == 1
