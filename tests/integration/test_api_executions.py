"""/executions, /logs and /metrics over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from tests.api_harness import DEADLINE_S, YAML, ApiServer, api_server, flow_source

from tiercel_api.services import ApiSettings
from tiercel_engine.storage.uri import belongs_to
from tiercel_schemas.ids import make_id

GREETING = """inputs:
  - id: greeting
    type: STRING
    defaults: hey
  - id: count
    type: INT
    required: false
"""
ORDERS = """inputs:
  - id: orders
    type: FILE
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("executions"), embedded=True) as server:
        server.save_flow(flow_source("hello", GREETING + "labels:\n  room: kitchen"))
        server.save_flow(flow_source("orders", ORDERS))
        server.save_flow(flow_source("plain"))
        server.save_flow(flow_source("off", "disabled: true"))
        server.save_flow(
            flow_source("needs", "inputs:\n  - id: who\n    type: STRING\n  - {id: n, type: INT}")
        )
        yield server


def test_a_new_execution_is_answered_as_created(api: ApiServer) -> None:
    # when
    response = api.post("/executions/house.kitchen/hello?labels=k1:v1:w&labels=k2:")

    # then
    document = response.json()
    execution_id = document["id"]
    created = document["state"]["startDate"]
    assert response.status_code == 200
    assert len(execution_id) == 22
    assert document["state"].pop("duration").startswith("PT0")
    assert document == {
        "id": execution_id,
        "namespace": "house.kitchen",
        "flowId": "hello",
        "flowRevision": 1,
        "inputs": {"greeting": "hey", "count": None},
        "labels": [
            {"key": "room", "value": "kitchen"},
            {"key": "k1", "value": "v1:w"},
            {"key": "k2", "value": ""},
            {"key": "system.correlationId", "value": execution_id},
        ],
        "state": {
            "current": "CREATED",
            "histories": [{"state": "CREATED", "date": created}],
            "startDate": created,
        },
        "originalId": execution_id,
        "deleted": False,
        "metadata": {"attemptNumber": 1, "originalCreatedDate": created},
        "url": f"{api.url}/ui/executions/house.kitchen/hello/{execution_id}",
    }


def test_an_execution_can_be_read_right_after_it_was_created(api: ApiServer) -> None:
    for _ in range(20):
        created = api.post("/executions/house.kitchen/plain").json()

        read = api.get(f"/executions/{created['id']}")

        assert read.status_code == 200
        assert read.json()["labels"] == created["labels"]


def test_an_execution_runs_to_its_end(api: ApiServer) -> None:
    # given
    created = api.post("/executions/trigger/house.kitchen/plain").json()
    execution_id = created["id"]

    # when
    job = api.work(execution_id, outputs='{"value":"done"}')

    # then
    ended = api.until_state(execution_id, "SUCCESS")
    assert "endDate" in ended["state"]
    [task_run] = ended["taskRunList"]
    assert task_run["id"] == job.task_run_id
    assert task_run["outputs"] == {"value": "done"}
    lines = api.until(f"/logs/{execution_id}", lambda found: len(found) == 1)
    assert lines[0]["message"] == "welcome"
    assert lines[0]["attemptNumber"] == 0
    text = api.get(f"/main/logs/{execution_id}/download")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert text.headers["Content-Disposition"] == f'attachment; filename="{execution_id}.log"'
    assert text.text == f"{lines[0]['timestamp']} INFO welcome"
    assert api.get(f"/logs/{execution_id}?minLevel=WARN").json() == []
    metrics = api.until(f"/metrics/{execution_id}", lambda page: page["total"] == 1)
    assert metrics["results"][0]["name"] == "words"
    assert metrics["results"][0]["tags"] == {"kind": "greeting"}


def test_waiting_for_an_execution_answers_its_end(api: ApiServer) -> None:
    # given
    answers: list[requests.Response] = []

    def create_and_wait() -> None:
        with requests.Session() as session:
            answers.append(
                session.post(
                    f"{api.url}/api/v1/executions/house.kitchen/plain?wait=true&labels=w:1",
                    timeout=DEADLINE_S,
                )
            )

    waiting = threading.Thread(target=create_and_wait)
    waiting.start()
    page = api.until("/executions/search?labels=w:1", lambda found: found["total"] == 1)

    # when
    api.work(page["results"][0]["id"])
    waiting.join(DEADLINE_S)

    # then
    document = answers[0].json()
    assert document["state"]["current"] == "SUCCESS"
    assert document["taskRunList"][0]["state"]["current"] == "SUCCESS"
    assert document["url"].endswith(document["id"])


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with api_server(tmp_path, ApiSettings(wait_timeout_s=0.2)) as api:
        api.save_flow(flow_source("plain"))

        document = api.post("/executions/house.kitchen/plain?wait=true").json()

        assert document["state"]["current"] == "RUNNING"


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"greeting": (None, "hi"), "count": (None, "7")}},
        {"data": {"greeting": "hi", "count": "7"}},
    ],
    ids=["multipart", "urlencoded"],
)
def test_inputs_come_by_form(api: ApiServer, sent: dict[str, Any]) -> None:
    document = api.post("/executions/house.kitchen/hello", **sent).json()

    assert document["inputs"] == {"greeting": "hi", "count": 7}
    read = api.get(f"/executions/{document['id']}").json()
    assert read["inputs"] == {"greeting": "hi", "count": 7}


