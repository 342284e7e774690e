"""/executions, /logs and /metrics over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tests.api_harness import DEADLINE_S, YAML, ApiServer, api_server, flow_source

from tiercel_api.services import ApiSettings
from tiercel_schemas.ids import make_id

GREETING = """inputs:
  - id: greeting
    type: STRING
    defaults: hey
  - id: count
    type: INT
    required: false
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("executions"), embedded=True) as server:
        server.save_flow(flow_source("hello", GREETING + "labels:\n  room: kitchen"))
        server.save_flow(flow_source("plain"))
        yield server


def test_a_new_execution_is_answered_as_created(api: ApiServer) -> None:
    # when
    response = api.post("/executions/house.kitchen/hello?labels=k1:v1:w&labels=k2:v2")

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
            {"key": "k2", "value": "v2"},
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


@pytest.mark.parametrize("label", [":value", "key:", "key", "system.mine:1"])
def test_a_label_needs_a_key_and_a_value_of_its_user(api: ApiServer, label: str) -> None:
    assert api.post(f"/executions/house.kitchen/hello?labels={label}").status_code == 422


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
    state = restarted.json()["state"]
    assert [h["state"] for h in state["histories"]] == ["CREATED", "RUNNING", "FAILED", "RESTARTED"]
    assert state["current"] == "RESTARTED"
    assert "endDate" not in state
    (run,) = restarted.json()["taskRunList"]
    assert run["state"]["current"] == "RESTARTED"
    assert len(run["attempts"]) == 1
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


def test_what_can_be_executed_is_listed_by_namespace(api: ApiServer) -> None:
    namespaces = api.get("/executions/namespaces").json()
    flows = api.get("/executions/namespaces/house.kitchen/flows").json()

    assert namespaces == ["house.kitchen"]
    assert {"hello", "plain"} <= {flow["id"] for flow in flows}
    assert all("words" not in task for flow in flows for task in flow["tasks"])


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
        ("taskId=greet", 422),
        ("filters[flowId][REGEX]=(", 422),
    ],
)
def test_a_search_that_is_not_understood_is_refused(
    api: ApiServer, query: str, status: int
) -> None:
    assert api.get(f"/executions/search?{query}").status_code == status


def test_a_page_is_as_large_as_its_generation_allows(api: ApiServer) -> None:
    assert api.get("/executions/search?size=1001").status_code == 200
    assert api.get("/main/executions/search?size=1000").status_code == 200
    assert api.get("/main/executions/search?size=1001").status_code == 422


def test_an_execution_can_wait_for_its_date(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/plain?scheduleDate=2999-01-01T00:00:00%2B01:00")

    document = response.json()
    assert document["scheduleDate"] == "2998-12-31T23:00:00Z"
    assert api.get(f"/executions/{document['id']}").json()["state"]["current"] == "CREATED"


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
