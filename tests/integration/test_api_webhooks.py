"""Webhooks over real HTTP: who may call, what the flow sees, what the caller is answered."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source

from tiercel_api.services import ApiSettings

TYPE = "io.kestra.plugin.core.trigger.Webhook"
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
    labels: {word: "{{ trigger.body.word }}"}
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


NESTED = """inputs:
  - {id: db.host, type: STRING}
  - {id: db.port, type: INT, defaults: 5432}
triggers:
  - id: tube
    type: io.kestra.plugin.core.trigger.Webhook
    key: tube
    inputs:
      db: {host: "{{ trigger.body.host }}"}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    settings = ApiSettings(upload_bytes_max=1_000_000)
    with api_server(tmp_path_factory.mktemp("webhooks"), settings) as server:
        server.save_flow(flow_source("rings", WEBHOOK))
        server.save_flow(flow_source("off", "disabled: true\n" + WEBHOOK))
        server.save_flow(flow_source("greets"))
        server.save_flow(flow_source("nested", NESTED))
        yield server


def hooked(api: ApiServer, flow_id: str, trigger: str, body: str = "") -> str:
    """Save a flow with a webhook of these properties; the path of its calls."""
    api.save_flow(
        flow_source(flow_id, f"triggers:\n  - {{id: w, type: {TYPE}, key: k, {trigger}}}\n{body}")
    )
    return f"/executions/webhook/house.kitchen/{flow_id}/k"


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
        (b"\xff\x00", "/wA="),
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


def test_a_webhook_gives_nested_inputs_nested(api: ApiServer) -> None:
    path = "/executions/webhook/house.kitchen/nested/tube"
    started = api.post(path, json={"host": "here"}).json()
    assert started["inputs"] == {"db": {"host": "here", "port": 5432}}


def test_a_webhook_refuses_inputs_of_another_type(api: ApiServer) -> None:
    path = "/executions/webhook/house.kitchen/rings/ding-dong?needed=five"

    assert api.post(path).status_code == 422


def test_a_webhook_may_render_its_key_inputs_and_condition(api: ApiServer) -> None:
    path = "/executions/webhook/house.kitchen/rings/rings-key"

    wanted = api.post(path, json={"word": "welcome"})
    unwanted = api.post(f"{path}?quiet=1", json={"word": "welcome"})

    assert wanted.json()["inputs"]["greeting"] == "welcome"
    assert {"key": "word", "value": "welcome"} in wanted.json()["labels"]
    assert (unwanted.status_code, unwanted.content) == (204, b"")


