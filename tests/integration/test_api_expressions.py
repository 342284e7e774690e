"""/executions/{id}/eval over real HTTP."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api_harness import ApiServer, api_server, flow_source

from tiercel_api.routes.expressions import EXPRESSION_BYTES_MAX
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.uri import execution_value, namespace_file
from tiercel_schemas.ids import make_id

TEXT = {"Content-Type": "text/plain"}
BODY = """variables:
  greeting: welcome
inputs:
  - id: guest
    type: STRING
    defaults: Ada
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("expressions")) as server:
        server.save_flow(flow_source("hello", BODY))
        yield server


@pytest.fixture(scope="module")
def ended(api: ApiServer) -> tuple[str, str]:
    """Ids of an ended execution and its task run."""
    execution_id = api.post("/executions/house.kitchen/hello").json()["id"]
    job = api.work(execution_id, outputs='{"value": 3}')
    api.until_state(execution_id, "SUCCESS")
    return execution_id, job.task_run_id


def test_the_old_path_answers_in_the_peers_shape(api: ApiServer, ended: tuple[str, str]) -> None:
    execution_id, task_run_id = ended

    response = api.post(
        f"/executions/{execution_id}/eval/{task_run_id}",
        data="{{ outputs.greet.value }} {{ taskrun.id }}",
        headers=TEXT,
    )

    assert response.status_code == 200
    assert response.json() == {"result": f"3 {task_run_id}"}


@pytest.mark.parametrize("prefix", ["", "/api/v1/main"])
def test_the_new_paths_see_the_execution_or_the_task_run(
    api: ApiServer, ended: tuple[str, str], prefix: str
) -> None:
    execution_id, task_run_id = ended
    path = f"{prefix}/executions/{execution_id}/actions/eval"

    whole = api.post(path, data="{{ inputs.guest }}, {{ vars.greeting }}", headers=TEXT)
    part = api.post(f"{path}/{task_run_id}", data="{{ task.type }}", headers=TEXT)

    assert whole.json() == {"result": "Ada, welcome"}
    assert part.json() == {"result": "tests.Say"}


def test_a_long_jq_program_is_stopped_and_holds_no_other_request(
    api: ApiServer, ended: tuple[str, str]
) -> None:
    path = f"/executions/{ended[0]}/actions/eval"

    with ThreadPoolExecutor(1) as beside:
        endless = "{{ [1] | jq('last(range(1000000000000))') }}"
        long = beside.submit(api.post, path, data=endless, headers=TEXT)
        short = api.post(path, data="{{ [1] | jq('last(range(10))') }}", headers=TEXT)
        was_free = not long.done()

    assert was_free
    assert short.json() == {"result": "[9]"}
    assert "time to render this expression is over" in long.result().json()["error"]


def test_an_expression_that_fails_is_an_answer(api: ApiServer, ended: tuple[str, str]) -> None:
    path = f"/executions/{ended[0]}/actions/eval"

    plain = api.post(path, data="{{ nothing }}", headers=TEXT)
    explained = api.post(f"{path}?explain=true", data="{{ nothing }}", headers=TEXT).json()

    assert plain.status_code == 200
    assert plain.json() == {
        "error": "Unable to find `nothing` used in the expression `{{ nothing }}` at line 1",
        "stackTrace": "line 1: {{ nothing }}\n           ^",
    }
    assert (explained["line"], explained["column"]) == (1, 4)
    assert {"name": "inputs.guest", "type": "string"} in explained["variables"]


