"""Storms over the executor: lost commits, crashes, duplicates, rebalances, gaps.

Everything runs in one thread over a log in memory with seeded faults, so a seed that fails fails
again. When the storm is over, every execution has ended once and its fold is its state.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tests.executor_harness import SETTINGS, TOPICS, Bench, PlayedWorker

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import LogError
from tiercel_engine.eventlog.memory import Faults, MemoryLog, SimulatedCrash
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.slots import Slots, apply
from tiercel_engine.executor.service import Executor
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_schemas import events as e
from tiercel_schemas.codec import AvroRecord, decode
from tiercel_schemas.commands import (
    KillExecution,
    PauseExecution,
    ResumeExecution,
    SaveFlow,
    UnqueueExecution,
)
from tiercel_schemas.common import Payload
from tiercel_schemas.concurrency import SlotBatch
from tiercel_schemas.ids import FlowKey
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
NARROW = """id: narrow
namespace: tests
concurrency: {limit: 2}
tasks:
  - id: a
    type: test.Work
  - id: b
    type: test.Work
"""
FAMILY = """id: family
namespace: tests
tasks:
  - id: both
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {id: one, type: io.kestra.plugin.core.flow.Subflow, namespace: tests, flowId: two}
      - {id: other, type: io.kestra.plugin.core.flow.Subflow, namespace: tests, flowId: two}
"""
ASKING = """id: asking
namespace: tests
tasks:
  - id: choice
    type: io.kestra.plugin.core.flow.If
    condition: "{{ kv('k') }}"
    then:
      - id: a
        type: test.Work
        runIf: "{{ kv('a') }}"
outputs:
  - {id: found, type: STRING, value: "{{ kv('x') }}"}
"""
MANY = """id: many
namespace: tests
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEachItem
    items: kestra:///some/file
    namespace: tests
    flowId: told
    transmitFailed: false
    concurrencyLimit: {limit}
"""
#: Its outputs are what the played worker says of every task.
TOLD = """id: told
namespace: tests
tasks:
  - {id: a, type: test.Work}
outputs:
  - {id: v, type: STRING, value: "{{ outputs.a.value }}"}
"""
LOOPS = """id: loops
namespace: tests
tasks:
  - id: outer
    type: io.kestra.plugin.core.flow.Loop
    values: [a, b, c]
    transmitFailed: false
    concurrencyLimit: {limit}
    tasks:
      - id: inner
        type: io.kestra.plugin.core.flow.Loop
        values: [1, 2]
        transmitFailed: false
        tasks:
          - {{id: work, type: test.Work}}
