"""Random histories: the read model equals a plain fold, however it is batched, cut or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.read_model_harness import MS, START_US, Journal, created

from tiercel_engine.clock import iso, to_datetime
from tiercel_engine.flow.duration import format_duration
from tiercel_engine.indexer import projector
from tiercel_engine.indexer.service import rebuild
from tiercel_engine.repository.base import ExecutionFilter, JsonObject, Store
from tiercel_engine.repository.store import open_store
from tiercel_schemas import events as e
from tiercel_schemas.common import Label, Payload
from tiercel_schemas.state import is_terminated

NAMES = ("a", "b", "c")

EPOCH = to_datetime(START_US)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


class Teller:
    """Draws histories that an executor could have written."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._runs: dict[str, dict[str, list[Any]]] = {}
        self._made = 0

    def event(self, name: str, now_ms: int) -> e.Event:
        if name not in self._runs:
            self._runs[name] = {}
            labels = self._labels()
            return created(inputs='{"n":1}', labels=tuple((x.key, x.value) for x in labels))
        runs = self._runs[name]
        kinds = ["state", "restart", "outputs", "labels"] + ["create"] * (3 - len(runs))
        if runs:
            kinds += ["run state", "remove", "submit", "retry"] + ["start", "end"] * 4
        kind = self._draw(st.sampled_from(kinds))
        if kind == "state":
            return e.ExecutionStateChanged(self._state())
        if kind == "restart":
            return e.ExecutionRestarted(self._draw(st.integers(2, 9)), 2)
        if kind == "outputs":
            return e.ExecutionOutputsSet(self._payload())
        if kind == "labels":
            return e.LabelsSet(self._labels())
        if kind == "create":
            self._made += 1
            run_id = f"run-{self._made}"
            runs[run_id] = [0, 0]
            return e.TaskRunCreated(run_id, "log", value=self._draw(st.none() | st.just("v")))
        return self._of_run(kind, runs, now_ms)

    def _of_run(self, kind: str, runs: dict[str, list[Any]], now_ms: int) -> e.Event:
        run_id = self._draw(st.sampled_from(sorted(runs)))
        attempt, epoch = runs[run_id]
        if kind == "run state":
            payload = self._payload() if self._draw(st.booleans()) else None
            return e.TaskRunStateChanged(run_id, self._state(), payload)
        if kind == "remove":
            del runs[run_id]
            return e.TaskRunRemoved(run_id)
        if kind == "retry":
            return e.RetryScheduled(run_id, START_US)
        if kind == "submit" or attempt == 0:
            again = attempt > 0 and self._draw(st.booleans())
            runs[run_id] = [attempt, epoch + 1] if again else [attempt + 1, 1]
            return e.AttemptSubmitted(run_id, *runs[run_id])
        begin = START_US + (now_ms + self._draw(st.integers(-5, 5))) * MS
        if kind == "start":
            return e.AttemptStarted(run_id, attempt, epoch, "w", begin)
        payload = self._payload() if self._draw(st.booleans()) else None
        return e.AttemptEnded(run_id, attempt, epoch, "FAILED", begin, begin + 2_000, payload)

    def _state(self) -> str:
        return self._draw(st.sampled_from(["RUNNING", "PAUSED", "KILLING", "SUCCESS", "FAILED"]))

    def _payload(self) -> Payload:
        return Payload(json=self._draw(st.sampled_from(['{"a":1}', "{}", '{"b":[1,"x"]}'])))

    def _labels(self) -> tuple[Label, ...]:
        pairs = st.tuples(st.sampled_from("xy"), st.sampled_from("12"))
        return tuple(Label(*pair) for pair in self._draw(st.lists(pairs, max_size=3)))


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, list[e.Event]]]:
    """(execution, milliseconds, its next events) in the order of the log."""
    teller = Teller(draw)
    story = []
    for now_ms in range(draw(st.integers(1, 25))):
        name = draw(st.sampled_from(NAMES))
        story.append((name, now_ms, [teller.event(name, now_ms) for _ in range(draw(ONE_TO_3))]))
    return story


ONE_TO_3 = st.integers(1, 3)


