"""The calls of `kestrapy`'s FlowsApi that this server serves, through the unchanged package."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from kestrapy import KestraClient
from kestrapy.exceptions import (
    ConflictException,
    NotFoundException,
    UnprocessableEntityException,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

T = "main"


def source(namespace: str, flow_id: str = "one", extra: str = "") -> str:
    return (
        f"id: {flow_id}\nnamespace: {namespace}\n{extra}tasks:\n"
        "  - id: say\n    type: io.kestra.plugin.core.log.Log\n    message: hello\n"
    )


@pytest.fixture(scope="module")
def api(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60).flows


def ids(namespace: str, *flow_ids: str) -> list[dict[str, str]]:
    return [{"namespace": namespace, "id": flow_id} for flow_id in flow_ids]


def within(namespace: str) -> list[dict[str, Any]]:
    return [{"field": "namespace", "operation": "EQUALS", "value": namespace}]


def soon(find: Callable[[], Any]) -> Any:
    """What is found once the read model has it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("Expected to find it in time, but it was not there.")


@drives("create_flow", "flow", "update_flow", "delete_flow", "list_flow_revisions")
def test_a_flow_lives_from_its_creation_to_its_deletion(api: Any, namespace: str) -> None:
    created = api.create_flow(T, source(namespace))
    updated = api.update_flow(namespace, "one", T, source(namespace, extra="description: new\n"))

    assert (created.revision, updated.revision) == (1, 2)
    assert api.flow(namespace, "one", T, source=True).source.startswith("id: one")
    assert api.flow(namespace, "one", T, revision=1).revision == 1
    assert [one.revision for one in api.list_flow_revisions(namespace, "one", T)] == [1, 2]
    with pytest.raises(UnprocessableEntityException):
        api.create_flow(T, source(namespace))
    api.delete_flow(namespace, "one", T)
    with pytest.raises(NotFoundException):
        api.flow(namespace, "one", T)
    assert api.flow(namespace, "one", T, allow_deleted=True).deleted is True


@drives("delete_revisions")
def test_earlier_revisions_are_purged(api: Any, namespace: str, embedded_server: Any) -> None:
    # given: a flow of three revisions, and executions of the first and the third
    api.create_flow(T, source(namespace))
    first = embedded_server.post(f"/executions/{namespace}/one?wait=true").json()
    for text in ("new", "newer"):
        api.update_flow(namespace, "one", T, source(namespace, extra=f"description: {text}\n"))
    third = embedded_server.post(f"/executions/{namespace}/one?wait=true").json()

    # when
    api.delete_revisions(namespace, "one", T, [1, 2])

    # then: they are gone for good, and what ran them is still shown
    assert [one.revision for one in api.list_flow_revisions(namespace, "one", T)] == [3]
    with pytest.raises(NotFoundException, match=r"Revision 1 of the flow .* was purged"):
        api.flow(namespace, "one", T, revision=1)
    shown = embedded_server.get(f"/executions/{first['id']}")
    assert (shown.status_code, shown.json()["flowRevision"]) == (200, 1)
    verbs = {"flow": "get", "graph": "get", "replay": "post", "restart": "post"}
    for path, verb in verbs.items():
        answer = getattr(embedded_server, verb)(f"/executions/{first['id']}/{path}")
        assert (answer.status_code, "was purged" in answer.text) == (404, True), path
    assert embedded_server.get(f"/executions/{third['id']}/flow").json()["revision"] == 3
    started = embedded_server.post(f"/executions/{namespace}/one?revision=2")
    assert (started.status_code, "was purged" in started.text) == (404, True)
    # purging again changes nothing; the current one, and one that never was, stay as they are
    api.delete_revisions(namespace, "one", T, [1])
    with pytest.raises(ConflictException, match="3 is the current one"):
        api.delete_revisions(namespace, "one", T, [3])
    with pytest.raises(NotFoundException, match="no revision 4"):
        api.delete_revisions(namespace, "one", T, [4])


