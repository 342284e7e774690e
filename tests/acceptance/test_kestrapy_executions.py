"""Every call of `kestrapy`'s ExecutionsApi, through the unchanged package, against one server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kestrapy import KestraClient
from kestrapy.exceptions import (
    ConflictException,
    NotFoundException,
    UnprocessableEntityException,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually

T = "main"
NS = "kestrapy.executions"
HELLO = f"""id: hello
namespace: {NS}
labels:
  team: sales
inputs:
  - id: who
    type: STRING
    defaults: world
  - id: paper
    type: FILE
    required: false
tasks:
  - id: greet
    type: io.kestra.plugin.core.debug.Return
    format: "hello {{{{ inputs.who }}}}"
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ outputs.greet.value }}}}"
triggers:
  - id: hook
    type: io.kestra.plugin.core.trigger.Webhook
    key: s3cret
"""
FAILS = f"""id: fails
namespace: {NS}
tasks:
  - id: before
    type: io.kestra.plugin.core.debug.Return
    format: here
  - id: broken
    type: io.kestra.plugin.core.execution.Fail
  - id: behind
    type: io.kestra.plugin.core.debug.Return
    format: there
"""
WAITS = f"""id: waits
namespace: {NS}
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - id: word
        type: STRING
        required: false
  - id: after
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ outputs.hold.onResume.word ?? 'nothing' }}}}"
"""
SLOW = f"""id: slow
namespace: {NS}
tasks:
  - id: sleep
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT60S
  - id: after
    type: io.kestra.plugin.core.debug.Return
    format: done
"""
STEPS = f"""id: steps
namespace: {NS}
tasks:
  - {{id: first, type: io.kestra.plugin.core.debug.Return, format: a}}
  - {{id: second, type: io.kestra.plugin.core.debug.Return, format: b}}
  - {{id: last, type: io.kestra.plugin.core.debug.Return, format: c}}
"""
PARENT = f"""id: parent
namespace: {NS}
tasks:
  - id: child
    type: io.kestra.plugin.core.flow.Subflow
    namespace: {NS}
    flowId: hello
