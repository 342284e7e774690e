"""/flows over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api_harness import YAML, ApiServer, api_server, flow_source


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("flows")) as server:
        yield server


def test_a_flow_that_was_stored_is_answered_with_its_source(api: ApiServer) -> None:
    # given
    source = flow_source("stored", "labels:\n  room: kitchen\ndescription: A greeting")

    # when
    created = api.post("/flows", data=source, headers=YAML)
    read = api.get("/flows/house.kitchen/stored?source=true")
    bare = api.get("/flows/house.kitchen/stored")

    # then
    assert created.status_code == 200
    assert created.headers["Content-Type"] == "application/json"
    document = created.json()
    assert document["id"] == "stored"
    assert document["revision"] == 1
    assert document["labels"] == [{"key": "room", "value": "kitchen"}]
    assert document["source"] == source
    assert document["disabled"] is False
    assert document["deleted"] is False
    assert read.json() == document
    assert bare.json() == {k: v for k, v in document.items() if k != "source"}


def test_a_flow_is_there_for_both_prefixes(api: ApiServer) -> None:
    api.post("/main/flows", data=flow_source("both"), headers=YAML)

    assert api.get("/flows/house.kitchen/both").status_code == 200
    assert api.get("/main/flows/house.kitchen/both").status_code == 200


def test_a_flow_that_exists_cannot_be_created_again(api: ApiServer) -> None:
    api.save_flow(flow_source("twice"))

    response = api.post("/flows", data=flow_source("twice"), headers=YAML)

    assert response.status_code == 422
    assert response.json() == {
        "message": "Invalid entity: flow.id: Flow id already exists",
        "logref": None,
        "path": None,
        "_links": {
            "self": {
                "href": "/api/v1/flows",
                "templated": False,
                "profile": None,
                "deprecation": None,
                "title": None,
                "hreflang": None,
                "type": None,
                "name": None,
            }
        },
        "_embedded": {
            "errors": [
                {
                    "message": "Flow id already exists",
                    "logref": None,
                    "path": "flow.id",
                    "_links": {},
                    "_embedded": {},
                }
            ]
        },
    }


def test_an_update_makes_the_next_revision_and_the_same_source_none(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("grows"))
    changed = flow_source("grows", "description: more of it")
    path = "/flows/house.kitchen/grows"

    # when
    first = api.call("PUT", path, data=changed, headers=YAML)
    again = api.call("PUT", path, data=changed, headers=YAML)

    # then
    assert first.json()["revision"] == 2
    assert again.json() == first.json()
    assert api.get(f"{path}?revision=1").json()["revision"] == 1
    assert [f["revision"] for f in api.get(f"{path}/revisions").json()] == [1, 2]
    assert api.get(f"{path}?revision=9").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/flows/house.kitchen/nobody", 404),
        ("/flows/house.kitchen/moves", 422),
        ("/flows/house.cellar/moves", 404),
    ],
)
def test_an_update_must_name_the_flow_of_its_path(api: ApiServer, path: str, status: int) -> None:
    if api.get("/flows/house.kitchen/moves").status_code == 404:
        api.save_flow(flow_source("moves"))

    response = api.call("PUT", path, data=flow_source("other"), headers=YAML)

    assert response.status_code == status


def test_a_deleted_flow_is_gone_but_can_be_read_and_come_back(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("leaves"))
    path = "/flows/house.kitchen/leaves"

    # when
    deleted = api.call("DELETE", path)

    # then
    assert deleted.status_code == 204
    assert deleted.content == b""
    assert api.get(path).status_code == 404
    assert api.call("DELETE", path).status_code == 404
    tombstone = api.get(f"{path}?allowDeleted=true").json()
    assert tombstone["deleted"] is True
    assert tombstone["revision"] == 2
    assert api.save_flow(flow_source("leaves"))["revision"] == 3


def test_a_task_of_a_flow_can_be_read(api: ApiServer) -> None:
    api.save_flow(flow_source("parts"))

    task = api.get("/flows/house.kitchen/parts/tasks/greet")

    assert task.json() == {"id": "greet", "type": "tests.Say", "words": "welcome"}
    assert api.get("/flows/house.kitchen/parts/tasks/nothing").status_code == 404


def test_flows_are_found_by_text_namespace_and_label(api: ApiServer) -> None:
    # given
    for name in ("needle-1", "needle-2", "needle-3"):
        body = f"labels:\n  pin: {name}"
        api.save_flow(flow_source(name, body, namespace="hay.stack"))

    # when
    page = api.get("/flows/search?q=needle&size=2&page=1&sort=id:desc").json()
    labelled = api.get("/flows/search?labels=pin:needle-2").json()
    below = api.get("/flows/search?namespace=hay").json()
    filtered = api.get("/main/flows/search?filters[namespace][EQUALS]=hay").json()
    listed = api.get("/flows/hay.stack").json()

    # then
    assert page["total"] == 3
    assert [f["id"] for f in page["results"]] == ["needle-3", "needle-2"]
    assert [f["id"] for f in labelled["results"]] == ["needle-2"]
    assert below["total"] == 3
    assert filtered == {"results": [], "total": 0}
    assert [f["id"] for f in listed] == ["needle-1", "needle-2", "needle-3"]
    assert "hay.stack" in api.get("/flows/distinct-namespaces?q=HAY").json()


@pytest.mark.parametrize("query", ["page=0", "size=0", "sort=id", "sort=nothing:asc", "size=99999"])
def test_a_page_that_cannot_be_is_refused(api: ApiServer, query: str) -> None:
    assert api.get(f"/flows/search?{query}").status_code == 422


def test_validation_tells_about_every_document(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("known"))
    good = "revision: 7\n" + flow_source("known").replace("tests.Say", "tests.OldSay")
    bad = "id: bad\nnamespace: house\ntasks:\n  - id: a\n    type: tests.Nothing\n"

    # when
    response = api.post("/flows/validate", data=f"{good}---\n{bad}", headers=YAML)

    # then
    assert response.status_code == 200
    assert response.json() == [
        {
            "flow": "known",
            "namespace": "house.kitchen",
            "index": 0,
            "outdated": True,
            "deprecationPaths": [],
            "warnings": [],
            "infos": ["tests.OldSay is replaced by tests.Say"],
        },
        {"index": 1, "constraints": "Invalid type: tests.Nothing", "outdated": False},
    ]


@pytest.mark.parametrize(("revision", "is_outdated"), [(1, True), (2, True), (3, False), (4, True)])
def test_a_deleted_flow_counts_for_the_revision_that_comes_next(
    api: ApiServer, revision: int, is_outdated: bool
) -> None:
    name = f"gone-{revision}"
    api.save_flow(flow_source(name))
    api.call("DELETE", f"/flows/house.kitchen/{name}")

    (told,) = api.post(
        "/flows/validate", data=f"revision: {revision}\n{flow_source(name)}", headers=YAML
    ).json()

    assert told["outdated"] is is_outdated


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("id: a\ntype: tests.Say\n", {"deprecationPaths": [], "warnings": [], "infos": []}),
        ("{id: a, type: tests.OldSay}", {"infos": ["tests.OldSay is replaced by tests.Say"]}),
        ("type: tests.Say\n", {"constraints": "id: must not be null\nid: must not be blank"}),
        ("id: a\ntype: tests.Nothing\n", {"constraints": "Invalid type: tests.Nothing"}),
        ("- a\n", {"constraints": "Expected a task, but it was no map."}),
        ("", {"constraints": "Expected a task, but it was no map."}),
    ],
)
def test_one_task_is_validated_by_itself(api: ApiServer, body: str, told: dict[str, Any]) -> None:
    response = api.post("/flows/validate/task?section=TASKS", data=body, headers=YAML)

    assert response.status_code == 200
    assert response.json() == response.json() | {"index": 0} | told


def test_what_does_not_read_is_told_by_its_own_lines(api: ApiServer) -> None:
    answer = api.post("/flows/validate/task", data="id: a\ntype: [1\n", headers=YAML).json()

    assert "line: 2" in answer["constraints"] or "line: 3" in answer["constraints"]


def test_a_flow_may_be_sent_as_json(api: ApiServer) -> None:
    document = {
        "id": "from-json",
        "namespace": "house",
        "tasks": [{"id": "greet", "type": "tests.Say", "words": "hi"}],
    }

    stored = api.post("/flows", json=document)

    assert stored.status_code == 200
    assert stored.json()["tasks"] == document["tasks"]
    assert stored.json()["source"].startswith("id: from-json\n")


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(f'*{chr(97 + i)}' for _ in range(9))}]\n"
    for i in range(8)
)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"id: [x\n  foo: :", "Invalid entity: "),
        (b"id: bad\nnamespace: house\n", "Invalid entity: tasks: must not be empty\n"),
        (flow_source("bad", "foo: 1").encode(), 'Invalid entity: Unrecognized field "foo"'),
        (_BOMB.encode(), "Invalid entity: Illegal flow yaml: Expected at most 200000 values"),
        (b"[" * 5_000, "Invalid entity: Illegal flow yaml: Expected at most 100 levels"),
        (b"\xff\xfe\x00", "Invalid entity: yaml: Expected UTF-8 text"),
        (b"", "Invalid entity: "),
    ],
    ids=["broken", "no-tasks", "unknown-property", "anchor-bomb", "deep", "bytes", "empty"],
)
def test_what_is_no_flow_is_refused_with_its_reason(
    api: ApiServer, source: bytes, message: str
) -> None:
    response = api.post("/flows", data=source, headers=YAML)

    assert response.status_code == 422
    assert response.json()["message"].startswith(message)
    assert response.json()["_embedded"]["errors"]


def test_a_source_above_the_limit_is_refused_before_it_is_read(api: ApiServer) -> None:
    response = api.post("/flows", data=b"# much\n" * 1_500_000, headers=YAML)

    assert response.status_code == 413
    assert response.json()["message"].startswith("Request Entity Too Large: ")


def test_a_source_of_unknown_length_is_bounded_too(api: ApiServer) -> None:
    response = api.post("/flows", data=(b"# much\n" * 1_000 for _ in range(1_000)), headers=YAML)

    assert response.status_code == 413


def test_a_flow_is_no_form(api: ApiServer) -> None:
    response = api.post("/flows", data={"id": "x"})

    assert response.status_code == 415
    assert response.json()["message"].startswith("Unsupported Media Type: Content Type [")
