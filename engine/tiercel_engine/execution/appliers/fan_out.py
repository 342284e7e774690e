"""Events of task runs that start many executions."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import (
    dropped,
    waiting_for_others,
)
from tiercel_engine.execution.fan_out_state import RESTARTED, FanOut, Sending
from tiercel_engine.execution.index_set import EMPTY, added, moved, removed, with_range
from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e


def fan_out_started(x: Execution, event: e.FanOutStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    before = x.fan_outs.get(run.id)
    if before is None or before.next == 0:
        fan = FanOut(event.count, event.attempt, again=event.count)
        fan = replace(fan, keeps=event.keeps, stores=event.stores)
    else:
        fan = replace(
            before, attempt=event.attempt, again=0, replaced=Map(), paused=EMPTY, stopped=False
        )
    x = replace(x, fan_outs=x.fan_outs.set(run.id, fan))
    return waiting_for_others(x, run, at_us, attempt=event.attempt, outputs=event.outputs)


def items_started(x: Execution, event: e.ItemsStarted, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    fan = replace(
        fan,
        next=event.first + event.count,
        running=fan.running + event.count,
        open=with_range(fan.open, event.first, event.count),
    )
    return _with(x, event.task_run_id, fan)


def items_restarted(x: Execution, event: e.ItemsRestarted, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    bad, opened = moved(fan.bad.get(event.state, EMPTY), fan.open, event.first, event.last)
    fan = replace(
        fan,
        bad=fan.bad.set(event.state, bad) if bad else dropped(fan.bad, event.state),
        open=opened,
        running=fan.running + event.count,
        ended=_counted(fan.ended, event.state, -event.count),
        again=max(fan.again, event.last + 1),
    )
    return _with(x, event.task_run_id, fan)


def item_ended(x: Execution, event: e.ItemEnded, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    bad = fan.bad
    if event.state in RESTARTED:
        bad = bad.set(event.state, added(bad.get(event.state, EMPTY), event.index))
    outputs, chars, order = fan.outputs, fan.outputs_chars, fan.order
    if event.outputs is not None and event.outputs.json is not None:
        outputs = (*outputs, (event.index, event.outputs.json))
        chars += len(event.outputs.json)
        order = (*order, event.index) if fan.keeps else order
    fan = replace(
        fan,
        open=removed(fan.open, event.index),
        running=fan.running - 1,
        bad=bad,
        replaced=dropped(fan.replaced, event.index),
        ended=_counted(fan.ended, event.state, 1),
        outputs=outputs,
        outputs_chars=chars,
        order=order,
    )
    return _with(x, event.task_run_id, fan)


def item_replaced(x: Execution, event: e.ItemReplaced, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    fan = replace(fan, replaced=fan.replaced.set(event.index, event.child_id))
    return _with(x, event.task_run_id, fan)


def item_paused(x: Execution, event: e.ItemPaused, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    return _with(x, event.task_run_id, replace(fan, paused=added(fan.paused, event.index)))


def item_resumed(x: Execution, event: e.ItemResumed, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    return _with(x, event.task_run_id, replace(fan, paused=removed(fan.paused, event.index)))


def items_left(x: Execution, event: e.ItemsLeft, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    opened, left = moved(fan.open, fan.bad.get(event.state, EMPTY), event.first, event.last)
    fan = replace(
        fan,
        open=opened,
        paused=moved(fan.paused, EMPTY, event.first, event.last)[0],
        running=fan.running - event.count,
        bad=fan.bad.set(event.state, left) if event.state in RESTARTED else fan.bad,
        ended=_counted(fan.ended, event.state, event.count),
    )
    return _with(x, event.task_run_id, fan)


def fan_out_stopped(x: Execution, event: e.FanOutStopped, at_us: int) -> Execution:
    return _with(x, event.task_run_id, replace(x.fan_outs[event.task_run_id], stopped=True))


def outputs_sent(x: Execution, event: e.OutputsSent, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    known = fan.sending.get(event.chunk)
    if known is None:
        sending = Sending(fan.outputs, event.epoch, at_us)
        fan = replace(fan, outputs=(), outputs_chars=0, chunks=event.chunk + 1)
    else:
        sending = replace(known, epoch=event.epoch, sent_us=at_us)
    fan = replace(fan, sending=fan.sending.set(event.chunk, sending))
    return _with(x, event.task_run_id, fan)


def outputs_stored(x: Execution, event: e.OutputsStored, at_us: int) -> Execution:
    fan = x.fan_outs[event.task_run_id]
    fan = replace(fan, sending=fan.sending.delete(event.chunk))
    return _with(x, event.task_run_id, fan)


def _with(x: Execution, run_id: str, fan: FanOut) -> Execution:
    return replace(x, sequence=x.sequence + 1, fan_outs=x.fan_outs.set(run_id, fan))


def _counted(ended: Map[str, int], state: str, change: int) -> Map[str, int]:
    count = ended.get(state, 0) + change
    return ended.set(state, count) if count else dropped(ended, state)
