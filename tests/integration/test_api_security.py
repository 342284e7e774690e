"""Users, tokens, sessions and roles against a running server: who gets in, and who does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.api_harness import YAML, ApiServer, api_server, flow_source

ADMIN = ("ada", "correct horse battery")
HOUSE = ("hal", "open the pod bay")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with an administrator, and somebody who edits `house.kitchen` alone."""
    with api_server(tmp_path_factory.mktemp("security")) as running:
        assert running.get("/setup").json() == {"done": False}
        body = {"username": ADMIN[0], "password": ADMIN[1], "tenant": {"id": "main", "name": "m"}}
        assert running.post("/setup", json=body).status_code == 200
        user = {
            "username": HOUSE[0],
            "password": HOUSE[1],
            "roles": [{"role": "editor", "namespace": "house.kitchen"}],
        }
        assert running.post("/users", json=user, auth=ADMIN).status_code == 200
        yield running


@pytest.fixture(autouse=True)
def _without_cookies(server: ApiServer) -> None:
    server.session.cookies.clear()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def new_token(server: ApiServer, auth: tuple[str, str] = ADMIN, **fields: Any) -> dict[str, Any]:
    response = server.post("/me/api-tokens", json={"name": "ci", **fields}, auth=auth)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def test_there_is_one_first_user_only(server: ApiServer) -> None:
    body = {"username": "eve", "password": "long enough"}
    assert server.get("/setup").json() == {"done": True}
    assert server.post("/setup", json=body).status_code == 405