"""
BATCHES = 7
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

    def weather(self, flow_id: str, count: int) -> set[str]:
        """Ask for executions in the middle of a storm; returns their ids."""
        self.log.faults = STORM
        ids = set()
        for number in range(count):
            ids.add(self.create(number, flow_id))
            self.turn()
        for _ in range(300):
            self.turn()
        self.log.faults = Faults()
        return ids

    def settle(self, count: int) -> dict[str, Execution]:
        """Go on in calm weather until that many executions are there and have ended."""
        for _ in range(TURNS_MAX):
            self.turn()
            states = self.bench.folded()
            if len(states) == count and all(x.is_ended for x in states.values()):
                break
        return self.bench.folded()

    def create(self, number: int, flow_id: str) -> str:
        """Ask for an execution as a client does: again, until the log has taken it."""
        while True:
            try:
                return self.bench.create(number, flow_id)
            except SimulatedCrash:
                continue

    def send(self, command: AvroRecord, key: str) -> None:
        """Send a command as a client does: again, until the log has taken it."""
        while True:
            try:
                self.bench.send(command, key)
                return
            except SimulatedCrash:
                continue

    def kill(self, execution_id: str) -> None:
        """Kill an execution, as a client does."""
        self.send(KillExecution(f"kill-{execution_id}", execution_id), execution_id)

    def settle_all(self, parents: set[str]) -> dict[str, Execution]:
        """Go on in calm weather until these, and all that they have started, have ended."""
        for _ in range(TURNS_MAX):
            self.turn()
            states = self.bench.folded()
            fans = [fan for x in states.values() for fan in x.fan_outs.values()]
            count = len(parents) + sum(fan.next for fan in fans)
            if len(states) == count and all(x.is_ended for x in states.values()):
                return states
        raise AssertionError("Expected everything to end, but something goes on.")

    def close(self) -> None:
        if self.executor is not None:
            self.executor.close()
        if self.worker is not None:
            self.worker.consumer.close()
        self.bench.close()


@pytest.mark.parametrize("seed", range(12))
def test_after_any_storm_every_execution_has_ended_once(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed, tmp_path)
    simulation.bench.save(FLOW, "two")
    ids = simulation.weather("two", EXECUTIONS)

    folded = simulation.settle(len(ids))

    assert set(folded) == ids
    assert {x.state for x in folded.values()} <= {State.SUCCESS, State.FAILED}
    check_once(simulation.bench)
    simulation.close()


@pytest.mark.parametrize("seed", range(6))
def test_after_any_storm_every_child_has_ended_and_told_its_parent(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(FLOW, "two")
    bench.save(FAMILY, "family")
    parents = simulation.weather("family", EXECUTIONS // 4)

    folded = simulation.settle(3 * len(parents))

    children = {x.id: x for x in folded.values() if x.reply_to is not None}
    assert set(folded) == parents | set(children)
    for parent_id in parents:
        runs = folded[parent_id].runs_in_order()
        own = [children[run.child_id] for run in runs if run.child_id is not None]
        assert len(own) == 2
        assert [run.state for run in runs if run.child_id] == [child.state for child in own]
    check_once(bench)
    simulation.close()


@pytest.mark.parametrize("seed", range(6))
def test_after_any_storm_every_template_that_workers_render_has_one_answer(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(ASKING, "asking")
    ids = simulation.weather("asking", EXECUTIONS // 2)

    folded = simulation.settle(len(ids))

    assert set(folded) == ids
    assert {x.state for x in folded.values()} <= {State.SUCCESS, State.FAILED}
    for execution_id, batches in bench.batches().items():
        events = [event for batch in batches for event in batch.events]
        answers = [ev.task_run_id for ev in events if isinstance(ev, e.EvaluationEnded)]
        assert len(answers) == len(set(answers)), "a template was answered twice"
        assert not folded[execution_id].evaluations
        assert any(isinstance(ev, e.EvaluationEnded) for ev in events)
    check_once(bench)
    simulation.close()


@pytest.mark.parametrize("seed", range(8))
def test_in_any_storm_no_more_executions_run_than_their_flow_lets(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(NARROW, "narrow")
    ids = simulation.weather("narrow", EXECUTIONS)

    folded = simulation.settle(len(ids))

    assert {x.state for x in folded.values()} <= {State.SUCCESS, State.FAILED}
    check_once(bench)
    states = slots_at_the_end(simulation)
    assert max(len(slots.holders) for slots in states) == 2
    assert not states[-1].holders
    assert not states[-1].queue
    granted = [
        change.execution_id
        for batch in slot_batches(bench)
        for change in batch.changes
        if change.kind == "GRANTED"
    ]
    assert set(granted) == ids
    simulation.close()


@pytest.mark.parametrize("seed", range(8))
def test_in_any_storm_neither_kills_nor_pauses_nor_a_new_limit_lose_a_slot(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    bench, rng = simulation.bench, random.Random(seed)
    bench.save(NARROW, "narrow")
    simulation.log.faults = STORM
    ids = []
    for number in range(EXECUTIONS):
        ids.append(simulation.create(number, "narrow"))
        simulation.turn()
        who = rng.choice(ids)
        command = rng.choice(
            [
                KillExecution(f"kill-{number}", who),
                PauseExecution(f"pause-{number}", who),
                ResumeExecution(f"resume-{number}", who, Payload()),
                UnqueueExecution(f"unqueue-{number}", who, State.CANCELLED),
            ]
        )
        simulation.send(command, who)
        if number == EXECUTIONS // 2:
            source = NARROW.replace("limit: 2", "limit: 3")
            save = SaveFlow("wider", "tests", "narrow", source, bench.clock.now_us())
            simulation.send(save, "main/tests/narrow")
        simulation.turn()
    simulation.log.faults = Faults()
    for number, who in enumerate(ids):
        simulation.send(ResumeExecution(f"go-on-{number}", who, Payload()), who)

    folded = simulation.settle(len(ids))

    assert {x.id for x in folded.values() if x.is_ended} == set(ids)
    check_once(bench)
    states = slots_at_the_end(simulation)
    assert all(len(slots.holders) <= (slots.limit or 0) for slots in states if slots.sequence)
    assert (states[-1].limit, dict(states[-1].holders), dict(states[-1].queue)) == (3, {}, {})
    simulation.close()


def slots_at_the_end(simulation: Simulation) -> list[Slots]:
    """The slots after each change, once every execution has given its own back."""
    for _ in range(TURNS_MAX):
        if not all_slots(simulation.bench)[-1].holders:
            break
        simulation.turn()
    return all_slots(simulation.bench)


def slot_batches(bench: Bench) -> list[SlotBatch]:
    """What happened to the slots of the one flow that has some, in order."""
    values = [decode(record.value) for record in bench.records(TOPICS.executions.name)]
    return [value for value in values if isinstance(value, SlotBatch)]


def all_slots(bench: Bench) -> list[Slots]:
    """The slots after each change."""
    states = [Slots(FlowKey("main", "tests", "narrow"))]
    for batch in slot_batches(bench):
        assert batch.first_seq == states[-1].sequence + 1, "a number is missing or twice there"
        for change in batch.changes:
            states.append(apply(states[-1], change))
    return states


@pytest.mark.parametrize("seed", range(6))
def test_after_any_storm_many_executions_are_counted_once(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(TOLD, "told")
    bench.save(MANY.format(limit=seed % 4), "many")
    parents = simulation.weather("many", 3)

    folded = simulation.settle((1 + BATCHES) * len(parents))

    for parent_id in parents:
        (fan,) = folded[parent_id].fan_outs.values()
        ends = [
            x.state for x in folded.values() if x.reply_to and x.reply_to.execution_id == parent_id
        ]
        assert len(ends) == BATCHES
        assert dict(fan.ended) == Counter(ends)
        assert not fan.open
        assert not fan.sending
        assert not fan.outputs
    check_once(bench)
    simulation.close()


@pytest.mark.parametrize("seed", range(6))
def test_after_any_storm_a_killed_fan_out_leaves_nothing_behind(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(TOLD, "told")
    bench.save(MANY.format(limit=2 + seed % 2), "many")
    simulation.log.faults = STORM
    parents = {simulation.create(number, "many") for number in range(3)}
    for _ in range(simulation.rng.randrange(8, 40)):
        simulation.turn()
    for parent_id in sorted(parents):
        simulation.kill(parent_id)
    for _ in range(200):
        simulation.turn()
    simulation.log.faults = Faults()

    folded = simulation.settle_all(parents)

    for parent_id in parents:
        parent = folded[parent_id]
        for fan in parent.fan_outs.values():
            assert not fan.open
            assert sum(fan.ended.values()) == fan.next
    check_once(bench)
    simulation.close()


@pytest.mark.parametrize("seed", range(4))
def test_after_any_storm_loops_in_loops_have_gone_through_all_values(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    bench = simulation.bench
    bench.save(LOOPS.format(limit=seed % 3), "loops")
    roots = simulation.weather("loops", 2)

    folded = simulation.settle((1 + 3 + 6) * len(roots))

    assert {x.kind for x in folded.values()} == {"NORMAL", "LOOP"}
    for x in folded.values():
        for fan in x.fan_outs.values():
            assert sum(fan.ended.values()) == fan.count
            assert not fan.open
    check_once(bench)
    simulation.close()


def check_once(bench: Bench) -> None:
    """Nothing happened twice."""
    for batches in bench.batches().values():
        events = [event for batch in batches for event in batch.events]
        assert sum(isinstance(event, e.ExecutionCreated) for event in events) == 1
        ended = [
            (event.task_run_id, event.attempt)
            for event in events
            if isinstance(event, e.AttemptEnded)
        ]
        assert len(ended) == len(set(ended)), "an attempt ended twice"
