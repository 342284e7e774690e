"""`kestrapy`'s BlueprintsApi, through the unchanged package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kestrapy import KestraClient
from kestrapy.exceptions import NotFoundException
from kestrapy.models.blueprint_controller_kind import BlueprintControllerKind
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

T = "main"
FLOW = BlueprintControllerKind.FLOW


@pytest.fixture(scope="module")
def blueprints(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60).blueprints


@drives("search_blueprints")
def test_blueprints_are_searched(blueprints: Any) -> None:
    wanted = [{"field": "q", "operation": "EQUALS", "value": "oven"}]
    page = blueprints.search_blueprints(FLOW, T, sort="id:asc", page=1, size=2, filters=wanted)

    assert [one.id for one in page.results] == ["oven", "side-by-side"]
    assert page.total == 3
    assert blueprints.search_blueprints(BlueprintControllerKind.APP, T).total == 0


@drives("blueprint", "blueprint_graph", "blueprint_source")
def test_a_blueprint_becomes_a_flow_that_runs(
    blueprints: Any, embedded_server: RunningServer, namespace: str
) -> None:
    found = blueprints.blueprint("burnt", FLOW, T)
    source = blueprints.blueprint_source("burnt", FLOW, T)

    assert found.source == source
    assert "io.kestra.plugin.core.log.Log" in found.included_tasks
    assert blueprints.blueprint_graph("burnt", FLOW, T)["nodes"]
    embedded_server.save(source.replace("namespace: bakery", f"namespace: {namespace}"))
    started = embedded_server.post(f"/executions/{namespace}/burnt").json()
    assert embedded_server.ended(started["id"])["state"]["current"] == "WARNING"


@drives(
    "create_flow_blueprint",
    "create_internal_blueprints",
    "delete_flow_blueprints",
    "delete_internal_blueprints",
    "flow_blueprint",
    "flow_blueprint_by_id",
    "internal_blueprint",
    "internal_blueprint_flow",
    "search_internal_blueprints",
    "update_flow_blueprint",
    "update_internal_blueprints",
    "use_blueprint_template",
)
def test_blueprints_of_users_are_not_kept(blueprints: Any) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: blueprints.create_flow_blueprint(T, {}),
        lambda: blueprints.create_internal_blueprints(T, {}),
        lambda: blueprints.delete_flow_blueprints("a", T),
        lambda: blueprints.delete_internal_blueprints("a", T),
        lambda: blueprints.flow_blueprint("a", T),
        lambda: blueprints.flow_blueprint_by_id("a", T),
        lambda: blueprints.internal_blueprint("a", T),
        lambda: blueprints.internal_blueprint_flow("a", T),
        lambda: blueprints.search_internal_blueprints(T),
        lambda: blueprints.update_flow_blueprint("a", T, {}),
        lambda: blueprints.update_internal_blueprints("a", T, {}),
        lambda: blueprints.use_blueprint_template("a", T, {}),
    )
    for call in calls:
        with pytest.raises(NotFoundException):
            call()