@pytest.mark.parametrize(
    ("part", "filename", "stored_as"),
    [
        ("orders", "may.csv", "may.csv"),
        ("files", "orders", "orders"),
        ("orders", "orders", "orders"),
        ("orders", "../../../etc/passwd", "passwd"),
    ],
    ids=["curl", "kestra", "kestrapy", "hostile"],
)
def test_a_file_is_stored_for_its_input(
    api: ApiServer, part: str, filename: str, stored_as: str
) -> None:
    # given
    content = b"id,price\n1,2\n" * 10

    # when
    document = api.post(
        "/executions/house.kitchen/orders", files={part: (filename, content, "text/csv")}
    ).json()

    # then
    uri = document["inputs"]["orders"]
    assert belongs_to(uri, "house.kitchen", "orders", document["id"])
    assert uri.endswith(f"/executions/{document['id']}/inputs/orders/{stored_as}")
    assert api.storage.get(uri) == content
    path = f"/executions/{document['id']}/file"
    download = api.get(path, params={"path": uri})
    assert download.content == content
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert api.get(f"{path}/metas", params={"path": uri}).json() == {"size": len(content)}


def test_a_large_file_passes_through_in_blocks(api: ApiServer) -> None:
    content = bytes(range(256)) * 20_000

    document = api.post(
        "/executions/house.kitchen/orders", files={"orders": ("big", content)}
    ).json()

    assert api.storage.get(document["inputs"]["orders"]) == content


def test_files_above_the_limit_leave_nothing_behind(tmp_path: Path) -> None:
    with api_server(tmp_path, ApiSettings(upload_bytes_max=100_000)) as api:
        api.save_flow(flow_source("orders", ORDERS))

        response = api.post(
            "/executions/house.kitchen/orders", files={"orders": ("big", b"x" * 2_000_000)}
        )

        assert response.status_code == 413
        assert list(api.storage.list("kestra:///house")) == []


def test_a_file_of_another_execution_is_asked_for_there(api: ApiServer) -> None:
    # given
    sent = {"orders": ("a.csv", b"a")}
    first = api.post("/executions/house.kitchen/orders", files=sent).json()
    second = api.post("/executions/house.kitchen/orders", files=sent).json()
    uri = first["inputs"]["orders"]

    # when
    response = api.get(f"/executions/{second['id']}/file", params={"path": uri})
    outside = api.get(f"/executions/{second['id']}/file", params={"path": "kestra:///a/b"})
    above = api.get(f"/executions/{second['id']}/file", params={"path": "kestra:///../b"})

    # then
    assert response.status_code == 302
    there = f"/api/v1/executions/{first['id']}/file?path={uri}"
    assert unquote(response.headers["Location"]) == there
    assert outside.status_code == 422
    assert outside.json()["message"].startswith("Illegal argument: Invalid prefix path")
    assert above.status_code == 422


def test_large_inputs_are_kept_out_of_the_log_and_answered_whole(api: ApiServer) -> None:
    text = "many words " * 20_000

    document = api.post("/executions/house.kitchen/hello", files={"greeting": (None, text)}).json()

    assert document["inputs"]["greeting"] == text
    read = api.get(f"/executions/{document['id']}").json()
    assert read["inputs"]["greeting"] == text


@pytest.mark.parametrize(
    ("path", "sent", "status", "message"),
    [
        ("/house.kitchen/nobody", {}, 404, "Not Found: Requested Flow is not found."),
        ("/house.kitchen/hello?revision=9", {}, 404, "Not Found: Requested Flow is not found."),
        ("/house.kitchen/off", {}, 409, "Illegal state: Requested Flow is disabled."),
        ("/house.kitchen/hello", {"json": {"greeting": "x"}}, 415, "Unsupported Media Type: "),
        ("/house.kitchen/hello?labels=nothing", {}, 422, "Illegal argument: Invalid queryString"),
        ("/house.kitchen/hello?labels=system.x:y", {}, 422, "Illegal argument: System labels"),
        ("/house.kitchen/hello?revision=x", {}, 400, "Bad Request: "),
        ("/house.kitchen/hello?kind=ODD", {}, 422, "Illegal argument: "),
        ("/house.kitchen/hello?scheduleDate=soon", {}, 422, "Illegal argument: "),
    ],
)
def test_what_cannot_be_started_is_refused(
    api: ApiServer, path: str, sent: dict[str, Any], status: int, message: str
) -> None:
    response = api.post(f"/executions{path}", **sent)

    assert response.status_code == status
    assert response.json()["message"].startswith(message)
    assert response.json()["_links"]["self"]["href"] == f"/api/v1/executions{path}"


