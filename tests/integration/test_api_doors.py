"""Webhooks, the client on PyPI, and what every answer has in common."""

from __future__ import annotations

import base64
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source

WEBHOOK = """inputs:
  - id: greeting
    type: STRING
    defaults: hey
  - id: needed
    type: INT
triggers:
  - id: bell
    type: io.kestra.core.models.triggers.types.Webhook
    key: ding-dong
  - id: chime
    type: io.kestra.plugin.core.trigger.Webhook
    key: "{{ flow.id }}-key"
    inputs:
      greeting: "{{ trigger.body.word }}"
    when: "{{ trigger.parameters.quiet is not defined }}"
  - id: gong
    type: io.kestra.plugin.core.trigger.Webhook
    key: gong
    conditions:
      - type: io.kestra.core.models.conditions.types.VariableCondition
        expression: "{{ trigger.body.loud }}"
      - type: io.kestra.plugin.core.condition.Not
        conditions:
          - type: io.kestra.plugin.core.condition.Expression
            expression: "{{ trigger.body.late ?? false }}"
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("doors")) as server:
        server.save_flow(flow_source("rings", WEBHOOK))
        server.save_flow(flow_source("off", "disabled: true\n" + WEBHOOK))
        server.save_flow(flow_source("greets", "inputs:\n  - {id: greeting, type: STRING}"))
        server.save_flow(flow_source("reads", "inputs:\n  - {id: myfile, type: FILE}"))
        yield server


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_webhook_starts_an_execution(api: ApiServer, method: str) -> None:
    # when
    response = api.call(
        method,
        "/executions/webhook/house.kitchen/rings/ding-dong/and/more?a=1&a=2",
        json={"order": [1, 2]},
        headers={"X-Shop": "corner"},
    )

    # then
    document = response.json()
    assert response.status_code == 200
    assert document["state"]["current"] == "CREATED"
    trigger = document["trigger"]
    assert trigger["id"] == "bell"
    assert trigger["type"] == "io.kestra.core.models.triggers.types.Webhook"
    assert trigger["variables"]["body"] == {"order": [1, 2]}
    assert trigger["variables"]["headers"]["X-Shop"] == ["corner"]
    assert trigger["variables"]["parameters"] == {"a": ["1", "2"]}
    assert trigger["variables"]["path"] == "and/more"
    assert document["inputs"] == {"greeting": "hey"}
    assert api.get(f"/executions/{document['id']}").json()["trigger"] == trigger


def test_a_webhook_key_may_be_a_secret(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_BELL", base64.b64encode(b"tinkle").decode())
    key = "{{ secret('BELL') }}"
    trigger = "triggers:\n  - id: bell\n    type: io.kestra.plugin.core.trigger.Webhook"
    api.save_flow(flow_source("guarded", f'{trigger}\n    key: "{key}"'))
    path = "/executions/webhook/house.kitchen/guarded"

    assert api.get(f"{path}/tinkle").status_code == 200
    assert api.get(f"{path}/clang").status_code == 404
    monkeypatch.delenv("SECRET_BELL")
    assert api.get(f"{path}/tinkle").status_code == 404


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"just text", "just text"),
        (b'"quoted"', '"quoted"'),
        (b"[1]", [1]),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_webhook_body_is_json_or_text(api: ApiServer, body: bytes, seen: Any) -> None:
    path = "/executions/webhook/house.kitchen/rings/ding-dong"

    document = api.post(path, data=body).json()

    assert document["trigger"]["variables"]["body"] == seen


def test_a_webhook_without_a_body_has_none(api: ApiServer) -> None:
    document = api.get("/executions/webhook/house.kitchen/rings/ding-dong").json()

    assert "body" not in document["trigger"]["variables"]


@pytest.mark.parametrize(
    "query", ["greeting=hi&needed=5", "inputs=greeting:hi&inputs=needed:5",
              'inputs={"greeting":"hi","needed":5}']
)  # fmt: skip
def test_a_webhook_takes_inputs_from_its_query(api: ApiServer, query: str) -> None:
    path = f"/executions/webhook/house.kitchen/rings/ding-dong?{query}"

    assert api.post(path).json()["inputs"] == {"greeting": "hi", "needed": 5}


def test_a_webhook_refuses_inputs_of_another_type(api: ApiServer) -> None:
    path = "/executions/webhook/house.kitchen/rings/ding-dong?needed=five"

    assert api.post(path).status_code == 422


def test_a_webhook_may_render_its_key_inputs_and_condition(api: ApiServer) -> None:
    path = "/executions/webhook/house.kitchen/rings/rings-key"

    wanted = api.post(path, json={"word": "welcome"})
    unwanted = api.post(f"{path}?quiet=1", json={"word": "welcome"})

    assert wanted.json()["inputs"]["greeting"] == "welcome"
    assert (unwanted.status_code, unwanted.content) == (204, b"")


@pytest.mark.parametrize(
    ("body", "status"),
    [({"loud": True}, 200), ({"loud": False}, 204), ({"loud": 1, "late": True}, 204), ({}, 422)],
)
def test_a_webhook_asks_its_conditions(api: ApiServer, body: Any, status: int) -> None:
    response = api.post("/executions/webhook/house.kitchen/rings/gong", json=body)

    assert response.status_code == status


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("house.kitchen/rings/wrong", 404, "Not Found: Webhook not found"),
        ("house.kitchen/greets/ding-dong", 404, "Not Found: Webhook not found"),
        ("house.kitchen/nobody/ding-dong", 404, "Not Found: Flow not found"),
        ("house.kitchen/off/ding-dong", 409, "Illegal state: Requested Flow is disabled."),
    ],
)
def test_a_webhook_that_is_none_is_refused(
    api: ApiServer, path: str, status: int, message: str
) -> None:
    response = api.post(f"/executions/webhook/{path}")

    assert response.status_code == status
    assert response.json()["message"] == message


def test_a_webhook_body_is_bounded(api: ApiServer) -> None:
    response = api.post("/executions/webhook/house.kitchen/rings/ding-dong", data=b"x" * 5_000_000)

    assert response.status_code == 413


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
