"""Events of task runs that wait: for a resume, a date, an execution, another time round."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import (
    dropped,
    waiting_for_others,
    with_run,
)
from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def task_run_paused(x: Execution, event: e.TaskRunPaused, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    paused = replace(run, state=State.PAUSED, due_us=event.due_us, after_pause=event.due_state)
    return replace(
        with_run(x, run, paused),
        paused=x.paused.set(run.id, None),
        waiting=dropped(x.waiting, run.id),
    )


def task_run_resumed(x: Execution, event: e.TaskRunResumed, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    resumed = replace(
        run,
        state=State.RUNNING,
        due_us=None,
        after_pause=event.state,
        outputs=run.outputs if event.outputs is None else event.outputs,
    )
    waits = x.waiting.set(run.id, None) if run.id in x.fan_outs else x.waiting
    return replace(with_run(x, run, resumed), paused=x.paused.delete(run.id), waiting=waits)


def iteration_scheduled(x: Execution, event: e.IterationScheduled, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    waits = replace(run, due_us=event.due_us, next_iteration=event.iteration)
    return replace(
        with_run(x, run, waits),
        waiting=x.waiting.set(run.id, None),
        evaluated=dropped(x.evaluated, run.id),
    )


def iteration_started(x: Execution, event: e.IterationStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    started_us = at_us if event.iteration == 1 else run.started_us
    goes_on = replace(run, due_us=None, outputs=event.outputs, started_us=started_us)
    return replace(
        with_run(x, run, goes_on),
        waiting=dropped(x.waiting, run.id),
        members=x.members.set(run.id, Map()),
    )


def values_resolved(x: Execution, event: e.ValuesResolved, at_us: int) -> Execution:
    known = x.values.get(event.task_run_id, ())
    values = x.values.set(event.task_run_id, known + event.values)
    return replace(x, sequence=x.sequence + 1, values=values)


def child_started(x: Execution, event: e.ChildStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    return waiting_for_others(x, run, at_us, attempt=event.attempt, child_id=event.child_id)


def retry_scheduled(x: Execution, event: e.RetryScheduled, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    waiting = replace(run, state=State.RETRYING, due_us=event.due_us)
    x = with_run(x, run, waiting)
    return replace(x, retrying=x.retrying.set(run.id, None))