@given(story=stories(), cuts=st.lists(st.integers(1, 6), min_size=1, max_size=8), data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_read_model_equals_a_plain_fold_of_the_events(
    store: Store, story: list[tuple[str, int, list[e.Event]]], cuts: list[int], data: st.DataObject
) -> None:
    # given: an empty read model, rows that hardly ever stay in the cache
    store.clear({}, "logs", "metrics")
    journal = Journal(store)
    history: dict[str, list[tuple[int, e.Event]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector, "CACHE_ROWS_MAX", data.draw(st.integers(0, 2)))

        # when: batches of any size, some records twice, some repeated with more behind them
        indexer = journal.projector()
        batches: list[e.EventBatch] = []
        for name, at_ms, events in story:
            batches.append(journal.happen(name, *events, after_ms=at_ms))
            history.setdefault(name, []).extend((START_US + at_ms * MS, x) for x in events)
            if data.draw(st.booleans()):
                journal.append(name, data.draw(st.sampled_from(batches)))
            if len(batches) % cuts[len(batches) % len(cuts)] == 0:
                indexer.index(journal.unindexed())
        indexer.index(journal.unindexed())

    # then
    expected = {name: plain_fold(name, events) for name, events in history.items()}
    assert rows(store) == expected
    assert_labels_can_be_searched(store, expected)
    for name in history:
        assert store.execution_sequence(name) == journal.sequences[name]

    # and: everything again changes nothing, and neither does a rebuild
    for batch in batches:
        journal.append(batch.execution_id, batch)
    journal.index()
    assert rows(store) == expected
    rebuild(journal.log, journal.topics, store)
    assert rows(store) == expected
    assert_labels_can_be_searched(store, expected)


def rows(store: Store) -> dict[str, JsonObject]:
    return {name: found for name in NAMES if (found := store.execution(name)) is not None}


def assert_labels_can_be_searched(store: Store, expected: dict[str, JsonObject]) -> None:
    for key, value in ((key, value) for key in "xy" for value in "12"):
        where = ExecutionFilter(labels=((key, value),))
        found = {x["id"] for x in store.search_executions(where, 1, 10, []).results}
        label = {"key": key, "value": value}
        assert found == {name for name, x in expected.items() if label in x["labels"]}


# ---- the same in the plainest words: one pass over all events, everything recomputed


def plain_fold(name: str, history: list[tuple[int, e.Event]]) -> JsonObject:
    execution: JsonObject = {"id": name, "deleted": False}
    trail: list[tuple[str, int]] = []
    runs: dict[str, JsonObject] = {}
    trails: dict[str, list[tuple[str, int]]] = {}
    for at_us, event in history:
        if isinstance(event, e.ExecutionCreated):
            trail = [("CREATED", at_us)]
            execution |= {"namespace": event.namespace, "flowId": event.flow_id}
            execution |= {"flowRevision": 1, "inputs": {"n": 1}, "originalId": "first"}
            execution["labels"] = [{"key": x.key, "value": x.value} for x in event.labels]
            execution["metadata"] = {"attemptNumber": 1, "originalCreatedDate": iso(at_us)}
        elif isinstance(event, e.ExecutionStateChanged):
            trail.append((event.state, at_us))
        elif isinstance(event, e.ExecutionRestarted):
            trail.append(("RESTARTED", at_us))
            execution["flowRevision"] = event.flow_revision
            execution["metadata"]["attemptNumber"] = event.attempt_number
            execution.pop("outputs", None)
        elif isinstance(event, e.ExecutionOutputsSet):
            execution["outputs"] = value_of(event.outputs)
        elif isinstance(event, e.LabelsSet):
            execution["labels"] = [{"key": x.key, "value": x.value} for x in event.labels]
        elif isinstance(event, e.TaskRunCreated):
            runs[event.task_run_id] = new_run(name, event)
            trails[event.task_run_id] = [("CREATED", at_us)]
        elif isinstance(event, e.TaskRunRemoved):
            del runs[event.task_run_id]
        else:
            fold_run(runs[event.task_run_id], trails[event.task_run_id], event, at_us)
    execution["state"] = state_of(trail)
    if runs:
        execution["taskRunList"] = list(runs.values())
    for run_id, run in runs.items():
        run["state"] = state_of(trails[run_id])
    return execution


def new_run(name: str, event: e.TaskRunCreated) -> JsonObject:
    run = {
        "id": event.task_run_id,
        "executionId": name,
        "namespace": "company.team",
        "flowId": "hello",
        "taskId": event.task_id,
        "outputs": {},
    }
    return run | ({} if event.value is None else {"value": event.value})


def fold_run(run: JsonObject, trail: list[tuple[str, int]], event: e.Event, at_us: int) -> None:
    if isinstance(event, e.RetryScheduled):
        trail.append(("RETRYING", at_us))
    elif isinstance(event, e.AttemptSubmitted):
        if trail[-1][0] == "RETRYING":
            trail.append(("CREATED", at_us))
        known = run.get("submissions", [])
        if trail[-1][0] == "CREATED" and len(trail) not in [after for after, _ in known]:
            run["submissions"] = [*known, [len(trail), iso(max(at_us, trail[-1][1]))]]
    elif isinstance(event, e.AttemptStarted):
        start_attempt(run, event.started_us)
        if trail[-1][0] != "RUNNING":
            trail.append(("RUNNING", within(event.started_us, trail, at_us)))
    elif isinstance(event, e.AttemptEnded):
        start_attempt(run, event.started_us)
        end_attempt(run, event.state, event.ended_us)
        if event.outputs is not None:
            run["outputs"] = value_of(event.outputs)
        if trail[-1][0] != event.state:
            trail.append((event.state, within(event.ended_us, trail, at_us)))
    elif isinstance(event, e.TaskRunStateChanged):
        if event.outputs is not None:
            run["outputs"] = value_of(event.outputs)
        if is_running(run) and is_terminated(event.state):
            end_attempt(run, event.state, at_us)
        elif is_terminated(event.state) and is_terminated(trail[-1][0]) and "attempts" in run:
            correct_attempt(run, event.state, at_us)
        if trail[-1][0] != event.state:
            trail.append((event.state, at_us))


def is_running(run: JsonObject) -> bool:
    return any(attempt["state"]["current"] == "RUNNING" for attempt in run.get("attempts", []))


def start_attempt(run: JsonObject, at_us: int) -> None:
    ended = [a for a in run.get("attempts", []) if a["state"]["current"] != "RUNNING"]
    run["attempts"] = [*ended, {"state": state_of([("CREATED", at_us), ("RUNNING", at_us)])}]


def us_of(date: str) -> int:
    return START_US + round((datetime.fromisoformat(date) - EPOCH).total_seconds() * 1_000_000)


def correct_attempt(run: JsonObject, state: str, at_us: int) -> None:
    """An ended run takes another final state, and its last attempt with it."""
    before = run["attempts"][-1]["state"]
    trail = [(entry["state"], us_of(entry["date"])) for entry in before["histories"]]
    trail.append((state, max(us_of(before["startDate"]), at_us)))
    run["attempts"][-1] = {"state": state_of(trail)}


def end_attempt(run: JsonObject, state: str, at_us: int) -> None:
    begun_us = us_of(run["attempts"][-1]["state"]["startDate"])
    trail = [("CREATED", begun_us), ("RUNNING", begun_us), (state, max(begun_us, at_us))]
    run["attempts"][-1] = {"state": state_of(trail)}


def within(happened_us: int, trail: list[tuple[str, int]], at_us: int) -> int:
    return max(trail[-1][1], min(happened_us, at_us))


def state_of(trail: list[tuple[str, int]]) -> JsonObject:
    current, last_us = trail[-1]
    first_us = trail[0][1]
    state = {
        "current": current,
        "histories": [{"state": name, "date": iso(us)} for name, us in trail],
        "duration": format_duration(last_us - first_us),
        "startDate": iso(first_us),
    }
    return state | (
        {"endDate": iso(last_us)} if is_terminated(current) or current == "PAUSED" else {}
    )


def value_of(payload: Payload) -> Any:
    return {'{"a":1}': {"a": 1}, "{}": {}, '{"b":[1,"x"]}': {"b": [1, "x"]}}[payload.json or ""]
