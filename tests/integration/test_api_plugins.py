"""The catalog of types over HTTP, in both shapes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from jsonschema import Draft7Validator
from tests.api_harness import ApiServer, api_server

SAY = "tests.Say"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("plugins")) as running:
        yield running


def read(server: ApiServer, path: str) -> Any:
    response = server.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_groups_list_types_by_name_or_with_words(server: ApiServer) -> None:
    names = {group["group"]: group for group in read(server, "/plugins")}
    told = {group["group"]: group for group in read(server, "/main/plugins")}

    assert names["tests"]["tasks"] == [SAY]
    assert told["tests"]["tasks"] == [
        {
            "cls": SAY,
            "deprecated": False,
            "title": "A task with one property",
            "description": "A task with one property.",
        }
    ]
    core = names["io.kestra.plugin.core"]
    assert "io.kestra.plugin.core.trigger.Schedule" in core["triggers"]
    assert "io.kestra.plugin.core.condition.Weekend" in core["conditions"]
    assert core["taskRunners"] == ["io.kestra.plugin.core.runner.Process"]
    assert core["categories"] == ["CORE"]


def test_groups_come_in_pages_when_one_is_asked_for(server: ApiServer) -> None:
    page = read(server, "/plugins?page=1&size=1&sort=group:desc")

    assert page["total"] == 2
    assert [group["group"] for group in page["results"]] == ["tests"]
    assert server.get("/plugins?page=1&sort=license:asc").status_code == 422


def test_subgroups_follow_their_group(server: ApiServer) -> None:
    rows = read(server, "/plugins/groups/subgroups")
    names = [row.get("subGroup", row["group"]) for row in rows]

    assert names.index("io.kestra.plugin.core") < names.index("io.kestra.plugin.core.trigger")
    assert names[-1] == "tests"


@pytest.mark.parametrize("name", [SAY, "tests.OldSay"])
def test_a_type_has_a_page_under_every_name(server: ApiServer, name: str) -> None:
    page = read(server, f"/plugins/{name}")
    whole = read(server, f"/main/plugins/{name}?all=true")

    assert "A task with one property." in page["markdown"]
    assert list(page["schema"]["properties"]["properties"]) == ["words"]
    assert {"id", "type", "retry", "words"} <= whole["schema"]["properties"]["properties"].keys()
    assert "RetryPolicy" in whole["schema"]["definitions"]
    versions = read(server, f"/plugins/{name}/versions")
    assert versions["type"] == SAY
    assert read(server, f"/plugins/{name}/versions/{versions['versions'][0]}") == page


def test_conditions_and_runners_have_pages_too(server: ApiServer) -> None:
    weekend = read(server, "/plugins/io.kestra.core.models.conditions.types.WeekendCondition")
    runner = read(server, "/plugins/io.kestra.plugin.core.runner.Process")

    assert list(weekend["schema"]["properties"]["properties"]) == ["date"]
    assert "worker" in runner["markdown"]


@pytest.mark.parametrize(
    "path",
    [
        "/plugins/no.such.Type",
        "/plugins/no.such.Type/versions",
        f"/plugins/{SAY}/versions/9.9.9",
        "/plugins/icons/no.such.Type",
        "/plugins/inputs/WORDS",
        "/plugins/schemas/wishes",
        "/plugins/properties/wishes",
        "/plugins/install/1",
        "/plugins/tests/pluginUi/main.js",
    ],
)
def test_what_there_is_not_is_not_found(server: ApiServer, path: str) -> None:
    assert server.get(path).status_code == 404


def test_an_editor_gets_a_schema_that_checks(server: ApiServer) -> None:
    schema = Draft7Validator(read(server, "/plugins/schemas/flow"))
    good = {"id": "a", "namespace": "b", "tasks": [{"id": "c", "type": SAY, "words": "d"}]}

    assert schema.is_valid(good)
    assert not schema.is_valid({**good, "tasks": [{"id": "c", "type": SAY, "word": "d"}]})
    tasks = Draft7Validator(read(server, "/main/plugins/schemas/task?arrayOf=true"))
    assert tasks.is_valid(good["tasks"])
    assert not tasks.is_valid(good["tasks"][0])
    assert read(server, "/plugins/properties/flow")["properties"]["tasks"]["type"] == "array"


def test_types_of_inputs_have_pages(server: ApiServer) -> None:
    types = {row["type"]: row["cls"] for row in read(server, "/plugins/inputs")}
    page = read(server, "/plugins/inputs/select")

    assert types["SELECT"].endswith(".SelectInput")
    assert "allowCustomValue" in page["schema"]["properties"]["properties"]
    for name in types:
        read(server, f"/plugins/inputs/{name}")


def test_every_type_has_a_picture(server: ApiServer) -> None:
    icons = read(server, "/plugins/icons")
    groups = read(server, "/plugins/icons/groups")

    assert {SAY, "tests.OldSay"} <= icons.keys()
    assert {"io.kestra.plugin.core", "io.kestra.plugin.core.trigger", "tests"} <= groups.keys()
    for icon in (*icons.values(), *groups.values()):
        ElementTree.fromstring(base64.b64decode(icon["icon"]))
    assert read(server, f"/plugins/icons/{SAY}")["icon"] == icons[SAY]
    svg = server.get(f"/plugins/icons/{SAY}/icon.svg")
    assert svg.headers["Content-Type"].startswith("image/svg+xml")
    assert base64.b64encode(svg.content).decode() == icons[SAY]["icon"]


def test_triggers_are_listed_with_where_they_belong(server: ApiServer) -> None:
    found = {row["type"]: row for row in read(server, "/plugins/triggers")["results"]}

    assert found["io.kestra.plugin.core.trigger.Webhook"]["group"] == "core"


def test_types_that_are_missing_are_told_and_nothing_is_installed(server: ApiServer) -> None:
    source = f"tasks: [{{type: {SAY}}}, {{type: acme.Fly}}]\ntriggers: [{{type: acme.Wind}}]"

    told = server.post("/plugins/auto-install/detect", data=source)

    assert told.json() == {"artifacts": [], "missing": ["acme.Fly", "acme.Wind"]}
    assert server.post("/plugins/auto-install/detect", data="a: [").status_code == 422
    refused = server.post("/plugins/install", json=[])
    assert refused.status_code == 403
    assert "pip" in refused.json()["message"]
    assert server.post("/plugins/pluginUiManifest", json={}).json() == {"manifest": {}}


def test_everybody_who_is_somebody_may_look(tmp_path_factory: pytest.TempPathFactory) -> None:
    admin, cook = ("ada", "correct horse battery"), ("cem", "a pinch of salt")
    with api_server(tmp_path_factory.mktemp("plugins-roles")) as running:
        first = {"username": admin[0], "password": admin[1]}
        assert running.post("/setup", json=first).status_code == 200
        roles = [{"role": "viewer", "namespace": "house"}]
        user = {"username": cook[0], "password": cook[1], "roles": roles}
        assert running.post("/users", json=user, auth=admin).status_code == 200

        def status(path: str, method: str = "GET", auth: Any = cook) -> int:
            call = requests.request(method, f"{running.url}/api/v1{path}", auth=auth, timeout=20)
            return call.status_code

        assert status("/plugins") == 200
        assert status("/main/plugins/schemas/flow") == 200
        assert status("/plugins/install", "POST") == 403
        assert status("/plugins", auth=None) == 401
