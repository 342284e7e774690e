"""What waits is in a checkpoint, and its timers follow from it."""

from __future__ import annotations

from tests.engine_harness import EXECUTION, Engine

from tiercel_engine.execution.timers import IterationDue, PauseDue
from tiercel_engine.executor import checkpoint as checkpoints
from tiercel_engine.executor.partition import Partition
from tiercel_engine.executor.settings import ExecutorSettings

FLOW = """id: waits
namespace: tests
tasks:
  - id: all
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - id: nap
        type: io.kestra.plugin.core.flow.Pause
        delay: PT10S
      - id: sub
        type: io.kestra.plugin.core.flow.Subflow
        namespace: tests
        flowId: child
      - id: until
        type: io.kestra.plugin.core.flow.LoopUntil
        condition: "false"
        checkFrequency: {interval: PT5S}
        tasks:
          - id: poll
            type: test.Work
      - id: work
        type: test.Work
---
id: child
namespace: tests
tasks:
  - id: inner
    type: test.Work
"""


def saved_and_restored(engine: Engine) -> Partition:
    """The partition that a checkpoint of this execution gives."""
    before, after = (Partition(0, ExecutorSettings()) for _ in range(2))
    before.keep(engine.execution, engine.clock.now_us())
    checkpoint = checkpoints.decode(checkpoints.encode(checkpoints.take(before, 7)))
    assert checkpoint is not None
    checkpoints.restore(checkpoint, after)
    return after


def test_an_execution_that_waits_for_everything_is_the_same_after_a_checkpoint() -> None:
    # given
    engine = Engine(FLOW)
    engine.create()
    engine.run("poll")
    engine.start("work")
    engine.pause()
    engine.end("work")
    x = engine.execution
    assert x.paused
    assert len(x.waiting) == 2
    assert x.unasked
    assert x.members

    # when
    restored = saved_and_restored(engine)

    # then
    assert restored.executions[EXECUTION] == x


def test_the_timers_of_what_waits_start_again() -> None:
    # given
    engine = Engine(FLOW)
    engine.create()
    engine.run("poll")
    now_us = engine.clock.now_us()

    # when
    restored = saved_and_restored(engine)
    restored.start_timers()

    # then
    nap, until = engine.run_of("nap"), engine.run_of("until")
    timers = restored.due_timers(now_us + 10_000_000, 10)
    assert timers == [
        IterationDue(EXECUTION, until.id, now_us + 5_000_000),
        PauseDue(EXECUTION, nap.id, now_us + 10_000_000),
    ]
