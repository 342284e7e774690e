"""Tasks that the executor runs itself, and steps without end, over a log in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor_harness import TOPICS, Bench, PlayedWorker

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.execution import step as steps
from tiercel_engine.executor.service import Executor
from tiercel_schemas import codec
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.state import State

ASSERTING = """id: asserting
namespace: tests
tasks:
  - id: checked
    type: io.kestra.plugin.core.execution.Assert
    conditions: ["true", "{{ 1 == 2 }}"]
"""

MANY = """id: many
namespace: tests
tasks:
  - id: first
    type: test.Work
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{ range(1, 50) }}"
    concurrencyLimit: 0
    tasks:
      - id: work
        type: test.Work
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    bench = Bench(MemoryLog(clock), clock, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def executor(bench: Bench) -> Iterator[Executor]:
    executor = bench.executor()
    executor.open()
    yield executor
    executor.close()


def test_what_an_engine_task_says_and_measures_is_on_its_topics(
    bench: Bench, executor: Executor
) -> None:
    bench.save(ASSERTING, "asserting")
    execution_id = bench.create(1, "asserting")

    executor.turn()

    assert bench.folded()[execution_id].state == State.FAILED
    lines = [codec.decode_as(LogEntry, r.value) for r in bench.records(TOPICS.logs.name)]
    assert [(line.level, line.message, line.task_id) for line in lines] == [
        ("ERROR", "Assertion `{{ 1 == 2 }}` failed!", "checked"),
        ("ERROR", "1 assertion failed!", "checked"),
    ]
    metrics = [codec.decode_as(MetricEntry, r.value) for r in bench.records(TOPICS.metrics.name)]
    assert [(m.name, m.value, m.task_id) for m in metrics] == [
        ("success", 1.0, "checked"),
        ("failed", 1.0, "checked"),
    ]
    assert bench.records(TOPICS.jobs.name) == []


def test_a_step_without_end_ends_its_own_execution_with_the_reason(
    bench: Bench, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEP_EVENTS_MAX", 30)
    bench.save(MANY, "many")
    execution_id = bench.create(1, "many")
    worker = PlayedWorker(bench)

    for _ in range(6):
        executor.turn()
        worker.turn()

    execution = bench.folded()[execution_id]
    assert execution.state == State.FAILED
    assert executor.live_executions() == {}
    lines = [codec.decode_as(LogEntry, r.value) for r in bench.records(TOPICS.logs.name)]
    assert any("at most 30 events" in line.message for line in lines)