def test_missing_and_mistyped_inputs_are_named(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/needs", files={"n": (None, "abc")})

    assert response.status_code == 422
    assert response.json()["message"].startswith(
        "Invalid entity: who: Invalid input for `who`, missing required input, but received `null`"
    )
    assert [e["path"] for e in response.json()["_embedded"]["errors"]] == ["who", "n"]


def test_inputs_can_be_checked_without_starting(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/needs/validate", files={"n": (None, "abc")})

    body = response.json()
    assert response.status_code == 200
    assert [(row["input"]["id"], row["enabled"]) for row in body["inputs"]] == [
        ("who", True),
        ("n", True),
    ]
    assert all(row["errors"] for row in body["inputs"])
    assert api.get("/executions?namespace=house.kitchen&flowId=needs").json()["total"] == 0


@pytest.mark.parametrize("execution_id", ["nope", "2grX5HqF0QMEhDJun8GvkH"])
def test_an_unknown_execution_is_not_found_at_once(api: ApiServer, execution_id: str) -> None:
    response = api.get(f"/executions/{execution_id}", timeout=2)

    assert response.status_code == 404
    assert response.json()["message"] == "Not Found"
    assert api.get(f"/logs/{execution_id}").json() == []
    assert api.call("DELETE", f"/executions/{execution_id}/kill").status_code == 404
    assert api.get(f"/executions/{execution_id}/follow").status_code == 404


def test_a_fresh_id_that_never_comes_is_not_found_in_the_end(tmp_path: Path) -> None:
    with api_server(tmp_path, ApiSettings(index_timeout_s=0.2)) as api:
        fresh = make_id(api.clock.now_us(), 7)

        assert api.get(f"/executions/{fresh}").status_code == 404


def test_killing_answers_by_its_path(api: ApiServer) -> None:
    # given
    first = api.post("/executions/house.kitchen/plain").json()["id"]
    second = api.post("/executions/house.kitchen/plain").json()["id"]

    # when
    plain = api.call("DELETE", f"/executions/{first}/kill")
    action = api.call("DELETE", f"/main/executions/{second}/actions/kill")

    # then
    assert (plain.status_code, plain.content) == (202, b"")
    assert action.status_code == 200
    assert action.json()["id"] == second
    assert action.json()["state"]["current"] in ("KILLING", "KILLED")
    api.until_state(first, "KILLED")
    again = api.call("DELETE", f"/executions/{first}/kill")
    alone = api.call("DELETE", f"/executions/{first}/kill?isOnKillCascade=false")
    assert again.status_code == 202
    assert alone.status_code == 409


def test_a_failed_execution_can_be_restarted_from_the_log(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    running = api.post(f"/executions/{execution_id}/restart")
    api.work(execution_id, state="FAILED")
    api.until_state(execution_id, "FAILED")

    # when
    restarted = api.post(f"/main/executions/{execution_id}/actions/restart")

    # then
    assert running.status_code == 409
    assert restarted.status_code == 200, restarted.text
    assert restarted.json()["metadata"]["attemptNumber"] == 2
    api.work(execution_id)
    ended = api.until_state(execution_id, "SUCCESS")
    assert [a["state"]["current"] for a in ended["taskRunList"][0]["attempts"]] == [
        "FAILED",
        "SUCCESS",
    ]
    nothing = api.post(f"/executions/{execution_id}/restart")
    assert nothing.status_code == 422
    assert nothing.json()["message"] == (
        "Illegal argument: No task found to restart execution from!"
    )


def test_the_flow_of_an_execution_tells_types_only(api: ApiServer) -> None:
    execution_id = api.post("/executions/house.kitchen/hello").json()["id"]

    flow = api.get(f"/executions/{execution_id}/flow").json()

    assert flow["tasks"] == [{"id": "greet", "type": "tests.Say"}]
    assert [definition["id"] for definition in flow["inputs"]] == ["greeting", "count"]
    assert flow == api.get("/executions/flows/house.kitchen/hello").json()


def test_executions_are_found_in_both_spellings(api: ApiServer) -> None:
    # given
    for mark in ("one", "two"):
        api.post(f"/executions/house.kitchen/hello?labels=found:{mark}")
    api.until("/executions/search?labels=found:two", lambda page: page["total"] == 1)
    api.until("/executions/search?labels=found:one", lambda page: page["total"] == 1)

    # when
    flat = api.get(
        "/executions/search?namespace=house&flowId=hello&state=CREATED&state=RUNNING"
        "&labels=found:one&timeRange=PT1H&size=5&sort=state.startDate:desc"
    ).json()
    filters = api.get(
        "/main/executions/search?filters[namespace][PREFIX]=house&filters[state][IN]=RUNNING,CREATED"
        "&filters[labels][EQUALS][found]=one"
    ).json()

    # then
    assert flat["total"] == 1
    assert [row["id"] for row in filters["results"]] == [row["id"] for row in flat["results"]]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("timeRange=P1Y", 422),
        ("timeRange=PT1H&startDate=2026-01-01T00:00:00Z", 422),
        ("startDate=yesterday", 422),
        ("filters[state][REGEX]=R.*", 422),
        ("filters[unknown][EQUALS]=x", 422),
        ("sort=secret:asc", 422),
        ("state=ODD", 400),
        ("page=0", 422),
    ],
)
def test_a_search_that_is_not_understood_is_refused(
    api: ApiServer, query: str, status: int
) -> None:
    assert api.get(f"/executions/search?{query}").status_code == status


def test_an_execution_can_wait_for_its_date(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/plain?scheduleDate=2999-01-01T00:00:00%2B01:00")

    document = response.json()
    assert document["scheduleDate"] == "2998-12-31T23:00:00Z"
    assert api.get(f"/executions/{document['id']}").json()["state"]["current"] == "CREATED"


def events(response: requests.Response) -> Iterator[tuple[str, Any]]:
    """(id, data) of each server-sent event."""
    event_id = ""
    for line in response.iter_lines():
        text = line.decode()
        if text.startswith("id: "):
            event_id = text[4:]
        elif text.startswith("data: "):
            yield event_id, json.loads(text[6:])


def test_following_an_execution_shows_it_until_its_end(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    path = f"/executions/{execution_id}/follow"

    # when
    with api.get(path, stream=True) as response:
        stream = events(response)
        first = next(stream)
        api.work(execution_id)
        rest = list(stream)

    # then
    assert response.headers["Content-Type"] == "text/event-stream"
    assert first[0] == "progress"
    assert first[1]["state"]["current"] in ("CREATED", "RUNNING")
    assert [event_id for event_id, _ in rest[:-1]] == ["progress"] * (len(rest) - 1)
    assert rest[-1][0] == "end"
    assert rest[-1][1]["state"]["current"] == "SUCCESS"
    with api.get(path, stream=True) as again:
        assert [event_id for event_id, _ in events(again)] == ["end"]


def test_following_a_log_shows_each_line_once(api: ApiServer) -> None:
    # given
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    job = api.work(execution_id)
    api.say(job, "WARN", "stored")
    api.until(f"/logs/{execution_id}", lambda found: len(found) == 2)

    # when
    with api.get(f"/logs/{execution_id}/follow?minLevel=INFO", stream=True) as response:
        stream = events(response)
        stored = [next(stream), next(stream)]
        api.say(job, "DEBUG", "too quiet")
        api.say(job, "ERROR", "live")
        live = next(stream)

    # then
    assert [data["message"] for _, data in stored] == ["welcome", "stored"]
    assert live[0] == "progress"
    assert live[1] == api.until(f"/logs/{execution_id}", lambda found: len(found) == 4)[-1]


def test_a_body_that_is_no_form_is_a_bad_request(api: ApiServer) -> None:
    response = api.post(
        "/executions/house.kitchen/hello",
        data=b"not a form",
        headers={"Content-Type": "multipart/form-data; boundary=xx"},
    )

    assert response.status_code == 400


def test_an_empty_form_is_like_no_body(api: ApiServer) -> None:
    response = api.post(
        "/executions/house.kitchen/hello",
        data=b"--xx--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=xx"},
    )

    assert response.status_code == 200
    assert response.json()["inputs"]["greeting"] == "hey"


def test_an_update_is_executed_at_once(api: ApiServer) -> None:
    api.save_flow(flow_source("fresh"))
    api.call(
        "PUT",
        "/flows/house.kitchen/fresh",
        data=flow_source("fresh", "description: new"),
        headers=YAML,
    )

    newest = api.post("/executions/house.kitchen/fresh").json()
    older = api.post("/executions/house.kitchen/fresh?revision=1").json()

    assert api.get(f"/executions/{newest['id']}").json()["flowRevision"] == 2
    assert api.get(f"/executions/{older['id']}").json()["flowRevision"] == 1
