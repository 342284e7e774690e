"""Executions that an operator wants to be left alone, and an executor that leaves them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.executor_harness import SETTINGS, Bench, PlayedWorker

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.execution.skips import skips_of
from tiercel_schemas.commands import KillExecution
from tiercel_schemas.state import State

FLOW = "{id: one, namespace: tests, tasks: [{id: a, type: test.Work}]}"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    bench = Bench(MemoryLog(clock), clock, tmp_path)
    bench.save(FLOW, "one")
    yield bench
    bench.close()


def test_what_is_said_to_a_skipped_execution_changes_nothing_but_a_kill(bench: Bench) -> None:
    running = bench.create(1, "one")
    first = bench.executor()
    first.open()
    first.turn()
    first.close()

    second = bench.executor(replace(SETTINGS, skips=skips_of("", "tests.one", "")))
    second.open()
    new = bench.create(2, "one")
    PlayedWorker(bench).turn()
    for _ in range(3):
        second.turn()

    assert {x.id: x.state for x in bench.folded().values()} == {
        running: State.RUNNING,
        new: State.CREATED,
    }

    bench.send(KillExecution("kill", new))
    second.turn()

    assert bench.folded()[new].state == State.KILLED
    second.close()
