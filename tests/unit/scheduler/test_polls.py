"""Triggers that look, over a log in memory: the worker is played by the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor_harness import TOPICS
from tests.scheduler_harness import Stage, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas import codec
from tiercel_schemas import commands as c
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.triggers import UnlockTrigger

FLOW = """id: watch
namespace: tests
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: hi}
triggers:
  - id: look
    type: io.kestra.plugin.core.http.Trigger
    uri: http://localhost:1
    interval: PT1M
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2025-03-05T10:00:00"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    stage.scheduler()
    yield stage
    stage.close()


def looks(stage: Stage) -> list[TaskJob]:
    jobs = [codec.decode(record.value) for record in stage.bench.records(TOPICS.jobs.name)]
    return [job for job in jobs if isinstance(job, TaskJob) and "/" in job.execution_id]


def answer(stage: Stage, job: TaskJob, state: str = "SUCCESS", **outputs: Any) -> None:
    """What a worker says at the end of a look."""
    end = c.EndAttempt(
        job.execution_id,
        job.task_run_id,
        job.attempt,
        job.epoch,
        "w1",
        state,
        stage.clock.now_us(),
        stage.clock.now_us(),
        outputs=Payload(json=json.dumps(outputs)),
    )
    name = TOPICS.trigger_commands.name
    stage.bench.appender.append(NewRecord(name, job.execution_id, codec.encode(end)))
    stage.schedulers[0].turn()
    stage.executor.turn()


def test_a_look_goes_out_at_once_and_the_next_after_the_interval(stage: Stage) -> None:
    stage.save(FLOW, "watch")
    stage.schedulers[0].turn()
    (first,) = looks(stage)
    assert first.task_run_id == "main/tests/watch/look", "workers tell looks apart by it"
    assert json.loads(first.task_json)["uri"] == "http://localhost:1"
    answer(stage, first)
    stage.clock.advance(59)
    stage.schedulers[0].turn()
    assert len(looks(stage)) == 1

    stage.clock.advance(2)
    stage.schedulers[0].turn()

    assert len(looks(stage)) == 2
    assert stage.created() == []


def test_what_was_found_starts_once_and_locks_the_trigger(stage: Stage) -> None:
    stage.save(FLOW, "watch")
    stage.schedulers[0].turn()
    (job,) = looks(stage)

    for _ in range(2):
        answer(stage, job, starts=[{"variables": {"code": 200}}])

    (created,) = stage.created()
    assert stage.variables(created) == {"code": 200}
    assert stage.state("watch/look").execution_id is not None
    stage.clock.advance(300)
    stage.schedulers[0].turn()
    assert len(looks(stage)) == 1, "it rests while its execution runs"
    stage.worker.consumer.poll(100, 0.0)
    stage.ask(
        UnlockTrigger("u", "main", "tests", "watch", "look"),
        "watch",
    )
    stage.schedulers[0].turn()
    stage.schedulers[0].turn()
    assert len(looks(stage)) == 2


def test_a_cursor_is_kept_with_what_it_started(stage: Stage) -> None:
    stage.save(FLOW + "    allowConcurrent: true\n", "watch")
    stage.schedulers[0].turn()
    starts = [{"variables": {"n": n}, "key": f"topic/0/{n}"} for n in (1, 2)]
    answer(stage, looks(stage)[0], starts=starts, cursor={"0": 3})
    stage.clock.advance(61)

    stage.crash(stage.schedulers[0])
    stage.scheduler("1")
    stage.schedulers[0].turn()

    assert len(stage.created()) == 2
    variables = json.loads(looks(stage)[-1].variables.json or "{}")
    assert variables["cursor"] == {"0": 3}
    answer(stage, looks(stage)[-1], starts=[{"variables": {"n": 2}, "key": "topic/0/2"}])
    assert len(stage.created()) == 2, "the same reason starts nothing twice"


def test_an_answer_that_does_not_come_is_asked_for_again(stage: Stage) -> None:
    stage.save(FLOW, "watch")
    stage.schedulers[0].turn()
    stage.clock.advance(301)

    stage.schedulers[0].turn()

    first, second = looks(stage)
    answer(stage, first, starts=[{"variables": {}}])
    assert stage.created() == [], "the older look is not heard any more"
    answer(stage, second, starts=[{"variables": {}}])
    assert len(stage.created()) == 1


def test_a_look_that_fails_warns_and_comes_again(stage: Stage) -> None:
    stage.save(FLOW, "watch")
    stage.schedulers[0].turn()

    answer(stage, looks(stage)[0], "FAILED")
    stage.clock.advance(61)
    stage.schedulers[0].turn()

    assert len(looks(stage)) == 2
    assert stage.created() == []


def test_a_failed_look_may_give_a_failed_execution(stage: Stage) -> None:
    stage.save(FLOW + "    failOnTriggerError: true\n", "watch")
    stage.schedulers[0].turn()

    answer(stage, looks(stage)[0], "FAILED")

    (execution,) = stage.bench.folded().values()
    assert execution.state == "FAILED"
