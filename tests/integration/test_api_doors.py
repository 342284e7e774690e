"""The client on PyPI, and what every answer has in common."""

from __future__ import annotations

import base64
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("doors")) as server:
        server.save_flow(flow_source("greets", "inputs:\n  - {id: greeting, type: STRING}"))
        server.save_flow(flow_source("reads", "inputs:\n  - {id: myfile, type: FILE}"))
        yield server


@pytest.mark.parametrize("tenant", [None, "main"])
def test_the_python_client_starts_waits_and_reads_the_log(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, tenant: str | None
) -> None:
    # given
    monkeypatch.setenv("KESTRA_HOSTNAME", api.url)
    flow = importlib.import_module("kestra").Flow(poll_interval=0.05, tenant=tenant)
    results: list[Any] = []
    running = threading.Thread(
        target=lambda: results.append(
            flow.execute("house.kitchen", "greets", {"greeting": f"hi {tenant}"})
        )
    )

    # when
    running.start()
    page = api.until(
        "/executions/search?flowId=greets&state=RUNNING&state=CREATED",
        lambda found: any(r["inputs"]["greeting"] == f"hi {tenant}" for r in found["results"]),
    )
    api.work(page["results"][0]["id"])
    running.join(DEADLINE_S)

    # then
    assert results[0].status == "SUCCESS"
    assert results[0].error is None


def test_the_python_client_sends_a_file_under_its_file_name(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KESTRA_HOSTNAME", api.url)
    flow = importlib.import_module("kestra").Flow(wait_for_completion=False)

    result = flow.execute(
        "house.kitchen", "reads", {"files": ("myfile", b"some words", "text/plain")}
    )

    document = api.get(f"/executions/{result.execution_id}").json()
    assert api.storage.get(document["inputs"]["myfile"]) == b"some words"


@pytest.mark.parametrize("path", ["/nothing", "/main/nothing", "/cellar/flows/search"])
def test_an_unknown_path_or_tenant_is_not_found(api: ApiServer, path: str) -> None:
    response = api.get(path)

    assert response.status_code == 404
    assert response.json()["message"] == "Not Found"
    assert response.json()["_links"]["self"]["href"] == f"/api/v1{path}"


def test_a_method_that_a_path_does_not_have_is_named(api: ApiServer) -> None:
    response = api.call("PATCH", "/configs")

    assert response.status_code == 405
    assert response.headers["Allow"]
    assert response.json()["message"].startswith("Method Not Allowed: Method [PATCH]")


def test_a_foreign_host_name_is_refused(api: ApiServer) -> None:
    response = api.get("/configs", headers={"Host": "evil.example"})

    assert response.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_a_foreign_page_cannot_start_executions(
    api: ApiServer, headers: dict[str, str], status: int
) -> None:
    response = api.post(
        "/executions/house.kitchen/greets", files={"greeting": (None, "x")}, headers=headers
    )

    assert response.status_code == status


def test_every_answer_carries_the_security_headers(api: ApiServer) -> None:
    for path in ("/configs", "/nothing"):
        headers = api.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_operators_see_health_readiness_and_metrics(api: ApiServer) -> None:
    def at(path: str) -> requests.Response:
        return api.session.get(api.url + path, timeout=DEADLINE_S)

    assert at("/health").json()["status"] == "UP"
    assert at("/ready").json()["status"] == "UP"
    assert at("/ping").text == "pong"
    assert "tiercel_api_request_seconds" in at("/prometheus").text
    configs = api.get("/configs").json()
    assert configs["systemNamespace"] == "system"
    assert configs == api.get("/main/configs").json()


def test_a_nul_character_is_a_bad_request(api: ApiServer) -> None:
    assert api.get("/executions/a%00b").status_code == 400
    assert api.get("/executions/search?q=%00").status_code == 400


def test_a_strange_path_breaks_nothing(api: ApiServer) -> None:
    for strange in ("%00", "%2e%2e%2f", "a" * 5_000, base64.b64encode(b"\xff" * 50).decode()):
        assert api.get(f"/executions/{strange}").status_code in (400, 404)
        assert api.get(f"/flows/{strange}/{strange}").status_code in (400, 404)
