"""Storms over the executor: lost commits, crashes, duplicates, rebalances, gaps.

Everything runs in one thread over a log in memory with seeded faults, so a seed that fails fails
again. When the storm is over, every execution has ended once and its fold is its state.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.executor_harness import SETTINGS, Bench, PlayedWorker

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import LogError
from tiercel_engine.eventlog.memory import Faults, MemoryLog, SimulatedCrash
from tiercel_engine.executor.service import Executor
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_schemas import events as e
from tiercel_schemas.state import State

FLOW = """id: two
namespace: tests
tasks:
  - id: a
    type: test.Work
    retry: {type: constant, interval: PT1S, maxAttempts: 3}
  - id: b
    type: test.Work
"""
EXECUTIONS = 40
TURNS_MAX = 3_000
STORM = Faults(duplicate=0.05, uncertain=0.05, crash=0.01, rebalance=0.02, gap=0.1)


class Simulation:
    """One executor and one worker that die and come back."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, seed=seed)
        self.bench = Bench(self.log, self.clock, folder)
        self.rng = random.Random(seed)
        self.settings = ExecutorSettings(
            idle_poll_s=0.0,
            batch_records_max=SETTINGS.batch_records_max,
            checkpoint_every_s=0.0,
            checkpoint_after_records=self.rng.choice([1, 50, 10_000]),
        )
        self.executor: Executor | None = None
        self.worker: PlayedWorker | None = None

    def turn(self) -> None:
        """Let one of the two do something; a crash costs its process."""
        if self.rng.random() < 0.5:
            try:
                if self.executor is None:
                    self.executor = self.bench.executor(self.settings)
                    self.executor.open()
                self.executor.turn()
            except SimulatedCrash:
                self.executor = None
        else:
            try:
                if self.worker is None:
                    self.worker = PlayedWorker(self.bench)
                self.worker.turn(self.rng.choice([State.SUCCESS, State.SUCCESS, State.FAILED]))
            except (SimulatedCrash, LogError):
                self.worker = None
        self.clock.advance(0.2)

    def create(self, number: int) -> str:
        """Ask for an execution as a client does: again, until the log has taken it."""
        while True:
            try:
                return self.bench.create(number, "two")
            except SimulatedCrash:
                continue

    def close(self) -> None:
        if self.executor is not None:
            self.executor.close()
        if self.worker is not None:
            self.worker.consumer.close()
        self.bench.close()


@pytest.mark.parametrize("seed", range(12))
def test_after_any_storm_every_execution_has_ended_once(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(FLOW, "two")
    ids = set()
    simulation.log.faults = STORM
    for number in range(EXECUTIONS):
        ids.add(simulation.create(number))
        simulation.turn()
    for _ in range(300):
        simulation.turn()

    simulation.log.faults = Faults()
    for _ in range(TURNS_MAX):
        simulation.turn()
        states = bench.folded()
        if set(states) == ids and all(x.is_ended for x in states.values()):
            break

    folded = bench.folded()
    assert set(folded) == ids
    assert {x.state for x in folded.values()} <= {State.SUCCESS, State.FAILED}
    for batches in bench.batches().values():
        events = [event for batch in batches for event in batch.events]
        assert sum(isinstance(event, e.ExecutionCreated) for event in events) == 1
        ended = [
            (event.task_run_id, event.attempt)
            for event in events
            if isinstance(event, e.AttemptEnded)
        ]
        assert len(ended) == len(set(ended)), "an attempt ended twice"
    simulation.close()
