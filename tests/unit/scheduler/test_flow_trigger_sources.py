"""What a Flow trigger sees of the execution that it listens to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor_harness import TOPICS
from tests.scheduler_harness import CORE, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import TransientError
from tiercel_engine.eventlog.dead_letters import REASON
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.storage.claims import pack
from tiercel_engine.storage.objects import Storage

LOG = "io.kestra.plugin.core.log.Log"
FLOW = f"{CORE}.trigger.Flow"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2025-03-05T08:00:00"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    stage.scheduler()
    yield stage
    stage.close()


def source(*tasks: str, rest: str = "") -> str:
    lines = "".join(f"  - {task}\n" for task in tasks)
    return f"id: first\nnamespace: tests\n{rest}\ntasks:\n{lines}"


def log(task_id: str) -> str:
    return f"{{id: {task_id}, type: {LOG}, message: hi}}"


def listens(rest: str = "", inputs: str = "") -> str:
    triggers = f"  - id: after\n    type: {FLOW}\n    states: [SUCCESS, FAILED]\n{rest}"
    return flow("second", triggers, inputs)


def heard(stage: Stage, state: str = "SUCCESS") -> dict[str, Any]:
    """Run the first flow to its end; `{{ trigger }}` of what it starts."""
    stage.bench.create(1, "first")
    stage.turns(12, state)
    (created,) = stage.created("second")
    return stage.variables(created)


@pytest.mark.parametrize(
    ("tasks", "state", "failed", "last"),
    [
        ((log("a"), log("b"), log("c")), "SUCCESS", None, "c"),
        ((log("a"), log("b")), "FAILED", "a", "a"),
        (
            (f"{{id: s, type: {CORE}.flow.Sequential, tasks: [{log('a')}, {log('b')}]}}",),
            "FAILED",
            "s",
            "a",
        ),
        (
            (f"{{id: p, type: {CORE}.flow.Parallel, tasks: [{log('a')}, {log('b')}]}}", log("c")),
            "SUCCESS",
            None,
            "c",
        ),
        (
            (f"{{id: p, type: {CORE}.flow.Parallel, tasks: [{log('b')}, {log('a')}]}}",),
            "FAILED",
            "p",
            "a",
        ),
        (
            (f"{{id: e, type: {CORE}.flow.ForEach, values: [1, 2], tasks: [{log('a')}]}}",),
            "SUCCESS",
            None,
            "a",
        ),
        (
            (log("a")[:-1] + ", allowFailure: true}", log("b")),
            "FAILED",
            "b",
            "b",
        ),
    ],
)
def test_it_sees_which_task_failed_first_and_which_came_last(
    stage: Stage, tasks: tuple[str, ...], state: str, failed: str | None, last: str
) -> None:
    stage.save(source(*tasks), "first")
    stage.save(listens(), "second")

    variables = heard(stage, state)

    assert variables.get("firstFailedTaskId") == failed
    assert variables["lastTaskId"] == last


def test_an_errors_branch_comes_last(stage: Stage) -> None:
    stage.save(source(log("a"), rest=f"errors:\n  - {log('help')}"), "first")
    stage.save(listens(), "second")

    variables = heard(stage, "FAILED")

    assert (variables["firstFailedTaskId"], variables["lastTaskId"]) == ("a", "help")


def test_it_sees_labels_without_the_correlation_id(stage: Stage) -> None:
    stage.save(source(log("a"), rest="labels: {team: red, system.readOnly: 'true'}"), "first")
    stage.save(listens(), "second")

    variables = heard(stage)

    assert variables["executionLabels"] == {"team": "red", "system": {"readOnly": "true"}}


@pytest.mark.parametrize(
    ("when", "count"),
    [
        ("{{ namespace | startsWith('tests') and flowId == 'first' }}", 1),
        ("{{ state == 'SUCCESS' and not hasRetryAttempt }}", 1),
        ("{{ hasRetryAttempt }}", 0),
        ("{{ trigger.lastTaskId == 'a' }}", 1),
    ],
)
def test_when_may_ask_in_the_words_of_either_page(stage: Stage, when: str, count: int) -> None:
    stage.save(source(log("a")), "first")
    stage.save(listens(f'    dependsOn: [{{when: "{when}"}}]\n'), "second")

    stage.bench.create(1, "first")
    stage.turns(12)

    assert len(stage.created("second")) == count


def large(stage: Stage) -> str:
    """Let every task give a large value, which lies in storage; its address."""
    uri = "kestra:///tests/first/values/large.json"
    value = {"rows": "x" * 100_000, "count": 3}
    stage.worker.outputs = pack(value, stage.bench.storage, uri)
    assert stage.worker.outputs.claim is not None
    return uri


OUTPUT = "outputs:\n  - {id: rows, type: STRING, value: '{{ outputs.a.rows }}'}"
INPUTS = "inputs:\n  - {id: got, type: STRING}\n  - {id: count, type: INT}"
ASKS = (
    '    when: "{{ outputs.a.count == 3 }}"\n'
    '    inputs: {got: "{{ outputs.a.rows | length }}", count: "{{ outputs.a.count }}"}\n'
)


def test_outputs_that_lie_in_storage_are_fetched(stage: Stage) -> None:
    large(stage)
    stage.save(source(log("a")), "first")
    stage.save(listens(ASKS, INPUTS), "second")

    heard(stage)

    (created,) = stage.created("second")
    assert created.inputs.json == '{"got":"100000","count":3}'


def test_nothing_is_lost_while_storage_does_not_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = large(stage)
    stage.save(source(log("a")), "first")
    stage.save(listens(ASKS, INPUTS), "second")
    get, away = Storage.get, [True]

    def answer(storage: Storage, asked: str) -> bytes:
        if asked == uri and away:
            raise TransientError("storage is away")
        return get(storage, asked)

    monkeypatch.setattr(Storage, "get", answer)
    stage.bench.create(1, "first")
    stage.turns(20)
    assert stage.created("second") == []

    # when
    away.clear()
    stage.turns(8)

    # then
    assert len(stage.created("second")) == 1
    assert stage.bench.records(TOPICS.dead_letters.name) == []


def test_what_storage_never_gives_is_buried_in_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = large(stage)
    stage.save(source(log("a")), "first")
    stage.save(listens(ASKS, INPUTS), "second")
    get = Storage.get

    def refuse(storage: Storage, asked: str) -> bytes:
        if asked == uri:
            raise TransientError("storage is away")
        return get(storage, asked)

    monkeypatch.setattr(Storage, "get", refuse)
    monkeypatch.setattr("tiercel_scheduler.service.DROPS_MAX", 5)

    # when
    stage.bench.create(1, "first")
    stage.turns(40)

    # then
    (letter,) = stage.bench.records(TOPICS.dead_letters.name)
    assert b"storage is away" in (letter.headers or {})[REASON]
