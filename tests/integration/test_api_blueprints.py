"""The example flows as blueprints over HTTP, in both generations of paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_harness import ApiServer, api_server

from tiercel_api.blueprints import blueprints
from tiercel_engine.plugin.registry import PluginRegistry

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
OLD = "/blueprints/community"
NEW = "/main/blueprints/community/FLOW"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("blueprints")) as running:
        for plugin in PluginRegistry.load().all():
            if running.registry.find(plugin.TYPE) is None:
                running.registry.register(plugin)
        yield running


def ids(server: ApiServer, path: str) -> list[str]:
    response = server.get(path)
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["results"]]


def test_every_example_is_one(server: ApiServer) -> None:
    assert set(blueprints()) == {path.stem for path in EXAMPLES.rglob("*.yaml")}
    assert server.get(f"{NEW}?size=1").json()["total"] == len(blueprints())


@pytest.mark.parametrize("base", [OLD, NEW])
def test_one_tells_what_it_is_and_what_it_is_made_of(server: ApiServer, base: str) -> None:
    found = server.get(f"{base}/baking").json()

    assert found["title"] == "One loaf in ten steps"
    assert found["description"].startswith("Ten task runs, one after the other")
    assert "io.kestra.plugin.core.log.Log" in found["includedTasks"]
    assert {"log", "shell"} <= set(found["tags"])
    assert found["source"] == found["flow"] == (EXAMPLES / "baking.yaml").read_text()


@pytest.mark.parametrize("path", [f"{OLD}/baking/flow", f"{NEW}/baking/source"])
def test_the_source_is_yaml(server: ApiServer, path: str) -> None:
    response = server.get(path, headers={"Accept": "application/yaml"})

    assert response.headers["Content-Type"].startswith("application/yaml")
    assert response.text == (EXAMPLES / "baking.yaml").read_text()


def test_every_one_has_a_topology(server: ApiServer) -> None:
    for name in blueprints():
        graph = server.get(f"{NEW}/{name}/graph")
        assert graph.status_code == 200, graph.text
        assert graph.json() == server.get(f"{OLD}/{name}/graph").json()
        assert graph.json()["nodes"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=oven&sort=id:asc", ["oven", "side-by-side", "slow-oven"]),
        ("q=oven&sort=title:desc", ["side-by-side", "oven", "slow-oven"]),
        ("q=kv.Set", ["pairs"]),
        ("filters[q][EQUALS]=kv.Set", ["pairs"]),
        ("filters[tags][IN]=kv,http&sort=id:desc", ["wake-up", "requests", "pairs"]),
        ("tags=kv", ["pairs"]),
        ("filters[tags][NOT_IN]=log,flow,execution,tasks,storage,shell", []),
        ("filters[id][STARTS_WITH]=or&sort=publishedAt:desc", ["orders"]),
        ("q=oven&sort=id:asc&page=2&size=2", ["slow-oven"]),
        ("q=nothing-of-the-kind", []),
    ],
)
def test_they_are_searched_sorted_and_paged(
    server: ApiServer, query: str, expected: list[str]
) -> None:
    assert ids(server, f"{NEW}?{query}") == ids(server, f"{OLD}?{query}") == expected


@pytest.mark.parametrize("query", ["sort=color:asc", "filters[color][EQUALS]=x", "page=0"])
def test_what_is_not_understood_is_refused(server: ApiServer, query: str) -> None:
    assert server.get(f"{OLD}?{query}").status_code == 422


def test_tags_are_listed(server: ApiServer) -> None:
    tags: list[dict[str, Any]] = server.get(f"{OLD}/tags").json()

    assert {"id": "kv", "name": "Kv"} in tags
    assert server.get(f"{NEW}/tags?q=k").json() == [t for t in tags if "k" in t["id"]]


def test_other_kinds_have_none_and_users_keep_none(server: ApiServer) -> None:
    assert ids(server, "/blueprints/community/dashboard") == []
    assert server.get("/blueprints/community/APP/baking").status_code == 404
    for method, path in (
        ("GET", "/blueprints/custom"),
        ("POST", "/blueprints/custom"),
        ("GET", "/blueprints/custom/a/source"),
        ("POST", "/blueprints/flows"),
        ("PUT", "/blueprints/flows/a"),
        ("POST", "/blueprints/flows/a/use-template"),
        ("GET", "/blueprints/flow/a"),
        ("GET", "/blueprints/community/no-such-one"),
    ):
        assert server.call(method, path).status_code == 404
