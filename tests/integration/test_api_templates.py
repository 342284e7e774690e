"""/templates over real HTTP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest
from tests.api_harness import YAML, ApiServer, api_server, flow_source

from tiercel_api.services import ApiSettings


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("templates")
    with api_server(folder, ApiSettings(templates=True)) as server:
        yield server


def stored(api: ApiServer, name: str) -> str:
    source = flow_source(name)
    assert api.post("/templates", data=source, headers=YAML).status_code == 200
    return source


def test_a_template_is_stored_read_changed_and_deleted(api: ApiServer) -> None:
    # given
    source = stored(api, "changing")
    path = "/templates/house.kitchen/changing"

    # when
    read = api.get(path)
    elsewhere = api.get(f"/main{path}")
    changed = api.call("PUT", path, data=source + "description: New\n", headers=YAML)
    again = api.post("/templates", data=source, headers=YAML)
    deleted = api.call("DELETE", path)

    # then
    assert read.json()["id"] == "changing"
    assert read.json()["tasks"]
    assert elsewhere.json() == read.json()
    assert changed.json()["description"] == "New"
    assert again.status_code == 422
    assert "Template id already exists" in again.json()["message"]
    assert deleted.status_code == 204
    assert api.get(path).status_code == 404


def test_a_template_is_no_flow(api: ApiServer) -> None:
    stored(api, "apart")

    found = api.get("/templates/search?q=apart").json()

    assert [one["id"] for one in found["results"]] == ["apart"]
    assert found["total"] == 1
    assert api.get("/flows/search?q=apart").json()["total"] == 0
    assert api.get("/flows/house.kitchen/apart").status_code == 404
    assert api.get("/templates:main/flows/house.kitchen/apart").status_code == 404
    assert api.post("/executions/house.kitchen/apart").status_code == 404
    assert "house.kitchen" not in api.get("/flows/distinct-namespaces").json()


@pytest.mark.parametrize(
    "part",
    ["inputs: [{id: name, type: STRING}]", "triggers: []", "labels: {room: kitchen}"],
)
def test_what_only_a_flow_has_is_refused(api: ApiServer, part: str) -> None:
    answer = api.post("/templates", data=flow_source("flowlike", part), headers=YAML)

    assert answer.status_code == 422
    assert part.partition(":")[0] in answer.json()["message"]


def test_a_flow_runs_the_tasks_of_a_template(api: ApiServer) -> None:
    # given
    stored(api, "ran")
    api.save_flow(
        "id: runs\nnamespace: house.cellar\ntasks:\n"
        "  - id: template\n    type: io.kestra.plugin.core.flow.Template\n"
        "    namespace: house.kitchen\n    templateId: ran\n    args: {name: Ada}\n"
    )

    # when
    execution_id = api.post("/executions/house.cellar/runs").json()["id"]
    api.call("DELETE", "/templates/house.kitchen/ran")
    job = api.work(execution_id)

    # then
    document = api.until_state(execution_id, "SUCCESS")
    assert job.task_id == "greet"
    assert [run["taskId"] for run in document["taskRunList"]] == ["template", "greet"]
    assert document["taskRunList"][0]["outputs"] == {"args": {"name": "Ada"}}


def test_an_update_under_another_name_is_refused(api: ApiServer) -> None:
    stored(api, "named")

    answer = api.call(
        "PUT", "/templates/house.kitchen/named", data=flow_source("renamed"), headers=YAML
    )

    assert answer.status_code == 422
    assert "Illegal template id update" in answer.json()["message"]


def test_without_the_setting_there_are_no_templates(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with api_server(tmp_path_factory.mktemp("disabled")) as api:
        answers = [
            api.get("/templates/search"),
            api.post("/templates", data=flow_source("off"), headers=YAML),
            api.get("/templates/house.kitchen/off"),
        ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "Templates are disabled" in answers[0].json()["message"]


def test_who_edits_one_namespace_stores_and_finds_its_templates_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    admin, editor = ("ada", "correct horse battery"), ("eve", "staple of the house")
    with api_server(tmp_path_factory.mktemp("guarded"), ApiSettings(templates=True)) as api:
        # given
        setup = {"username": admin[0], "password": admin[1], "tenant": {"id": "main", "name": "m"}}
        assert api.post("/setup", json=setup).status_code == 200
        roles = [{"role": "editor", "namespace": "house.kitchen"}]
        user = {"username": editor[0], "password": editor[1], "roles": roles}
        assert api.post("/users", json=user, auth=admin).status_code == 200
        api.session.cookies.clear()
        cellar = flow_source("theirs", namespace="house.cellar")
        assert api.post("/templates", data=cellar, headers=YAML, auth=admin).status_code == 200

        # when
        own = api.post("/templates", data=flow_source("own"), headers=YAML, auth=editor)
        answers = [
            api.post("/templates", data=cellar, headers=YAML, auth=editor),
            api.get("/templates/house.cellar/theirs", auth=editor),
            api.call("DELETE", "/templates/house.cellar/theirs", auth=editor),
        ]
        found = api.get("/templates/search", auth=editor).json()

    # then
    assert own.status_code == 200
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert [one["id"] for one in found["results"]] == ["own"]


def test_many_templates_are_exported_deleted_and_imported(api: ApiServer) -> None:
    # given
    for name in ("packed-1", "packed-2"):
        stored(api, name)
    ids = [{"namespace": "house.kitchen", "id": name} for name in ("packed-1", "packed-2")]

    # when
    archive = api.get("/templates/export/by-query?q=packed")
    same = api.post("/main/templates/export/by-ids", json=ids[:1])
    by_ids = api.call("DELETE", "/templates/delete/by-ids", json=ids[:1])
    by_query = api.call("DELETE", "/templates/delete/by-query?q=packed")
    gone = api.get("/templates/search?q=packed").json()
    imported = api.post(
        "/templates/import", files={"fileUpload": ("templates.zip", archive.content)}
    )

    # then
    assert archive.headers["Content-Disposition"] == 'attachment; filename="templates.zip"'
    with zipfile.ZipFile(io.BytesIO(same.content)) as opened:
        assert opened.namelist() == ["house.kitchen.packed-1.yml"]
    assert (by_ids.json(), by_query.json()) == ({"count": 1}, {"count": 1})
    assert gone["total"] == 0
    assert imported.status_code == 204
    assert api.get("/templates/search?q=packed").json()["total"] == 2
    assert "house.kitchen" in api.get("/templates/distinct-namespaces").json()
    assert api.call("DELETE", "/templates/delete/by-ids", json=ids[:1]).status_code == 200
    assert api.call("DELETE", "/templates/delete/by-ids", json=ids[:1]).status_code == 404


def test_a_broken_archive_of_templates_stores_none(api: ApiServer) -> None:
    both = f"{flow_source('whole')}---\nid: half\n"

    refused = api.post("/templates/import", files={"fileUpload": ("two.yml", both)})

    assert refused.status_code == 422
    assert api.get("/templates/search?q=whole").json()["total"] == 0
    checked = api.post("/templates/validate", data=both, headers=YAML).json()
    assert checked[0] == {"index": 0, "namespace": "house.kitchen", "template": "whole"}
    assert "namespace: must not be null" in checked[1]["constraints"]


def test_the_templates_of_a_namespace_are_those_of_the_body(api: ApiServer) -> None:
    task = {"id": "greet", "type": "tests.Say", "words": "hi"}
    body = [{"id": name, "namespace": "house.attic", "tasks": [task]} for name in ("one", "two")]

    first = api.post("/templates/house.attic", json=body)
    kept = api.post("/templates/house.attic?delete=false", json=body[:1])
    both = api.get("/templates/search?namespace=house.attic").json()
    api.post("/templates/house.attic", json=body[1:])

    assert [one["id"] for one in first.json()] == ["one", "two"]
    assert (kept.status_code, both["total"]) == (200, 2)
    left = api.get("/templates/search?namespace=house.attic").json()["results"]
    assert [one["id"] for one in left] == ["two"]
    assert api.post("/templates/other.place", json=body).status_code == 422