@drives("create_flow_from_object", "update_flow_from_object", "task_from_flow")
def test_a_flow_is_stored_from_an_object(api: Any, namespace: str) -> None:
    task = {"id": "say", "type": "io.kestra.plugin.core.log.Log", "message": "hello"}
    flow = {"id": "one", "namespace": namespace, "tasks": [task]}

    created = api.create_flow_from_object(T, flow)
    updated = api.update_flow_from_object(namespace, "one", T, {**flow, "description": "new"})

    assert (created.id, updated.revision) == ("one", 2)
    assert api.task_from_flow(namespace, "one", "say", T).id == "say"


@drives("bulk_update_flows", "update_flows_in_namespace", "list_flows_by_namespace")
def test_many_are_stored_and_others_of_the_namespace_go(api: Any, namespace: str) -> None:
    both = f"{source(namespace)}---\n{source(namespace, 'two')}"

    stored = api.bulk_update_flows(T, delete=False, namespace=namespace, body=both)
    left = api.update_flows_in_namespace(namespace, T, source(namespace, "two"), delete=True)

    assert [flow.id for flow in stored] == ["one", "two"]
    assert [flow.id for flow in left] == ["two"]
    assert [flow.id for flow in api.list_flows_by_namespace(namespace, T)] == ["two"]
    with pytest.raises(UnprocessableEntityException):
        api.update_flows_in_namespace("other.place", T, both)


@drives("disable_flows_by_ids", "disable_flows_by_query")
@drives("enable_flows_by_ids", "enable_flows_by_query")
def test_flows_are_switched_off_and_on(api: Any, namespace: str) -> None:
    api.create_flow(T, source(namespace))

    assert api.disable_flows_by_ids(T, ids(namespace, "one")).count == 1
    assert api.flow(namespace, "one", T).disabled is True
    assert api.enable_flows_by_ids(T, ids(namespace, "one")).count == 1
    assert api.flow(namespace, "one", T).disabled is False
    assert api.disable_flows_by_query(T, within(namespace)).count == 1
    assert api.enable_flows_by_query(T, within(namespace)).count == 1
    assert api.flow(namespace, "one", T).disabled is False


@drives("delete_flows_by_ids", "delete_flows_by_query")
def test_many_are_deleted(api: Any, namespace: str) -> None:
    for flow_id in ("one", "two"):
        api.create_flow(T, source(namespace, flow_id))

    assert api.delete_flows_by_ids(T, ids(namespace, "one")).count == 1
    assert api.delete_flows_by_query(T, within(namespace)).count == 1
    assert api.list_flows_by_namespace(namespace, T) == []
    with pytest.raises(NotFoundException):
        api.delete_flows_by_ids(T, ids(namespace, "one"))


@drives("search_flows", "search_flows_by_source_code", "list_distinct_namespaces")
def test_flows_are_searched(api: Any, namespace: str) -> None:
    api.create_flow(T, source(namespace))

    found = api.search_flows(T, page=1, size=5, sort=["id:asc"], filters=within(namespace))
    by_source = api.search_flows_by_source_code(T, q="HELLO", namespace=namespace)
    exact = api.search_flows_by_source_code(T, q="HELLO", namespace=namespace, case_sensitive=True)

    assert (found.total, found.results[0].id) == (1, "one")
    assert (by_source.total, by_source.results[0].id) == (1, "one")
    assert exact.total == 0
    assert namespace in api.list_distinct_namespaces(T, q=namespace)


