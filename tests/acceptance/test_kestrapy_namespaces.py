"""The calls of `kestrapy`'s NamespacesApi that are served, through the unchanged package."""

from __future__ import annotations

import os
from typing import Any

import pytest
from kestrapy import ApiAutocomplete, KestraClient, Namespace
from kestrapy.exceptions import (
    ConflictException,
    NotFoundException,
    UnprocessableEntityException,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

T = "main"
FLOW = """id: greets
namespace: {namespace}
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: hi}}
"""


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60)


@pytest.fixture(scope="module")
def api(client: Any) -> Any:
    return client.namespaces


def written(name: str, **properties: Any) -> Any:
    return Namespace(id=name, deleted=False, **properties)


@drives("create_namespace", "namespace", "update_namespace", "delete_namespace")
def test_a_namespace_lives_from_its_creation_to_its_deletion(
    client: Any, api: Any, namespace: str
) -> None:
    made = api.create_namespace(T, written(namespace, description="first"))

    assert (made.id, made.description, made.deleted) == (namespace, "first", False)
    with pytest.raises(ConflictException):
        api.create_namespace(T, written(namespace))
    api.update_namespace(namespace, T, written(namespace, description="second"))
    assert api.namespace(namespace, T).description == "second"
    client.kv.set_key_value(namespace, "k", T, "1")
    with pytest.raises(ConflictException) as error:
        api.delete_namespace(namespace, T)
    assert "key-value pairs" in error.value.body
    client.kv.delete_key_value(namespace, "k", T)
    api.delete_namespace(namespace, T)
    for call in (
        lambda: api.namespace(namespace, T),
        lambda: api.update_namespace(namespace, T, written(namespace)),
        lambda: api.delete_namespace(namespace, T),
    ):
        with pytest.raises(NotFoundException):
            call()


def test_a_namespace_is_there_with_its_flows_and_keeps_them(
    embedded_server: RunningServer, api: Any, namespace: str
) -> None:
    embedded_server.save(FLOW.format(namespace=f"{namespace}.below"))

    for name in (namespace, f"{namespace}.below"):
        assert api.namespace(name, T).id == name
    with pytest.raises(ConflictException) as error:
        api.delete_namespace(f"{namespace}.below", T)
    assert "flows" in error.value.body


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("new.one", {"variables": {"a": {"b": 1}}}),
        ("new.one", {"storage_type": "s3"}),
        ("new/one", {}),
    ],
)
def test_what_would_do_nothing_is_refused(api: Any, name: str, properties: dict[str, Any]) -> None:
    asked = Namespace.model_construct(id=name, deleted=False, **properties)
    with pytest.raises(UnprocessableEntityException):
        api.create_namespace(T, asked)


@drives("search_namespaces", "autocomplete_namespaces")
def test_namespaces_are_searched(api: Any, namespace: str) -> None:
    for name in (f"{namespace}.b.c", f"{namespace}.a"):
        api.create_namespace(T, written(name))
    # The fixture's name stands between dots: `test.n…`.
    own = namespace.rpartition(".")[2]

    def found(**options: Any) -> list[str]:
        page = api.search_namespaces(T, page=1, size=100, **options)
        return [one.id.removeprefix(namespace) for one in page.results]

    query = {"field": "QUERY", "operation": "EQUALS", "value": own}
    below = {"field": "namespace", "operation": "PREFIX", "value": namespace}
    assert found(filters=[query]) == ["", ".a", ".b", ".b.c"]
    assert found(filters=[below], sort=["id:desc"]) == [".b.c", ".b", ".a", ""]
    assert found(filters=[below], existing=True) == [".a", ".b.c"]
    assert found(filters=[{**query, "value": "nobody-has-this"}]) == []
    asked = ApiAutocomplete(q=own, ids=["system", "nobody-has-this"], existing_only=True)
    assert api.autocomplete_namespaces(T, asked) == [
        "system",
        f"{namespace}.a",
        f"{namespace}.b.c",
    ]


@drives("inherited_secrets", "inherited_variables", "list_secrets")
def test_secrets_and_variables_are_those_of_the_server(api: Any, namespace: str) -> None:
    # The server of these tests was started with this process's environment.
    keys = sorted(n.removeprefix("SECRET_") for n in os.environ if n.startswith("SECRET_"))

    assert api.inherited_secrets(namespace, T) == {namespace: keys}
    listed = api.list_secrets(T, page=1, size=100)
    assert [one.key for one in listed.results] == keys
    assert listed.read_only is True
    assert api.inherited_variables(namespace, T) == {}