def test_nobody_gets_in_without_saying_who(server: ApiServer) -> None:
    for method, path in (("GET", "/flows/search"), ("POST", "/executions/house.kitchen/x")):
        response = server.call(method, path)
        assert response.status_code == 401
        assert "Log in" in response.json()["message"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/ping"])
def test_whether_it_is_up_anybody_may_ask(server: ApiServer, path: str) -> None:
    assert requests.get(server.url + path, timeout=20).status_code in (200, 503)


@pytest.mark.parametrize(
    "auth", [("ada", "wrong"), ("nobody", "correct horse battery"), ("", ""), HOUSE[::-1]]
)
def test_wrong_credentials_are_refused(server: ApiServer, auth: tuple[str, str]) -> None:
    assert server.get("/flows/search", auth=auth).status_code == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic YWRh", "Bearer", "Bearer x", "Bearer tiercel_a_b", "x"]
)
def test_headers_that_mean_nothing_are_refused(server: ApiServer, header: str) -> None:
    response = server.get("/flows/search", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_token_works_until_it_is_revoked_and_is_never_shown_again(server: ApiServer) -> None:
    token = new_token(server)
    assert server.get("/me", headers=bearer(token["fullToken"])).json()["username"] == ADMIN[0]
    listed = server.get("/me/api-tokens", auth=ADMIN)
    assert token["fullToken"] not in listed.text
    assert token["id"] in [row["id"] for row in listed.json()["results"]]

    assert server.call("DELETE", f"/me/api-tokens/{token['id']}", auth=ADMIN).status_code == 204
    assert server.get("/me", headers=bearer(token["fullToken"])).status_code == 401


def test_an_expired_token_is_refused(server: ApiServer) -> None:
    token = new_token(server, maxAge="PT0S")
    assert server.get("/me", headers=bearer(token["fullToken"])).status_code == 401


def test_a_token_with_fewer_rights_than_its_owner_has_those_alone(server: ApiServer) -> None:
    viewer = bearer(new_token(server, roles=[{"role": "viewer"}])["fullToken"])
    assert server.get("/flows/search", headers=viewer).status_code == 200
    source = flow_source("by-viewer").encode()
    assert server.post("/flows", data=source, headers={**YAML, **viewer}).status_code == 403


def test_a_session_needs_the_token_of_its_page_for_changes(server: ApiServer) -> None:
    # given: what a client does to log in
    session = requests.Session()
    credentials = {"username": ADMIN[0], "password": ADMIN[1]}
    answer = session.post(f"{server.url}/login", json=credentials, timeout=20)
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    page = session.get(f"{server.url}/ui/", timeout=20).text
    csrf_token = page.partition('name="csrf-token" content="')[2].partition('"')[0]

    # when, then
    tokens = f"{server.url}/api/v1/me/api-tokens"
    assert session.get(tokens, timeout=20).status_code == 200
    for headers in ({}, {"X-CSRF-TOKEN": "x"}):
        refused = session.post(tokens, json={"name": "a"}, headers=headers, timeout=20)
        assert refused.status_code == 403
    done = session.post(
        tokens, json={"name": "a"}, headers={"X-CSRF-TOKEN": csrf_token}, timeout=20
    )
    assert done.status_code == 200


def test_a_changed_password_ends_sessions(server: ApiServer) -> None:
    body = {"username": "pat", "password": "first password", "roles": [{"role": "viewer"}]}
    assert server.post("/users", json=body, auth=ADMIN).status_code == 200
    session = requests.Session()
    session.post(f"{server.url}/login", json=body, timeout=20)
    assert session.get(f"{server.url}/api/v1/me", timeout=20).status_code == 200

    change = {"oldPassword": "first password", "newPassword": "second password"}
    answer = server.call("PUT", "/me/password", json=change, auth=("pat", "first password"))
    assert answer.status_code == 204
    assert session.get(f"{server.url}/api/v1/me", timeout=20).status_code == 401
    assert server.get("/me", auth=("pat", "first password")).status_code == 401
    assert server.get("/me", auth=("pat", "second password")).status_code == 200


def test_a_role_ends_at_its_namespace(server: ApiServer) -> None:
    mine = flow_source("mine", namespace="house.kitchen.stove").encode()
    theirs = flow_source("theirs", namespace="office").encode()
    assert server.post("/flows", data=mine, headers=YAML, auth=HOUSE).status_code == 200
    assert server.post("/flows", data=theirs, headers=YAML, auth=HOUSE).status_code == 403
    assert server.post("/flows", data=theirs, headers=YAML, auth=ADMIN).status_code == 200

    assert server.get("/flows/house.kitchen.stove/mine", auth=HOUSE).status_code == 200
    assert server.get("/flows/office/theirs", auth=HOUSE).status_code == 403
    assert server.post("/executions/office/theirs", auth=HOUSE).status_code == 403
    assert server.get("/users", auth=HOUSE).status_code == 403
    assert server.get("/auditlogs/search", auth=HOUSE).status_code == 403


def test_a_namespace_called_webhook_opens_no_door(server: ApiServer) -> None:
    source = flow_source("setup", namespace="webhook").encode()
    assert server.post("/flows", data=source, headers=YAML, auth=ADMIN).status_code == 200
    for path in ("/executions/webhook/setup", "/executions/webhook/setup/validate"):
        assert server.post(path).status_code == 401
    assert server.get("/flows/webhook/setup").status_code == 401


def test_a_purge_says_what_it_does_not_take(server: ApiServer) -> None:
    date = "endDate=2020-01-01T00:00:00Z"
    for query in (
        f"{date}&namespace=house.kitchen&q=x",
        f"{date}&namespace=house.kitchen&filters[namespace][prefix]=office",
        "namespace=house.kitchen",
    ):
        for kind in ("logs", "metrics"):
            answer = server.call("DELETE", f"/{kind}/by-query?{query}", auth=HOUSE)
            assert answer.status_code == 422, (query, answer.text)
    levels = server.call("DELETE", f"/logs/by-query?{date}&logLevels=LOUD", auth=ADMIN)
    assert levels.status_code == 422


def test_keys_of_namespaces_above_ones_own_are_not_shown(server: ApiServer) -> None:
    for namespace in ("house", "house.kitchen", "house.kitchen.stove"):
        path = f"/namespaces/{namespace}/kv/of-{namespace.replace('.', '-')}"
        assert server.call("PUT", path, data="1", auth=ADMIN).status_code == 200

    def keys(auth: tuple[str, str]) -> list[str]:
        found = server.get("/namespaces/house.kitchen.stove/kv/inheritance", auth=auth)
        assert found.status_code == 200
        return [entry["key"] for entry in found.json()]

    own = ["of-house-kitchen", "of-house-kitchen-stove"]
    assert keys(ADMIN) == ["of-house", *own]
    assert keys(HOUSE) == own


def test_another_namespace_s_execution_is_not_shown(server: ApiServer) -> None:
    source = flow_source("secretive", namespace="office").encode()
    server.post("/flows", data=source, headers=YAML, auth=ADMIN)
    execution = server.post("/executions/office/secretive", auth=ADMIN).json()
    for path in ("", "/flow", "/follow", "/file?path=kestra:///x"):
        assert server.get(f"/executions/{execution['id']}{path}", auth=HOUSE).status_code == 403
    for path in ("restart", "actions/eval"):
        answer = server.post(f"/executions/{execution['id']}/{path}", data="x", auth=HOUSE)
        assert answer.status_code == 403
    assert server.get(f"/logs/{execution['id']}", auth=HOUSE).status_code == 403


def test_what_was_asked_for_stands_in_the_audit_log(server: ApiServer) -> None:
    source = flow_source("audited", namespace="office").encode()
    server.post("/flows", data=source, headers=YAML, auth=HOUSE)
    server.post("/flows", data=source, headers=YAML, auth=ADMIN)
    rows = server.get("/auditlogs/search?size=100", auth=ADMIN).json()["results"]
    found = [(r["userId"], r["status"]) for r in rows if r["path"] == "/api/v1/flows"]
    assert (HOUSE[0], 403) in found
    assert (ADMIN[0], 200) in found
    assert ADMIN[1] not in str(rows)


def test_the_last_administrator_cannot_leave(server: ApiServer) -> None:
    answer = server.call("DELETE", f"/users/{ADMIN[0]}", auth=ADMIN)
    assert answer.status_code == 409
    assert "administrator" in answer.json()["message"]


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    with api_server(tmp_path) as server:
        server.post("/setup", json={"username": ADMIN[0], "password": ADMIN[1]})
        source = flow_source("hooked", "triggers:\n  - {id: w, type: WEBHOOK, key: right-key}")
        source = source.replace("WEBHOOK", "io.kestra.plugin.core.trigger.Webhook")
        server.post("/flows", data=source.encode(), headers=YAML, auth=ADMIN)
        hook = "/executions/webhook/house.kitchen/hooked"
        assert server.post(f"{hook}/right-key").status_code == 200

        answers = [server.post(f"{hook}/wrong-{n}").status_code for n in range(30)]
        assert set(answers) == {404, 429}
        assert answers[-1] == 429
        assert server.post(f"{hook}/right-key").status_code == 429
        login = {"username": ADMIN[0], "password": ADMIN[1]}
        assert requests.post(f"{server.url}/login", json=login, timeout=20).status_code == 429