@drives("search_flows_by_source_code", "preview_replace_by_source_code")
@drives("apply_replace_by_source_code", "replace_line_by_source_code")
def test_a_text_is_found_and_replaced_in_sources(api: Any, namespace: str) -> None:
    for flow_id in ("one", "two"):
        api.create_flow(T, source(namespace, flow_id))
    asked = {"query": "h(el)lo", "regex": True, "replacement": "b$1l", "scope": "TASKS"}

    (match,) = (
        api.search_flows_by_source_code(
            T, q="HE..O", namespace=namespace, regex=True, scope="TASKS", sort=["id:asc"]
        )
        .results[0]
        .matches
    )
    preview = api.preview_replace_by_source_code(T, {**asked, "namespace": namespace})
    applied = api.apply_replace_by_source_code(T, {**asked, "flows": ids(namespace, "one", "none")})
    lined = api.replace_line_by_source_code(
        T, {**asked, "namespace": namespace, "id": "two", "line": match.line, "column": 13}
    )

    assert (match.line, match.column, match.snippet) == (6, 13, "    message: hello")
    assert [preview[name] for name in ("totalMatches", "totalFlows")] == [2, 2]
    assert preview["flows"][0]["matches"] == [
        {"line": 6, "before": "    message: hello", "after": "    message: bell"}
    ]
    assert [flow["revision"] for flow in applied["updated"]] == [2]
    assert applied["skipped"] == [{"namespace": namespace, "id": "none", "reason": "NOT_FOUND"}]
    assert lined["source"].endswith("message: bell\n")
    # A flow that would not be one any more, or would be another, stays.
    broken = {"query": "id: one", "replacement": "id: three", "flows": ids(namespace, "one")}
    (skipped,) = api.apply_replace_by_source_code(T, broken)["skipped"]
    assert skipped["reason"] == "INVALID_FLOW"
    with pytest.raises(UnprocessableEntityException):
        api.preview_replace_by_source_code(T, {"query": "(", "regex": True, "replacement": ""})


@drives("expressions")
def test_an_editor_is_told_what_templates_may_say(
    api: Any, embedded_server: RunningServer, namespace: str
) -> None:
    KestraClient(host=embedded_server.url, timeout=60).kv.set_key_value(
        namespace, "color", T, '"b"'
    )
    text = source(namespace, extra="inputs:\n  - {id: name, type: STRING}\n")

    found = api.expressions(T, text, task_id="say")["categories"]
    unfinished = api.expressions(T, "id: one\ntasks:\n  - id")["categories"]

    assert found["inputs"] == ["inputs.name"]
    assert found["kvPairs"] == ["kv('color')"]
    assert found["taskOutputs"] == []
    assert {"execution.id", "task.id"} <= set(found["executionContext"])
    assert unfinished["functions"] == found["functions"]
    assert "inputs" not in unfinished


@drives("search_concurrency_limits", "update_concurrency_limit")
def test_flows_that_limit_their_executions_are_told(
    api: Any, embedded_server: RunningServer, namespace: str
) -> None:
    api.create_flow(T, source(namespace, extra="concurrency: {limit: 2}\n"))
    executions = KestraClient(host=embedded_server.url, timeout=60).executions
    executions.create_execution(T, namespace, "one", wait=True)

    limit = soon(lambda: _limit_of(api, namespace))
    same = api.update_concurrency_limit(namespace, "one", T, limit)

    assert (limit.running, limit.additional_properties["limit"]) == (0, 2)
    assert same.running == 0
    limit.running = 1
    with pytest.raises(UnprocessableEntityException):
        api.update_concurrency_limit(namespace, "one", T, limit)


def _limit_of(api: Any, namespace: str) -> Any:
    limits = api.search_concurrency_limits(T).results
    return next((x for x in limits if x.namespace == namespace and x.running == 0), None)


