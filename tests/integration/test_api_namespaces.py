"""Key-value pairs and files of namespaces over HTTP, under both prefixes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import ApiServer, api_server, flow_source

from tiercel_engine.storage.kv import KvStore


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("namespaces")) as server:
        yield server


def put(api: ApiServer, key: str, body: str, namespace: str = "acme", **headers: str) -> int:
    headers = {"Content-Type": "text/plain", **headers}
    path = f"/namespaces/{namespace}/kv/{key}"
    return api.call("PUT", path, data=body.encode(), headers=headers).status_code


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ('"text"', "STRING", "text"),
        ("12.5", "NUMBER", 12.5),
        ("true", "BOOLEAN", True),
        ("2024-01-01T00:00:00Z", "DATETIME", "2024-01-01T00:00:00Z"),
        ("2024-01-01", "DATE", "2024-01-01"),
        ('"PT5M"', "DURATION", "PT5M"),
        ('{"a": [1]}', "JSON", {"a": [1]}),
    ],
)
def test_a_value_keeps_its_type(api: ApiServer, body: str, kind: str, value: Any) -> None:
    assert put(api, "typed", body) == 200
    answer = api.call("GET", "/namespaces/acme/kv/typed").json()
    assert (answer["type"], answer["value"]) == (kind, value)
    assert answer["revision"] >= 1


@pytest.mark.parametrize(("key", "body"), [("k", "hello"), ("k", ""), ("k", "{"), ("-k", "1")])
def test_what_is_no_pair_is_refused(api: ApiServer, key: str, body: str) -> None:
    assert put(api, key, body) == 422


def test_a_missing_pair_is_not_found_and_an_expired_one_gone(api: ApiServer) -> None:
    assert api.call("GET", "/namespaces/acme/kv/none").status_code == 404
    assert put(api, "brief", "1", ttl="PT1H", description="short lived") == 200
    (entry,) = [e for e in api.call("GET", "/namespaces/acme/kv").json() if e["key"] == "brief"]
    assert entry["description"] == "short lived"
    assert entry["expirationDate"] > entry["updateDate"]
    KvStore(api.storage, api.clock).set("acme", "over", 1, ttl_s=-1)
    gone = api.call("GET", "/namespaces/acme/kv/over")
    assert gone.status_code == 410
    assert gone.json()["message"].startswith("Resource has expired: ")


def test_what_a_key_was_is_read_by_its_revision(api: ApiServer) -> None:
    place = "/namespaces/acme/kv/tasted"
    for value in ("1", '"sweet"'):
        assert api.call("PUT", place, data=value).status_code == 200
    found = api.call("GET", f"{place}/revisions").json()
    assert [entry["revision"] for entry in found] == [1, 2]
    values = [api.call("GET", f"{place}?revision={n}").json()["value"] for n in (1, 2)]
    assert values == [1, "sweet"]
    missing = api.call("GET", f"{place}?revision=3")
    assert (missing.status_code, "revision 3" in missing.json()["message"]) == (404, True)
    assert api.call("GET", "/namespaces/acme/kv/none/revisions").status_code == 404


def test_pairs_are_deleted_one_by_one_and_together(api: ApiServer) -> None:
    for key in ("a", "b", "c"):
        put(api, key, "1", "bulk")
    assert api.call("DELETE", "/namespaces/bulk/kv/a").json() is True
    assert api.call("DELETE", "/namespaces/bulk/kv/a").json() is False
    answer = api.call("DELETE", "/main/namespaces/bulk/kv", json={"keys": ["a", "b"]})
    assert answer.json() == {"keys": ["b"]}
    assert [e["key"] for e in api.call("GET", "/main/namespaces/bulk/kv").json()] == ["c"]
    assert api.call("DELETE", "/namespaces/bulk/kv", data="no").status_code == 422


def test_pairs_are_searched_and_inherited(api: ApiServer) -> None:
    for namespace, key in (("tree", "far"), ("tree", "near"), ("tree.leaf", "near")):
        put(api, key, "1", namespace)
    query = "filters[namespace][EQUALS]=tree&sort=key:desc&size=1"
    found = api.call("GET", f"/kv?{query}").json()
    assert [e["key"] for e in found["results"]] == ["near"]
    assert found["total"] == 2
    below = api.call("GET", "/main/kv?filters[namespace][PREFIX]=tree").json()
    assert below["total"] == 3
    inherited = api.call("GET", "/namespaces/tree.leaf/kv/inheritance").json()
    assert [(e["namespace"], e["key"]) for e in inherited] == [
        ("tree", "far"),
        ("tree.leaf", "near"),
    ]
    assert api.call("GET", "/kv?filters[color][EQUALS]=red").status_code == 422


ROOT = "/namespaces/acme.files/files"


def upload(
    api: ApiServer, path: str, content: bytes, name: str = "file", root: str = ROOT
) -> requests.Response:
    return api.call("POST", root, params={"path": path}, files={"fileContent": (name, content)})


def listing(api: ApiServer, path: str = "/", root: str = ROOT) -> list[tuple[str, str]]:
    answer = api.call("GET", f"{root}/directory", params={"path": path}).json()
    return [(entry["type"], entry["fileName"]) for entry in answer]


def test_a_file_goes_up_and_comes_back(api: ApiServer) -> None:
    content = b"x" * 3_000_000
    assert upload(api, "/scripts/a b.py", content).status_code == 200
    assert api.call("GET", ROOT, params={"path": "/scripts/a b.py"}).content == content
    stats = api.call("GET", f"{ROOT}/stats", params={"path": "/scripts/a b.py"}).json()
    assert (stats["type"], stats["size"], stats["fileName"]) == ("File", 3_000_000, "a b.py")
    assert listing(api) == [("Directory", "scripts")]
    assert api.call("GET", f"/main{ROOT}/search", params={"q": "B.P"}).json() == ["/scripts/a b.py"]
    revisions = api.call("GET", f"{ROOT}/revisions", params={"path": "/scripts/a b.py"}).json()
    assert revisions == [{"revision": 1}]


def test_earlier_contents_of_a_file_are_read_by_their_revision(api: ApiServer) -> None:
    upload(api, "/note.txt", b"one")
    upload(api, "/note.txt", b"two")
    place = {"path": "/note.txt"}
    found = api.call("GET", f"{ROOT}/revisions", params=place).json()
    assert found == [{"revision": 1}, {"revision": 2}]
    for revision, content in (("1", b"one"), ("2", b"two"), ("", b"two")):
        answer = api.call("GET", ROOT, params={**place, "revision": revision})
        assert answer.content == content
    assert api.call("GET", ROOT, params={**place, "revision": "3"}).status_code == 404
    assert api.call("DELETE", ROOT, params=place).status_code == 200


def test_folders_are_made_moved_and_deleted(api: ApiServer) -> None:
    root = "/namespaces/acme.folders/files"
    assert api.call("GET", f"{root}/directory").json() == []
    assert api.call("POST", f"{root}/directory", params={"path": "/a/b"}).status_code == 200
    upload(api, "/a/b/c.txt", b"c", root=root)
    moved = api.call("PUT", root, params={"from": "/a", "to": "/z"})
    assert moved.status_code == 200
    assert listing(api, "/z/b", root) == [("File", "c.txt")]
    assert upload(api, "/z/b", b"", root=root).status_code == 409
    assert api.call("DELETE", root, params={"path": "/z/b/c.txt"}).status_code == 200
    assert listing(api, "/", root) == []
    assert api.call("GET", root, params={"path": "/z/b/c.txt"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("no-slash", 422), ("/../../x", 422), ("/a//b", 422), ("/_flows/x/y", 422), ("", 400)],
)
def test_a_path_that_does_not_hold_is_refused(api: ApiServer, path: str, status: int) -> None:
    assert upload(api, path, b"x").status_code == status
    assert api.call("POST", f"{ROOT}/directory", params={"path": path}).status_code == status


def test_files_and_flows_go_out_as_an_archive_and_in_again(api: ApiServer) -> None:
    source, target = "/namespaces/acme.out/files", "/namespaces/acme.in/files"
    upload(api, "/d/a.txt", b"a", root=source)
    api.save_flow(flow_source("packed", namespace="acme.out"))
    exported = api.call("GET", f"{source}/export").content
    with zipfile.ZipFile(io.BytesIO(exported)) as archive:
        assert sorted(archive.namelist()) == ["_flows/packed.yml", "d/a.txt"]
    assert upload(api, "/", exported, "files.zip", target).status_code == 200
    assert api.call("GET", target, params={"path": "/d/a.txt"}).content == b"a"
    assert api.call("GET", "/flows/acme.in/packed").json()["revision"] == 1
    assert api.call("GET", "/flows/acme.out/packed").json()["revision"] == 1


def test_a_flow_is_stored_as_a_file_under_its_namespace(api: ApiServer) -> None:
    source = flow_source("filed", namespace="somewhere.else").encode()
    root = "/namespaces/acme.filed/files"
    assert upload(api, "/_flows/filed.yaml", source, root=root).status_code == 200
    assert api.call("GET", "/flows/acme.filed/filed").json()["namespace"] == "acme.filed"
    assert upload(api, "/_flows/filed.yaml", b"id: [", root=root).status_code == 422


def test_an_archive_that_leaves_its_folder_or_does_not_read_is_refused(api: ApiServer) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../../../evil.txt", "x")
    assert upload(api, "/", data.getvalue(), "evil.zip").status_code == 422
    assert upload(api, "/", b"no archive", "files.zip").status_code == 422


def test_secrets_are_listed_by_their_names_alone(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAPER", "LETTER"):
        monkeypatch.setenv(f"SECRET_{name}", "aGlkZGVu")

    page = api.get("/main/secrets?size=1").json()
    of_namespace = api.get("/namespaces/acme/secrets?q=pap").json()

    assert page == {"readOnly": True, "results": [{"key": "LETTER"}], "total": 2}
    assert of_namespace["results"] == [{"key": "PAPER"}]
    inherited = api.get("/namespaces/acme/inherited-secrets").json()
    assert inherited == {"acme": ["LETTER", "PAPER"]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "namespace.id"),
        ({"id": "Big"}, "namespace.id"),
        ({"id": "acme", "description": 1}, "namespace.description"),
        ({"id": "acme", "variables": {"a": 1}}, "namespace.variables: is not supported"),
        ([], "Expected a JSON object"),
    ],
)
def test_a_namespace_that_does_not_hold_is_refused(api: ApiServer, body: Any, told: str) -> None:
    answer = api.post("/namespaces", json=body)
    assert answer.status_code == 422
    assert told in answer.json()["message"]