"""


@pytest.fixture(scope="module")
def server(embedded_server: RunningServer) -> RunningServer:
    for source in (HELLO, FAILS, WAITS, SLOW, PARENT):
        embedded_server.save(source)
    return embedded_server


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Any:
    return KestraClient(host=server.url, timeout=60).executions


class Executions:
    """Starts executions and waits for their states."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def start(self, flow: str, **options: Any) -> str:
        return str(self._api.create_execution(T, NS, flow, **options).id)

    def reached(self, execution_id: str, *states: str) -> Any:
        return eventually(
            lambda: self._api.execution(execution_id, T),
            lambda execution: execution.state.current in states,
        )

    def ended(self, flow: str, state: str = "SUCCESS", **options: Any) -> Any:
        return self.reached(self.start(flow, **options), state)

    def running(self) -> str:
        """An execution whose task sleeps."""
        execution_id = self.start("slow")
        eventually(
            lambda: self._api.execution(execution_id, T).task_run_list or [],
            lambda runs: any(run.state.current == "RUNNING" for run in runs),
        )
        return execution_id

    def paused(self) -> str:
        return str(self.reached(self.start("waits"), "PAUSED").id)

    def scheduled(self) -> str:
        return self.start("hello", schedule_date="2099-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def executions(api: Any) -> Executions:
    return Executions(api)


@pytest.fixture
def label() -> str:
    """A label value that no other test uses."""
    return f"v{time.monotonic_ns()}"


def labelled(value: str) -> list[dict[str, Any]]:
    """The filter that finds executions with this label."""
    return [{"field": "labels", "operation": "EQUALS", "value": {"batch": value}}]


def invalids(error: Any) -> str:
    return str(error.value.body)


@drives("create_execution", "execution")
def test_an_execution_is_created_with_inputs_files_and_labels(
    api: Any, executions: Executions
) -> None:
    created = api.create_execution(
        T, NS, "hello", labels=["a:b"], inputs={"who": "you", "paper": b"text"}
    )

    found = executions.reached(created.id, "SUCCESS")
    assert created.state.current == "CREATED"
    assert found.inputs["who"] == "you"
    assert {label.key for label in found.labels} >= {"team", "a", "system.correlationId"}
    assert api.create_execution(T, NS, "hello", wait=True).state.current == "SUCCESS"
    with pytest.raises(NotFoundException):
        api.create_execution(T, NS, "nobody")
    with pytest.raises(NotFoundException):
        api.execution("nobody", T)


@drives("search_executions")
@pytest.mark.parametrize(
    ("field", "operation", "value", "count"),
    [
        ("labels", "EQUALS", {"batch": "@"}, 2),
        ("labels", "NOT_EQUALS", {"batch": "@"}, 0),
        ("state", "EQUALS", "SUCCESS", 1),
        ("state", "NOT_EQUALS", "SUCCESS", 1),
        ("state", "IN", ["SUCCESS", "FAILED"], 2),
        ("state", "NOT_IN", ["SUCCESS"], 1),
        ("flowId", "STARTS_WITH", "hel", 1),
        ("flowId", "ENDS_WITH", "ils", 1),
        ("flowId", "CONTAINS", "ell", 1),
        ("flowId", "NOT_CONTAINS", "ell", 1),
        ("namespace", "PREFIX", "kestrapy", 2),
        ("namespace", "EQUALS", NS, 2),
        ("namespace", "NOT_EQUALS", NS, 0),
        ("namespace", "IN", [NS, "other"], 2),
        ("QUERY", "EQUALS", "hello", 1),
        ("kind", "EQUALS", "NORMAL", 2),
        ("scope", "EQUALS", "USER", 2),
        ("childFilter", "EQUALS", "MAIN", 2),
        ("timeRange", "EQUALS", "PT1H", 2),
        ("startDate", "GREATER_THAN", "2020-01-01T00:00:00Z", 2),
        ("startDate", "LESS_THAN", "2020-01-01T00:00:00Z", 0),
        ("endDate", "GREATER_THAN_OR_EQUAL_TO", "2020-01-01T00:00:00Z", 2),
    ],
)
def test_executions_are_searched_by_any_field_and_operation(
    api: Any, found_two: str, field: str, operation: str, value: Any, count: int
) -> None:
    if isinstance(value, dict):
        value = {"batch": found_two}
    filters = [*labelled(found_two), {"field": field, "operation": operation, "value": value}]

    found = api.search_executions(T, size=10, sort=["state.startDate:desc"], filters=filters)

    assert found["total"] == count


@pytest.fixture(scope="module")
def found_two(executions: Executions) -> str:
    """The label of two executions: a SUCCESS of hello, a FAILED of fails."""
    value = f"two{time.monotonic_ns()}"
    executions.ended("hello", labels=[f"batch:{value}"])
    executions.ended("fails", "FAILED", labels=[f"batch:{value}"])
    return value


def test_filters_are_grouped_by_and_and_or(api: Any, found_two: str) -> None:
    either = {
        "logical": "OR",
        "children": [
            {"field": "flowId", "operation": "EQUALS", "value": "hello"},
            {"field": "state", "operation": "EQUALS", "value": "FAILED"},
        ],
    }

    found = api.search_executions(T, filters=[*labelled(found_two), either])
    pages = [api.search_executions(T, page=p, size=1, filters=labelled(found_two)) for p in (1, 2)]

    assert found["total"] == 2
    assert [page["total"] for page in pages] == [2, 2]
    assert pages[0]["results"][0]["id"] != pages[1]["results"][0]["id"]


@drives("search_executions_by_flow_id")
def test_executions_of_one_flow(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello")

    found = api.search_executions_by_flow_id(T, NS, "hello", page=1, size=1)

    assert found["results"][0]["id"] == ended.id


@drives("latest_executions")
def test_the_latest_execution_of_each_flow(api: Any, executions: Executions) -> None:
    hello, fails = executions.ended("hello"), executions.ended("fails", "FAILED")

    latest = api.latest_executions(
        T, [{"namespace": NS, "id": "hello"}, {"namespace": NS, "id": "fails"}]
    )

    assert {(one.id, one.flow_id, one.status) for one in latest} == {
        (hello.id, "hello", "SUCCESS"),
        (fails.id, "fails", "FAILED"),
    }


@drives("execution_flow_graph")
def test_the_graph_of_an_execution_shows_its_task_runs(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello")

    graph = api.execution_flow_graph(ended.id, T)

    assert len(graph.nodes) == 7
    assert len(graph.edges) == 6
    assert len(graph.clusters) == 1


@drives("flow_from_execution", "flow_from_execution_by_id")
def test_the_flow_of_an_execution(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello")

    assert api.flow_from_execution_by_id(ended.id, T).id == "hello"
    assert api.flow_from_execution(T, NS, "hello", revision=1).namespace == NS
    with pytest.raises(NotFoundException):
        api.flow_from_execution(T, NS, "hello", revision=99)


@drives("download_file_from_execution", "file_metadatas_from_execution")
@drives("preview_file_from_execution")
def test_files_of_an_execution(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello", inputs={"paper": b"one\ntwo\nthree\n"})
    uri = ended.inputs["paper"]

    preview = api.preview_file_from_execution(ended.id, uri, T, max_rows=2)

    assert api.download_file_from_execution(ended.id, uri, T) == b"one\ntwo\nthree\n"
    assert api.file_metadatas_from_execution(ended.id, uri, T).size == 14
    assert preview["content"] == "one\ntwo\n"
    assert preview["truncated"] is True
    with pytest.raises(UnprocessableEntityException):
        api.preview_file_from_execution(ended.id, uri, T, encoding="klingon")
    with pytest.raises(UnprocessableEntityException):
        api.file_metadatas_from_execution(ended.id, "kestra:///nowhere/else.txt", T)


@drives("eval_expression", "eval_task_run_expression")
def test_expressions_are_evaluated(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello", inputs={"who": "Ann"})
    run = ended.task_run_list[0]

    assert api.eval_expression(ended.id, T, "{{ inputs.who }}")["result"] == "Ann"
    found = api.eval_task_run_expression(ended.id, run.id, T, "{{ taskrun.id }}")
    assert found.result == run.id


@drives("kill_execution")
def test_a_running_execution_is_killed(api: Any, executions: Executions) -> None:
    running = executions.running()

    killed = api.kill_execution(running, T, is_on_kill_cascade=True)

    assert killed.state.current in ("KILLING", "KILLED")
    executions.reached(running, "KILLED")
    with pytest.raises(ConflictException):
        api.kill_execution(running, T, is_on_kill_cascade=False)


@drives("kill_executions_by_ids", "kill_executions_by_query")
def test_many_are_killed(api: Any, executions: Executions, label: str) -> None:
    by_id, by_label = executions.running(), executions.start("waits", labels=[f"batch:{label}"])
    executions.reached(by_label, "PAUSED")

    assert api.kill_executions_by_ids(T, [by_id])["count"] == 1
    assert api.kill_executions_by_query(T, filters=labelled(label))["count"] == 1

    executions.reached(by_id, "KILLED")
    executions.reached(by_label, "KILLED")
    with pytest.raises(UnprocessableEntityException) as error:
        api.kill_executions_by_ids(T, [by_id, "nobody"])
    assert "execution already finished" in invalids(error)
    assert "execution not found" in invalids(error)


@drives("delete_execution")
def test_an_execution_is_deleted_with_its_log(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello")

    api.delete_execution(ended.id, T, delete_logs=True, delete_metrics=True, delete_storage=True)

    with pytest.raises(NotFoundException):
        api.execution(ended.id, T)
    with pytest.raises(NotFoundException):
        api.delete_execution(ended.id, T)


@drives("delete_executions_by_ids", "delete_executions_by_query")
def test_many_are_deleted(api: Any, executions: Executions, label: str) -> None:
    one = executions.ended("hello").id
    running = executions.start("slow", labels=[f"batch:{label}"])

    with pytest.raises(UnprocessableEntityException) as error:
        api.delete_executions_by_ids(T, [one, running])
    assert api.delete_executions_by_ids(T, [one]).count == 1
    eventually(lambda: api.search_executions(T, filters=labelled(label))["total"], lambda n: n == 1)
    deleted = api.delete_executions_by_query(T, labelled(label), include_non_terminated=True)

    assert "invalid bulk delete" in invalids(error)
    assert deleted["count"] == 1
    assert api.search_executions(T, filters=labelled(label))["total"] == 0


@drives("pause_execution", "resume_execution")
def test_an_execution_is_paused_and_resumed(api: Any, executions: Executions) -> None:
    running, ended = executions.running(), executions.ended("hello").id

    assert api.pause_execution(running, T).state.current == "PAUSED"
    resumed = api.resume_execution(running, T)
    assert resumed.state.current == "RUNNING"

    with pytest.raises(UnprocessableEntityException):
        api.pause_execution(ended, T)
    with pytest.raises(ConflictException):
        api.resume_execution(ended, T)
    api.kill_execution(running, T)


@drives("pause_executions_by_ids", "pause_executions_by_query")
@drives("resume_executions_by_ids", "resume_executions_by_query")
def test_many_are_paused_and_resumed(api: Any, executions: Executions, label: str) -> None:
    running = executions.running()
    other = executions.start("slow", labels=[f"batch:{label}"])
    executions.reached(other, "RUNNING")

    assert api.pause_executions_by_ids(T, [running])["count"] == 1
    assert api.pause_executions_by_query(T, labelled(label))["count"] == 1
    with pytest.raises(UnprocessableEntityException) as error:
        api.pause_executions_by_ids(T, [running])
    assert api.resume_executions_by_ids(T, [running])["count"] == 1
    assert api.resume_executions_by_query(T, labelled(label))["count"] == 1

    assert "execution not in state RUNNING" in invalids(error)
    api.kill_executions_by_ids(T, [running, other])


@drives("validate_resume_execution_inputs")
def test_a_pause_is_resumed_with_values(api: Any, executions: Executions) -> None:
    paused = executions.paused()

    checked = api.validate_resume_execution_inputs(paused, T, {"word": "go"})
    api.resume_execution(paused, T, {"word": "go"})

    assert checked["inputs"][0]["value"] == "go"
    executions.reached(paused, "SUCCESS")


@drives("restart_execution")
def test_a_failed_execution_is_restarted_under_its_id_or_with_a_revision_as_a_copy(
    api: Any, executions: Executions
) -> None:
    failed = executions.ended("fails", "FAILED")

    restarted = api.restart_execution(failed.id, T)
    executions.reached(failed.id, "FAILED")
    copied = api.restart_execution(failed.id, T, revision=1)

    assert restarted.id == failed.id
    assert restarted.state.current == "RESTARTED"
    assert copied.id != failed.id
    assert copied.parent_id == failed.id
    assert copied.state.current == "RESTARTED"
    executions.reached(copied.id, "FAILED")
    with pytest.raises(UnprocessableEntityException, match="No task found"):
        api.restart_execution(executions.ended("hello").id, T)
    with pytest.raises(NotFoundException):
        api.restart_execution(failed.id, T, revision=99)


@drives("restart_executions_by_ids", "restart_executions_by_query")
def test_many_are_restarted(api: Any, executions: Executions, label: str) -> None:
    failed = executions.ended("fails", "FAILED").id
    other = executions.ended("fails", "FAILED", labels=[f"batch:{label}"]).id

    assert api.restart_executions_by_ids(T, [failed])["count"] == 1
    assert api.restart_executions_by_query(T, labelled(label))["count"] == 1

    for one in (failed, other):
        run = eventually(
            lambda one=one: api.execution(one, T).task_run_list[1],
            lambda run: len(run.attempts or []) == 2 and run.state.current == "FAILED",
        )
        assert run.task_id == "broken"


@drives("replay_execution")
def test_a_replay_is_a_new_execution(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello", inputs={"who": "Bob"})

    whole = api.replay_execution(ended.id, T)
    part = api.replay_execution(ended.id, T, task_run_id=ended.task_run_list[1].id, revision=1)

    assert whole.state.current == "CREATED"
    assert whole.parent_id == part.parent_id == whole.original_id == ended.id
    assert part.state.current == "RESTARTED"
    assert [run.state.current for run in part.task_run_list] == ["SUCCESS", "RESTARTED"]
    assert executions.reached(whole.id, "SUCCESS").inputs["who"] == "Bob"
    assert len(executions.reached(part.id, "SUCCESS").task_run_list) == 2
    with pytest.raises(UnprocessableEntityException, match="No task found"):
        api.replay_execution(ended.id, T, task_run_id="nobody")


@drives("replay_execution_with_inputs")
def test_a_replay_with_other_inputs(api: Any, executions: Executions) -> None:
    ended = executions.ended("hello", inputs={"who": "Bob"})

    replayed = api.replay_execution_with_inputs(ended.id, T, inputs={"who": "Eve"})
    same = api.replay_execution_with_inputs(ended.id, T)

    assert executions.reached(replayed.id, "SUCCESS").inputs["who"] == "Eve"
    assert executions.reached(same.id, "SUCCESS").inputs["who"] == "Bob"


@drives("replay_executions_by_ids", "replay_executions_by_query")
def test_many_are_replayed(api: Any, executions: Executions, label: str) -> None:
    ended = executions.ended("hello", labels=[f"batch:{label}"]).id

    by_ids = api.replay_executions_by_ids(T, [ended], latest_revision=True)
    by_query = api.replay_executions_by_query(T, labelled(label), latest_revision=True)

    assert by_ids["count"] == 1
    assert by_query["count"] == 2
    assert api.search_executions(T, filters=labelled(label))["total"] == 4


@drives("force_run_execution", "force_run_by_ids", "force_run_executions_by_query")
def test_a_scheduled_execution_is_forced_to_run(
    api: Any, executions: Executions, label: str
) -> None:
    one, two = executions.scheduled(), executions.scheduled()
    three = executions.start(
        "hello", schedule_date="2099-01-01T00:00:00Z", labels=[f"batch:{label}"]
    )

    forced = api.force_run_execution(one, T)
    assert api.force_run_by_ids(T, [two])["count"] == 1
    eventually(lambda: api.search_executions(T, filters=labelled(label))["total"], lambda n: n == 1)
    assert api.force_run_executions_by_query(T, labelled(label))["count"] == 1

    assert forced.state.current != "CREATED"
    for execution_id in (one, two, three):
        executions.reached(execution_id, "SUCCESS")
    with pytest.raises(UnprocessableEntityException):
        api.force_run_execution(one, T)


@drives("unqueue_execution", "unqueue_executions_by_ids", "unqueue_executions_by_query")
def test_what_is_not_queued_cannot_be_unqueued(
    api: Any, executions: Executions, label: str
) -> None:
    ended = executions.ended("hello", labels=[f"batch:{label}"]).id
    calls: list[Callable[[], Any]] = [
        lambda: api.unqueue_execution(ended, T),
        lambda: api.unqueue_executions_by_ids(T, "RUNNING", [ended]),
        lambda: api.unqueue_executions_by_query(T, filters=labelled(label)),
    ]

    for call in calls:
        with pytest.raises(UnprocessableEntityException):
            call()


@drives("set_labels_on_terminated_execution", "set_labels_on_terminated_executions_by_ids")
@drives("set_labels_on_terminated_executions_by_query")
def test_labels_are_set_on_what_has_ended(api: Any, executions: Executions, label: str) -> None:
    ended = executions.ended("hello", labels=[f"batch:{label}"])
    new = [{"key": "colour", "value": "red"}]

    labelled_now = api.set_labels_on_terminated_execution(ended.id, T, new)
    by_ids = api.set_labels_on_terminated_executions_by_ids(
        T, {"executionsId": [ended.id], "executionLabels": [{"key": "team", "value": "it"}]}
    )
    by_query = api.set_labels_on_terminated_executions_by_query(
        T, [{"key": "size", "value": "xl"}], filters=labelled(label)
    )

    assert "colour" in {one.key for one in labelled_now.labels}
    assert by_ids["count"] == by_query["count"] == 1
    found = {one.key: one.value for one in api.execution(ended.id, T).labels}
    assert (found["colour"], found["team"], found["size"]) == ("red", "it", "xl")
    with pytest.raises(UnprocessableEntityException):
        api.set_labels_on_terminated_execution(ended.id, T, [{"key": "system.x", "value": "y"}])


@drives("update_execution_status", "update_executions_status_by_ids")
@drives("update_executions_status_by_query")
def test_the_status_of_what_has_ended_is_changed(
    api: Any, executions: Executions, label: str
) -> None:
    ended = executions.ended("hello", labels=[f"batch:{label}"]).id
    running = executions.running()

    assert api.update_execution_status(ended, "WARNING", T).state.current == "WARNING"
    assert api.update_executions_status_by_ids(T, "FAILED", [ended])["count"] == 1
    assert api.execution(ended, T).state.current == "FAILED"
    by_query = api.update_executions_status_by_query(T, "KILLED", filters=labelled(label))
    assert by_query["count"] == 1
    assert api.execution(ended, T).state.current == "KILLED"
    with pytest.raises(UnprocessableEntityException):
        api.update_execution_status(running, "SUCCESS", T)
    api.kill_execution(running, T)


@drives("update_task_run_state")
def test_a_failed_task_run_made_a_success_lets_the_flow_go_on(
    api: Any, executions: Executions
) -> None:
    failed = executions.ended("fails", "FAILED")
    run = failed.task_run_list[1]

    api.update_task_run_state(failed.id, T, {"taskRunId": run.id, "state": "SUCCESS"})

    ended = executions.reached(failed.id, "SUCCESS")
    assert [one.task_id for one in ended.task_run_list] == ["before", "broken", "behind"]
    assert ended.task_run_list[1].attempts[-1].state.current == "SUCCESS"


@drives("trigger_execution_by_get_webhook", "trigger_execution_by_get_webhook_with_path")
@drives("trigger_execution_by_post_webhook_with_path")
@drives("trigger_execution_by_put_webhook_with_path")
def test_a_webhook_starts_its_flow(api: Any, executions: Executions) -> None:
    started = [
        api.trigger_execution_by_get_webhook(T, NS, "hello", "s3cret"),
        api.trigger_execution_by_get_webhook_with_path(T, NS, "hello", "s3cret", "here"),
        api.trigger_execution_by_post_webhook_with_path(T, NS, "hello", "s3cret", "here"),
        api.trigger_execution_by_put_webhook_with_path(T, NS, "hello", "s3cret", "here"),
    ]

    for one in started:
        executions.reached(one.id, "SUCCESS")
    with pytest.raises(NotFoundException):
        api.trigger_execution_by_get_webhook(T, NS, "hello", "wrong")


@drives("follow_execution", "follow_execution_raw")
def test_an_execution_is_followed_to_its_end(api: Any, executions: Executions) -> None:
    states = [one.state.current for one in api.follow_execution(executions.start("hello"), T)]
    raw = api.follow_execution_raw(executions.start("hello"), T)
    lines: Iterator[bytes] = raw.iter_lines()

    assert states[-1] == "SUCCESS"
    assert any(line == b"id: end" for line in lines)


@drives("follow_dependencies_execution", "follow_dependencies_execution_raw")
def test_what_an_execution_started_is_followed(api: Any, executions: Executions) -> None:
    parent = executions.ended("parent")

    events = list(api.follow_dependencies_execution(parent.id, T, expand_all=True))
    raw = api.follow_dependencies_execution_raw(parent.id, T)

    assert {(one.flow_id, one.state.current) for one in events} == {
        ("parent", "SUCCESS"),
        ("hello", "SUCCESS"),
    }
    assert any(line == b"id: end" for line in raw.iter_lines())


@drives("find_distinct_execution_field_values")
def test_the_values_of_a_field(api: Any, found_two: str) -> None:
    found = api.find_distinct_execution_field_values(
        T, "flowId", size=10, filters=labelled(found_two)
    )

    assert sorted(found) == ["fails", "hello"]


@drives("export_executions_by_query_to_csv")
def test_executions_are_exported_as_csv(api: Any, found_two: str) -> None:
    text = api.export_executions_by_query_to_csv(T, filters=labelled(found_two))

    header, *rows = text.strip().splitlines()
    assert header.startswith("id,")
    assert len(rows) == 2


@drives("list_executable_namespaces", "list_executable_flows_by_namespace")
def test_what_can_be_executed(api: Any) -> None:
    assert NS in api.list_executable_namespaces(T)
    flows = api.list_executable_flows_by_namespace(NS, T)
    assert {"hello", "fails"} <= {flow.id for flow in flows}


@drives("execution_average_duration")
def test_the_average_duration_of_a_flow(api: Any, executions: Executions) -> None:
    executions.ended("hello")

    assert api.execution_average_duration(NS, "hello", T)["avgDurationMs"] >= 0


@drives("resume_execution_from_breakpoint")
def test_an_execution_is_suspended_before_tasks(
    api: Any, server: RunningServer, executions: Executions
) -> None:
    server.save(STEPS)
    suspended = executions.reached(
        executions.start("steps", breakpoints="second,last"), "BREAKPOINT"
    )
    at_last = api.resume_execution_from_breakpoint(suspended.id, T)
    eventually(
        lambda: api.execution(suspended.id, T),
        lambda x: len(x.task_run_list) == 3 and x.state.current == "BREAKPOINT",
    )
    # The last one is let go, and the execution is suspended no more.
    api.resume_execution_from_breakpoint(suspended.id, T, breakpoints="")
    ended = executions.reached(suspended.id, "SUCCESS")
    copied = api.replay_execution(suspended.id, T, breakpoints="first")

    assert at_last.id == suspended.id
    assert [run.state.current for run in suspended.task_run_list] == ["SUCCESS", "BREAKPOINT"]
    assert [one.id for one in suspended.breakpoints] == ["second", "last"]
    states = [change.state for change in ended.task_run_list[2].state.histories]
    assert states[:3] == ["CREATED", "BREAKPOINT", "CREATED"]
    assert executions.reached(copied.id, "BREAKPOINT").task_run_list[0].task_id == "first"
    api.kill_execution(copied.id, T)
    executions.reached(copied.id, "KILLED")
    with pytest.raises(ConflictException):
        api.resume_execution_from_breakpoint(suspended.id, T)
    with pytest.raises(UnprocessableEntityException):
        executions.start("steps", breakpoints="unknown")


@drives("validate_new_execution_inputs")
def test_inputs_are_validated_without_a_start(api: Any) -> None:
    checked = api.validate_new_execution_inputs(NS, "hello", T, inputs={"who": "Ann"})

    assert checked["inputs"][0]["value"] == "Ann"
