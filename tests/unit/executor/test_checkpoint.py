"""What waits is in a checkpoint, and its timers follow from it."""

from __future__ import annotations

from tests.engine_harness import EXECUTION, Engine

from tiercel_engine.execution.timers import Continue, IterationDue, OutputsOverdue, PauseDue
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
FAN_OUT = """id: many
namespace: tests
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEachItem
    items: "{{ inputs.file }}"
    namespace: tests
    flowId: child
    concurrencyLimit: 300
---
id: child
namespace: tests
tasks:
  - id: inner
    type: test.Work
"""
LOOP = """id: goes
namespace: tests
tasks:
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
    values: [a, b]
    tasks:
      - id: inner
        type: test.Work
    outputs:
      - {id: v, type: STRING, value: "{{ outputs.inner.v }}"}
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


def test_a_fan_out_is_the_same_after_a_checkpoint_and_goes_on() -> None:
    # given one that waits, one that ended badly, outputs on their way and some to come
    engine = Engine(FAN_OUT)
    engine.create()
    engine.run("each_split", outputs='{"numberOfBatches":700,"batchUri":"kestra:///b/{index}"}')
    engine.item("each_items", 1, "FAILED")
    for index in range(2, 250):
        engine.item("each_items", index, "SUCCESS", '{"a":1}')
    x = engine.execution
    (fan,) = x.fan_outs.values()
    assert fan.sending
    assert fan.outputs
    assert fan.bad
    assert fan.has_more

    # when
    restored = saved_and_restored(engine)

    # then
    assert restored.executions[EXECUTION] == x
    restored.start_timers()
    kinds = {type(timer) for timer in restored.due_timers(10**18, 100)}
    assert kinds == {Continue, OutputsOverdue}


def test_a_time_through_a_loop_is_the_same_after_a_checkpoint() -> None:
    # given
    engine = Engine(LOOP)
    engine.create()
    (command, *_) = engine.commands
    inside = Engine(LOOP)
    inside.create(kind="LOOP", loop=command.loop)
    engine.item("loop", 0, "SUCCESS", '{"v":1}')
    assert engine.execution.fan_outs

    # then
    for each in (engine, inside):
        assert saved_and_restored(each).executions[EXECUTION] == each.execution
    assert [run.task_id for run in inside.execution.runs_in_order()] == ["inner"]