@pytest.mark.parametrize(
    ("body", "status"),
    [({"loud": True}, 200), ({"loud": False}, 204), ({"loud": 1, "late": True}, 204)],
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


CONDITION = "{type: io.kestra.plugin.core.condition.%s, %s}"


@pytest.mark.parametrize(
    ("number", "condition", "status"),
    [
        (1, CONDITION % ("Weekend", "date: '{{ trigger.body.day }}'"), 200),
        (2, CONDITION % ("DayWeek", "date: '{{ trigger.body.day }}', dayOfWeek: MONDAY"), 204),
        (
            3,
            CONDITION
            % ("DateTimeBetween", "date: '{{ trigger.body.day }}', after: '2026-11-21T00:00:00Z'"),
            200,
        ),
        (4, CONDITION % ("PublicHoliday", "date: '{{ trigger.body.day }}', country: FR"), 204),
    ],
)
def test_a_webhook_may_have_every_condition_that_needs_no_execution(
    api: ApiServer, number: int, condition: str, status: int
) -> None:
    path = hooked(api, f"judges-{number}", f"conditions: [{condition}]")

    assert api.post(path, json={"day": "2026-11-22T12:00:00Z"}).status_code == status


@pytest.mark.parametrize(
    ("number", "trigger", "reason"),
    [
        (1, 'when: "{{ trigger.body.a.b }}"', "trigger.body"),
        (2, "conditions: [%s]" % (CONDITION % ("DayWeek", "dayOfWeek: MONDAY")), "date"),
        (3, "conditions: [%s]" % (CONDITION % ("ExecutionStatus", "in: [FAILED]")), "execution"),
    ],
)
def test_what_cannot_be_judged_starts_nothing_and_leaves_a_warning(
    api: ApiServer, number: int, trigger: str, reason: str
) -> None:
    path = hooked(api, f"stumbles-{number}", trigger)

    # when
    status = api.post(path).status_code

    # then
    assert status == 204
    search = f"/logs/search?namespace=house.kitchen&flowId=stumbles-{number}&triggerId=w"
    page = api.until(search, lambda found: found["total"] == 1)
    assert page["results"][0]["level"] == "WARN"
    assert reason in page["results"][0]["message"]
    assert api.get(f"/executions/search?flowId=stumbles-{number}").json()["total"] == 0


def test_every_key_is_compared_in_constant_time(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def compare(one: bytes, other: bytes, whole: Callable[..., bool] = hmac.compare_digest) -> bool:
        compared.append((one, other))
        return whole(one, other)

    monkeypatch.setattr("tiercel_api.routes.webhooks.hmac.compare_digest", compare)

    api.post("/executions/webhook/house.kitchen/rings/ding-dong")

    assert {one for one, _ in compared} == {b"ding-dong", b"rings-key", b"gong"}
    assert {other for _, other in compared} == {b"ding-dong"}


def test_a_stored_body_is_a_file_of_the_execution(api: ApiServer) -> None:
    path = hooked(api, "keeps", "fetchType: STORE")
    content = bytes(range(256)) * 100

    # when
    document = api.post(path, data=content).json()

    # then
    variables = document["trigger"]["variables"]
    assert "body" not in variables
    assert f"/executions/{document['id'].lower()}/trigger/w/" in variables["uri"].lower()
    assert api.storage.get(variables["uri"]) == content


def test_a_stored_body_is_bounded_and_does_not_stay_without_an_execution(api: ApiServer) -> None:
    path = hooked(
        api, "refuses", 'fetchType: STORE, when: "{{ trigger.parameters.go is defined }}"'
    )

    assert api.post(path, data=b"unwanted").status_code == 204
    assert api.post(f"{path}?go=1", data=b"x" * 1_000_001).status_code == 413
    assert not list(api.storage.list("kestra:///house/kitchen/refuses"))


def test_a_body_may_be_left_alone(api: ApiServer) -> None:
    path = hooked(api, "ignores", "fetchType: NONE")

    variables = api.post(path, json={"a": 1}).json()["trigger"]["variables"]

    assert set(variables) == {"headers", "parameters"}


def test_a_form_gives_its_files_and_fields(api: ApiServer) -> None:
    path = hooked(api, "collects", "")
    parts = [
        ("order", ("../orders.csv", b"1;2", "text/csv")),
        ("order", ("orders.csv", b"3;4", "text/csv")),
        ("note", (None, "two")),
        ("note", (None, "of them")),
    ]

    # when
    variables = api.post(path, files=parts).json()["trigger"]["variables"]

    # then
    assert variables["formFields"] == {"note": ["two", "of them"]}
    first, second = variables["parts"]
    assert (first["name"], first["contentType"], first["size"]) == ("order", "text/csv", 3)
    assert [api.storage.get(one["uri"]) for one in (first, second)] == [b"1;2", b"3;4"]
    assert first["uri"].endswith("/trigger/w/0/orders.csv")


ANSWERS = """outputs:
  - {id: words, type: STRING, value: "{{ outputs.greet.words }}"}
"""


def called(api: ApiServer, flow_id: str, path: str, state: str = "SUCCESS") -> requests.Response:
    """Call a webhook that waits, run its task meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        answer: Future[requests.Response] = pool.submit(api.post, path)
        search = f"/executions/search?flowId={flow_id}&state=RUNNING"
        page = api.until(search, lambda found: found["total"] == 1)
        api.work(page["results"][0]["id"], state, '{"words": "welcome", "code": "201"}')
        return answer.result(DEADLINE_S)


def test_a_webhook_may_wait_for_the_end(api: ApiServer) -> None:
    path = hooked(api, "waits", "wait: true", ANSWERS)

    answer = called(api, "waits", path)

    document = answer.json()
    assert answer.status_code == 200
    assert document["state"]["current"] == "SUCCESS"
    assert document["outputs"] == {"words": "welcome"}
    wanted = {"id", "namespace", "flowId", "flowRevision", "trigger", "outputs", "labels", "url"}
    assert wanted <= set(document)


def test_a_webhook_that_waits_tells_of_a_failure(api: ApiServer) -> None:
    path = hooked(api, "fails", "wait: true")

    answer = called(api, "fails", path, "FAILED")

    assert (answer.status_code, answer.json()["state"]["current"]) == (500, "FAILED")


@pytest.mark.parametrize(
    ("number", "trigger", "kind", "body", "status"),
    [
        (1, "", "application/json", b'{"words":"welcome"}', 200),
        (2, "responseContentType: text/plain", "text/plain", b"welcome", 200),
        (3, "responseCode: 202", "application/json", b'{"words":"welcome"}', 202),
        (4, 'responseCode: "{{ outputs.greet.code }}"', "application/json", b'{"words":"we', 201),
        (5, 'responseCode: "{{ outputs.greet.words }}"', "application/json", b'{"message":"', 500),
    ],
)
def test_a_webhook_may_answer_with_outputs(
    api: ApiServer, number: int, trigger: str, kind: str, body: bytes, status: int
) -> None:
    flow_id = f"answers-{number}"
    path = hooked(api, flow_id, f"wait: true, returnOutputs: true, {trigger}", ANSWERS)

    # when
    answer = called(api, flow_id, path)

    # then
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, kind)
    assert answer.content.startswith(body)


def test_a_webhook_waits_as_long_as_the_server_allows(tmp_path: Any) -> None:
    with api_server(tmp_path, ApiSettings(wait_timeout_s=0.1)) as api:
        path = hooked(api, "lasts", "wait: true, returnOutputs: true")

        answer = api.post(path)

        assert answer.status_code == 202
        assert answer.json()["state"]["current"] in ("CREATED", "RUNNING")


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ("conditions: [%s]" % (CONDITION % ("MultipleCondition", "id: m")), "MultipleCondition"),
        ("responseCode: 99", "between 200 and 599"),
        ("responseContentType: plain", "media type"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(api: ApiServer, trigger: str, reason: str) -> None:
    source = flow_source("wrong", f"triggers:\n  - {{id: w, type: {TYPE}, key: k, {trigger}}}")

    answer = api.post("/flows", data=source, headers={"Content-Type": "application/x-yaml"})

    assert answer.status_code == 422
    assert reason in answer.text
