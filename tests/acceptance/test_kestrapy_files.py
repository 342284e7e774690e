"""Every call of `kestrapy`'s KVApi and FilesApi, through the unchanged package."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from kestrapy import KestraClient, KVControllerApiDeleteBulkRequest
from kestrapy.exceptions import NotFoundException, UnprocessableEntityException
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

T = "main"


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60)


def where(field: str, value: Any, operation: str = "EQUALS") -> dict[str, Any]:
    return {"field": field, "operation": operation, "value": value}


@drives("set_key_value", "key_value")
@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ('"hello world"', "STRING", "hello world"),
        ("42", "NUMBER", 42),
        ("true", "BOOLEAN", True),
        ('{"a": [1, 2]}', "JSON", {"a": [1, 2]}),
        ("2024-01-01T00:00:00Z", "DATETIME", "2024-01-01T00:00:00Z"),
    ],
)
def test_a_value_is_set_and_read_with_its_type(
    client: Any, namespace: str, body: str, kind: str, value: Any
) -> None:
    client.kv.set_key_value(namespace, "k", T, '"first"')
    client.kv.set_key_value(namespace, "k", T, body)

    detail = client.kv.key_value(namespace, "k", T)

    assert (detail.type.value, detail.value, detail.revision) == (kind, value, 2)
    assert detail.updated is not None
    with pytest.raises(NotFoundException):
        client.kv.key_value(namespace, "nobody", T)
    with pytest.raises(UnprocessableEntityException):
        client.kv.set_key_value(namespace, "k", T, "a bare word")


@drives("delete_key_value", "delete_key_values")
def test_keys_are_deleted(client: Any, namespace: str) -> None:
    for key in ("a", "b", "c"):
        client.kv.set_key_value(namespace, key, T, "1")

    assert client.kv.delete_key_value(namespace, "a", T) is True
    assert client.kv.delete_key_value(namespace, "a", T) is False
    asked = KVControllerApiDeleteBulkRequest(keys=["a", "b", "c"])
    assert client.kv.delete_key_values(namespace, T, asked).keys == ["b", "c"]


@drives("list_all_keys")
def test_keys_are_searched(client: Any, namespace: str) -> None:
    for key in ("zeta", "alpha"):
        client.kv.set_key_value(namespace, key, T, "1")
    client.kv.set_key_value(f"{namespace}.below", "alpha", T, "1")

    def found(*filters: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
        page = client.kv.list_all_keys(T, filters=list(filters), **options)
        return [(one.namespace.removeprefix(namespace), one.key) for one in page.results]

    mine = where("namespace", namespace)
    below = where("namespace", namespace, "PREFIX")
    assert found(mine, sort=["key:desc"]) == [("", "zeta"), ("", "alpha")]
    assert found(below, where("QUERY", "alp")) == [("", "alpha"), (".below", "alpha")]
    assert found(below, where("key", "zet", "STARTS_WITH")) == [("", "zeta")]
    assert found(below, where("namespace", ".below", "NOT_CONTAINS"), page=2, size=1) == [
        ("", "zeta")
    ]
    assert found(where("namespace", f"{namespace}.nobody")) == []
    with pytest.raises(UnprocessableEntityException):
        client.kv.list_all_keys(T, filters=[where("state", "FAILED")])


@drives("list_keys_with_inheritance")
def test_keys_of_namespaces_above_are_listed_too(client: Any, namespace: str) -> None:
    client.kv.set_key_value(namespace, "above", T, "1")
    client.kv.set_key_value(f"{namespace}.below", "own", T, "1")

    found = client.kv.list_keys_with_inheritance(f"{namespace}.below", T)

    assert [(one.namespace, one.key) for one in found] == [
        (namespace, "above"),
        (f"{namespace}.below", "own"),
    ]


@drives("create_namespace_directory", "list_namespace_directory_files", "file_metadatas")
def test_folders_are_made_and_listed(client: Any, namespace: str) -> None:
    files = client.files
    assert files.list_namespace_directory_files(namespace, T) == []

    files.create_namespace_directory(namespace, T, "/letters")
    files.create_namespace_file(namespace, "/letters/one.txt", T, b"dear")

    (folder,) = files.list_namespace_directory_files(namespace, T)
    assert (folder.file_name, folder.type.value) == ("letters", "Directory")
    (file,) = files.list_namespace_directory_files(namespace, T, "/letters")
    assert (file.file_name, file.type.value, file.size) == ("one.txt", "File", 4)
    assert files.file_metadatas(namespace, T, "/letters/one.txt").size == 4
    with pytest.raises(NotFoundException):
        files.file_metadatas(namespace, T, "/letters/two.txt")


@drives("create_namespace_file", "file_content", "file_revisions")
def test_a_file_is_written_and_read_in_its_revisions(client: Any, namespace: str) -> None:
    for content in (b"first", b"second"):
        client.files.create_namespace_file(namespace, "/note.txt", T, content)
    client.files.create_namespace_file(namespace, "/empty.txt", T)

    assert client.files.file_content(namespace, "/note.txt", T) == b"second"
    revisions = [one.revision for one in client.files.file_revisions(namespace, T, "/note.txt")]
    assert client.files.file_content(namespace, "/note.txt", T, min(revisions)) == b"first"
    assert client.files.file_content(namespace, "/empty.txt", T) == b""
    for path in ("/nobody.txt", "/../note.txt"):
        with pytest.raises((NotFoundException, UnprocessableEntityException)):
            client.files.file_content(namespace, path, T)


@drives("move_file_directory", "delete_file_directory", "search_namespace_files")
def test_files_are_moved_searched_and_deleted(client: Any, namespace: str) -> None:
    files = client.files
    for name in ("one", "two"):
        files.create_namespace_file(namespace, f"/old/{name}.txt", T, name.encode())

    files.move_file_directory(namespace, "/old", "/new", T)

    assert files.search_namespace_files(namespace, "two", T) == ["/new/two.txt"]
    files.delete_file_directory(namespace, "/new/one.txt", T)
    assert files.search_namespace_files(namespace, "", T) == ["/new/two.txt"]
    files.delete_file_directory(namespace, "/new", T)
    assert files.search_namespace_files(namespace, "", T) == []
    with pytest.raises(NotFoundException):
        files.move_file_directory(namespace, "/old", "/new", T)


@drives("export_namespace_files")
def test_files_and_flows_are_exported(
    client: Any, embedded_server: RunningServer, namespace: str
) -> None:
    task = "{id: say, type: io.kestra.plugin.core.log.Log, message: hi}"
    embedded_server.save(f"id: greets\nnamespace: {namespace}\ntasks: [{task}]\n")
    client.files.create_namespace_file(namespace, "/a/b.txt", T, b"text")

    archive = zipfile.ZipFile(io.BytesIO(client.files.export_namespace_files(namespace, T)))

    assert sorted(archive.namelist()) == ["_flows/greets.yml", "a/b.txt"]
    assert archive.read("a/b.txt") == b"text"