@drives("export_flows_by_ids", "export_flows_by_query", "export_flows_by_query_csv")
@drives("import_flows")
def test_flows_are_exported_and_imported(api: Any, namespace: str) -> None:
    api.create_flow(T, source(namespace))

    archive = api.export_flows_by_query(T, within(namespace))
    same = api.export_flows_by_ids(T, ids(namespace, "one"))
    table = api.export_flows_by_query_csv(T, within(namespace))
    api.delete_flow(namespace, "one", T)
    failed = api.import_flows(T, file_content=archive)
    wrong = api.import_flows(T, file_content=b"id: only\n")

    with zipfile.ZipFile(io.BytesIO(same)) as opened:
        assert opened.namelist() == [f"{namespace}.one.yml"]
    assert table.splitlines()[1].startswith(f"{namespace},one,")
    assert failed == []
    assert len(wrong) == 1
    assert api.flow(namespace, "one", T).id == "one"
    with pytest.raises(UnprocessableEntityException):
        api.import_flows(T, fail_on_error=True, file_content=b"id: only\n")


@drives("generate_flow_graph", "generate_flow_graph_from_source")
def test_the_graph_of_a_flow(api: Any, namespace: str) -> None:
    api.create_flow(T, source(namespace))

    stored = api.generate_flow_graph(namespace, "one", T)
    written = api.generate_flow_graph_from_source(T, source(namespace))

    assert len(stored.nodes) == len(written.nodes) == 3


def test_the_graph_of_a_flow_tells_where_its_triggers_stand(api: Any, namespace: str) -> None:
    schedule = "{id: yearly, type: io.kestra.plugin.core.trigger.Schedule, cron: 0 0 1 1 *}"
    api.create_flow(T, source(namespace, extra=f"triggers: [{schedule}]\n"))

    def node() -> Any:
        nodes = [n.to_dict() for n in api.generate_flow_graph(namespace, "one", T).nodes]
        return next((n for n in nodes if "trigger" in n), None)

    assert soon(node)["trigger"]["nextExecutionDate"].endswith("-01-01T00:00:00Z")


@drives("flow_dependencies", "flow_dependencies_from_namespace")
def test_flows_depend_on_each_other(api: Any, namespace: str) -> None:
    api.create_flow(T, source(namespace))
    api.create_flow(
        T,
        f"id: parent\nnamespace: {namespace}\ntasks:\n  - id: child\n"
        f"    type: io.kestra.plugin.core.flow.Subflow\n    namespace: {namespace}\n"
        "    flowId: one\n",
    )

    graph = api.flow_dependencies(namespace, "parent", T, expand_all=True)
    whole = api.flow_dependencies_from_namespace(namespace, T)

    assert [edge.relation.value for edge in graph.edges] == ["FLOW_TASK"]
    assert {node.id for node in whole.nodes} == {"one", "parent"}


@drives("validate_flows", "validate_task", "validate_trigger")
def test_what_is_wrong_is_told(api: Any, namespace: str) -> None:
    right = {"id": "t", "type": "io.kestra.plugin.core.log.Log", "message": "x"}
    hook = {"id": "h", "type": "io.kestra.plugin.core.trigger.Webhook", "key": "k"}

    flows = api.validate_flows(T, f"{source(namespace)}---\nid: broken\n")

    assert flows[0].constraints is None
    assert flows[1].constraints
    assert api.validate_task("TASKS", T, right).constraints is None
    assert api.validate_task("TASKS", T, {"id": "t", "type": "no.such.Type"}).constraints
    assert api.validate_trigger(T, hook).constraints is None


@drives("list_deprecated", "flow_hashes_by_ids")
def test_flows_with_older_names_and_hashes(api: Any, namespace: str) -> None:
    old = source(namespace).replace("io.kestra.plugin.core.log.Log", "io.kestra.core.tasks.log.Log")
    api.create_flow(T, old)

    deprecated = api.list_deprecated(T, namespace)
    hashes = api.flow_hashes_by_ids(T, ids(namespace, "one", "nobody"))["results"]

    assert deprecated[0]["deprecatedTasks"][0]["replacement"] == "io.kestra.plugin.core.log.Log"
    assert hashes[0]["revision"] == 1
    assert "hash" not in hashes[1]
