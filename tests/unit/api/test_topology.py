"""Flows as graphs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine_harness import registry

from tiercel_api.topology import NODES_MAX, TooManyNodes, draw
from tiercel_engine.flow.parse import load_flow


def graph_of(body: str, runs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return draw(load_flow(f"id: f\nnamespace: n\ntasks:\n{body}", registry()), runs)


def shape(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Edges by task, without the ends of clusters' ids."""

    def short(uid: str) -> str:
        parts = uid.split(".")
        return f"({'.'.join(parts[:-1])})" if len(parts[-1]) == 22 else uid

    return {
        (short(e["source"]), short(e["target"]), e["relation"].get("relationType", ""))
        for e in graph["edges"]
    }


def test_tasks_follow_each_other() -> None:
    graph = graph_of("- {id: a, type: test.Work}\n- {id: b, type: test.Work}")

    assert [node["uid"] for node in graph["nodes"][2:]] == ["root.a", "root.b"]
    assert shape(graph) == {
        ("(root)", "root.a", ""),
        ("root.a", "root.b", "SEQUENTIAL"),
        ("root.b", "(root)", ""),
    }
    assert graph["clusters"] == []


def test_a_flowable_is_a_cluster_around_its_own_node() -> None:
    graph = graph_of(
        "- id: p\n  type: io.kestra.plugin.core.flow.Parallel\n  tasks:\n"
        "    - {id: a, type: test.Work}\n    - {id: b, type: test.Work}\n"
        "  errors:\n    - {id: mend, type: test.Work}"
    )

    assert shape(graph) == {
        ("(root)", "(root.p)", ""),
        ("(root.p)", "root.p", ""),
        ("root.p", "root.p.a", "PARALLEL"),
        ("root.p", "root.p.b", "PARALLEL"),
        ("root.p", "root.p.mend", "ERROR"),
        ("root.p.a", "(root.p)", ""),
        ("root.p.b", "(root.p)", ""),
        ("root.p.mend", "(root.p)", ""),
        ("(root.p)", "(root)", ""),
    }
    (cluster,) = graph["clusters"]
    assert cluster["cluster"]["uid"] == "cluster_root.p"
    assert [node["error"] for node in graph["nodes"] if node["uid"] == "root.p.mend"] == [True]


def test_choices_carry_their_case() -> None:
    graph = graph_of(
        "- id: s\n  type: io.kestra.plugin.core.flow.Switch\n  value: x\n  cases:\n"
        "    x:\n      - {id: a, type: test.Work}\n  defaults:\n    - {id: b, type: test.Work}"
    )

    relations = {e["target"]: e["relation"] for e in graph["edges"]}
    assert relations["root.s.a"] == {"relationType": "CHOICE", "value": "x"}
    assert relations["root.s.b"] == {"relationType": "CHOICE", "value": "defaults"}


def test_a_dag_is_linked_by_what_its_tasks_depend_on() -> None:
    graph = graph_of(
        "- id: d\n  type: io.kestra.plugin.core.flow.Dag\n  tasks:\n"
        "    - task: {id: a, type: test.Work}\n"
        "    - task: {id: b, type: test.Work}\n      dependsOn: [a]"
    )

    assert {("root.d", "root.d.a", "PARALLEL"), ("root.d.a", "root.d.b", "PARALLEL")} <= shape(
        graph
    )
    assert ("root.d.a", "(root.d)", "") not in shape(graph)


def test_an_execution_has_a_node_per_value() -> None:
    runs = [
        {"id": "r1", "taskId": "each"},
        {"id": "r2", "taskId": "a", "parentTaskRunId": "r1", "value": "x"},
        {"id": "r3", "taskId": "a", "parentTaskRunId": "r1", "value": "y"},
    ]

    graph = graph_of(
        "- id: each\n  type: io.kestra.plugin.core.flow.ForEach\n  values: [x, y]\n  tasks:\n"
        "    - {id: a, type: test.Work}",
        runs,
    )

    nodes = {node["uid"]: node for node in graph["nodes"]}
    assert nodes["root.each.a_x"]["taskRun"]["id"] == "r2"
    assert nodes["root.each.a_y"]["values"] == ["y"]


def test_what_cannot_be_drawn_is_refused() -> None:
    runs = [{"id": f"r{n}", "taskId": "a"} for n in range(NODES_MAX + 1)]

    with pytest.raises(TooManyNodes):
        graph_of("- {id: a, type: test.Work}", runs)