def test_no_secret_comes_out_however_it_is_wrapped(
    api: ApiServer, ended: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", base64.b64encode(b"baker street").decode())
    path = f"/executions/{ended[0]}/actions/eval"

    plain = api.post(path, data="{{ secret('KEY') }}", headers=TEXT).json()
    wrapped = api.post(path, data="{{ secret('KEY') | slice(0, 2) }}", headers=TEXT).json()

    assert plain["result"] == "********"
    assert "reads no secrets" in plain["note"]
    assert wrapped["result"] == "**"


def test_pairs_can_be_read(api: ApiServer, ended: tuple[str, str]) -> None:
    KvStore(api.storage, api.clock).set("house.kitchen", "dish", {"name": "soup"})
    path = f"/executions/{ended[0]}/actions/eval"

    found = api.post(path, data="{{ kv('dish').name }}", headers=TEXT).json()
    missing = api.post(path, data="{{ kv('none') }}", headers=TEXT).json()

    assert found == {"result": "soup"}
    assert "The key 'none' does not exist" in missing["error"]


@pytest.mark.parametrize("call", ["http(uri='http://127.0.0.1')", "subflow('a.b', 'c')"])
def test_an_evaluation_does_not_reach_out(
    api: ApiServer, ended: tuple[str, str], call: str
) -> None:
    answer = api.post(
        f"/executions/{ended[0]}/actions/eval", data=f"{{{{ {call} }}}}", headers=TEXT
    )

    assert "is for tasks" in answer.json()["error"]


def test_files_of_the_execution_can_be_read_and_no_others(
    api: ApiServer, ended: tuple[str, str]
) -> None:
    own = execution_value("house.kitchen", "hello", ended[0], "notes.txt")
    other = execution_value("house.kitchen", "hello", "another", "notes.txt")
    for uri in (own, other, namespace_file("house.kitchen", "menu.txt")):
        api.storage.put(uri, b"soup")
    path = f"/executions/{ended[0]}/actions/eval"

    def answer(expression: str) -> dict[str, str]:
        result: dict[str, str] = api.post(path, data=expression, headers=TEXT).json()
        return result

    assert answer(f"{{{{ read('{own}') }}}}{{{{ read('menu.txt') }}}}") == {"result": "soupsoup"}
    assert answer(f"{{{{ fileSize('{own}') }}}}") == {"result": "4"}
    assert "didn't belong" in answer(f"{{{{ read('{other}') }}}}")["error"]


def test_error_logs_and_states_of_tasks_can_be_read(api: ApiServer) -> None:
    execution_id = api.post("/executions/house.kitchen/hello").json()["id"]
    job = api.work(execution_id, state="FAILED")
    api.say(job, "ERROR", "the oven is cold")
    api.until_state(execution_id, "FAILED")
    api.until(f"/logs/{execution_id}?minLevel=ERROR", bool)

    answer = api.post(
        f"/executions/{execution_id}/actions/eval",
        data="{{ errorLogs()[0].message }} {{ tasksWithState('FAILED')[0].taskId }}",
        headers=TEXT,
    )

    assert answer.json() == {"result": "the oven is cold greet"}


def test_a_value_in_storage_is_fetched_when_it_is_asked_for(api: ApiServer) -> None:
    # given
    guest = "A" * 100_000
    execution_id = api.post("/executions/house.kitchen/hello", files={"guest": (None, guest)})
    path = f"/executions/{execution_id.json()['id']}/actions/eval"
    api.until_state(execution_id.json()["id"], "RUNNING")

    # when
    length = api.post(f"{path}?explain=true", data="{{ inputs.guest | length }}", headers=TEXT)
    other = api.post(f"{path}?explain=true", data="{{ 1 }}", headers=TEXT)

    # then
    assert length.json()["result"] == "100000"
    shown = {row["name"]: row["type"] for row in other.json()["variables"]}
    assert shown["inputs"].endswith("bytes in storage")


def test_a_render_without_end_is_ended(api: ApiServer, ended: tuple[str, str]) -> None:
    endless = "{% for a in 1..9999 %}{% for b in 1..9999 %}{% endfor %}{% endfor %}"

    answer = api.post(f"/executions/{ended[0]}/actions/eval", data=endless, headers=TEXT)

    assert re.search(r"Expected at most \d+ steps|time .* is over", answer.json()["error"])


def test_what_is_not_there_is_not_found(api: ApiServer, ended: tuple[str, str]) -> None:
    unknown = make_id(1, 1)

    assert (
        api.post(f"/executions/{unknown}/actions/eval", data="x", headers=TEXT).status_code == 404
    )
    known = api.post(f"/executions/{ended[0]}/eval/{unknown}", data="x", headers=TEXT)
    assert known.status_code == 404


def test_bodies_that_are_no_expression_are_refused(api: ApiServer, ended: tuple[str, str]) -> None:
    path = f"/executions/{ended[0]}/actions/eval"
    large = b"x" * (EXPRESSION_BYTES_MAX + 1)

    as_json = api.post(path, data=json.dumps("x"), headers={"Content-Type": "application/json"})
    assert as_json.status_code == 415
    assert api.post(path, data=large, headers=TEXT).status_code == 413
    assert api.post(path, data=b"\xff", headers=TEXT).status_code == 400
