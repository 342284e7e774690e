"""apply(execution, event) -> execution: what an event does to the state. Replayed for ever.

Rules of this file: no decision, no clock, no I/O, no rendering. What a released event does never
changes; a new meaning is a new event. One applier per event, one table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution import transitions
from tiercel_engine.execution.model import (
    COUNTERS,
    ITERATION_MARK,
    Block,
    BlockKey,
    Execution,
    TaskRun,
)
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated

#: While an execution is in one of these states, no task run starts.
NOTHING_STARTS = frozenset({State.PAUSED, State.KILLING})


class EventGap(AssertionError):
    """The log lacks events of an execution: a torn write. Its partition must not go on."""


def fold(execution: Execution, batch: e.EventBatch) -> Execution:
    """Apply one record of the executions topic; events already seen are ignored.

    Raises:
        EventGap: the batch starts after the next expected number.
    """
    number = batch.first_seq
    for event in batch.events:
        if number > execution.sequence + 1:
            raise EventGap(
                f"Expected event {execution.sequence + 1} of execution {execution.id}, but the "
                f"log went on with {number}."
            )
        if number == execution.sequence + 1:
            execution = apply(execution, event, batch.at_us)
        number += 1
    return execution


def apply(execution: Execution, event: e.Event, at_us: int) -> Execution:
    """The state after one event, which takes the next number.

    Args:
        execution: the state before; one with sequence 0 does not exist yet.
        at_us: when the event was decided, microseconds since the epoch.
    """
    return APPLIERS[type(event)](execution, event, at_us)


def _created(x: Execution, event: e.ExecutionCreated, at_us: int) -> Execution:
    assert not x.exists, f"Expected execution {x.id} not to exist, but it is {x.state}."
    return Execution(
        id=x.id,
        sequence=1,
        tenant=event.tenant,
        namespace=event.namespace,
        flow_id=event.flow_id,
        flow_revision=event.flow_revision,
        state=State.CREATED,
        created_us=at_us,
        inputs=event.inputs,
        labels=event.labels,
        trigger=event.trigger,
        parent_id=event.parent_id,
        original_id=event.original_id,
        scheduled_us=event.scheduled_us,
        kind=event.kind,
        trace_parent=event.trace_parent,
        reply_to=event.reply_to,
        depth=event.depth,
    )


def _state_changed(x: Execution, event: e.ExecutionStateChanged, at_us: int) -> Execution:
    transitions.check(transitions.EXECUTION, x.state, event.state, f"execution {x.id}")
    goes_on = event.state == State.RUNNING
    return replace(
        x,
        sequence=x.sequence + 1,
        state=event.state,
        is_held=event.by_request,
        unasked=Map() if goes_on else x.unasked,
    )


def _restarted(x: Execution, event: e.ExecutionRestarted, at_us: int) -> Execution:
    transitions.check(transitions.EXECUTION, x.state, State.RESTARTED, f"execution {x.id}")
    return replace(
        x,
        sequence=x.sequence + 1,
        state=State.RESTARTED,
        attempt_number=event.attempt_number,
        flow_revision=event.flow_revision,
        outputs=None,
    )


def _outputs_set(x: Execution, event: e.ExecutionOutputsSet, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, outputs=event.outputs)


def _labels_set(x: Execution, event: e.LabelsSet, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, labels=event.labels)


def _task_run_created(x: Execution, event: e.TaskRunCreated, at_us: int) -> Execution:
    parent = x.task_runs.get(event.parent_task_run_id or "")
    path = parent.path if parent is not None else ()
    if ITERATION_MARK in event.branch and event.value is not None:
        path = (*path, event.value)
    run = TaskRun(
        id=event.task_run_id,
        task_id=event.task_id,
        parent_id=event.parent_task_run_id or "",
        branch=event.branch,
        state=State.CREATED,
        created_us=at_us,
        value=event.value,
        iteration=event.iteration,
        path=path,
        loop_id=_loop_around(x, parent),
    )
    valued, members = x.valued_runs, x.members
    if run.loop_id:
        members = members.set(run.loop_id, members[run.loop_id].set(run.id, None))
    if path:
        valued = valued.set(run.task_id, valued.get(run.task_id, Map()).set(path, run.id))
    return replace(
        x,
        sequence=x.sequence + 1,
        task_runs=x.task_runs.set(run.id, run),
        blocks=_counted_in(x, run),
        runs_of_task=x.runs_of_task.set(run.task_id, run.id),
        valued_runs=valued,
        members=members,
    )


def _loop_around(x: Execution, parent: TaskRun | None) -> str:
    if parent is None:
        return ""
    return parent.id if parent.id in x.members else parent.loop_id


def _counted_in(x: Execution, run: TaskRun) -> Map[BlockKey, Block]:
    """The counters after a run was created."""
    blocks = x.blocks
    keys = run.block_keys()
    begins = len(keys) > 1 and x.block(*keys[-1]).created == 0
    for key in keys:
        block = x.block(*key)
        counted = replace(
            block,
            created=block.created + 1,
            live=block.live + 1,
            iterations=block.iterations + begins,
            last_id=run.id,
        )
        blocks = blocks.set(key, counted)
    return blocks


def _task_run_state_changed(x: Execution, event: e.TaskRunStateChanged, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    outputs = run.outputs if event.outputs is None else event.outputs
    after_pause = run.after_pause
    if run.state == State.PAUSED or (is_terminated(run.state) and after_pause != State.RUNNING):
        # Nobody resumed it: should it run again, it pauses again.
        after_pause = None
    changed = replace(run, state=event.state, outputs=outputs, after_pause=after_pause)
    x = _with_run(x, run, changed)
    if is_terminated(event.state):
        return _without_waits(x, run.id)
    return x


def _task_run_paused(x: Execution, event: e.TaskRunPaused, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    paused = replace(run, state=State.PAUSED, due_us=event.due_us, after_pause=event.due_state)
    return replace(_with_run(x, run, paused), paused=x.paused.set(run.id, None))


def _task_run_resumed(x: Execution, event: e.TaskRunResumed, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    resumed = replace(
        run,
        state=State.RUNNING,
        due_us=None,
        after_pause=event.state,
        outputs=run.outputs if event.outputs is None else event.outputs,
    )
    return replace(_with_run(x, run, resumed), paused=x.paused.delete(run.id))


def _task_run_removed(x: Execution, event: e.TaskRunRemoved, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    blocks = x.blocks
    for key in run.block_keys():
        block = _counted(x.block(*key), run.state, None)
        if block.created > 1:
            blocks = blocks.set(key, replace(block, created=block.created - 1))
        else:
            blocks = blocks.delete(key)
    valued = x.valued_runs
    if run.path and valued[run.task_id].get(run.path) == run.id:
        valued = valued.set(run.task_id, valued[run.task_id].delete(run.path))
    runs_of_task = x.runs_of_task
    if runs_of_task.get(run.task_id) == run.id:
        runs_of_task = runs_of_task.delete(run.task_id)
    return replace(
        x,
        sequence=x.sequence + 1,
        task_runs=x.task_runs.delete(run.id),
        blocks=blocks,
        runs_of_task=runs_of_task,
        valued_runs=valued,
        values=_dropped(x.values, run.id),
        members=_without_member(x, run),
    )


def _without_member(x: Execution, run: TaskRun) -> Map[str, Map[str, None]]:
    members: Map[str, Map[str, None]] = _dropped(x.members, run.id)
    around = members.get(run.loop_id)
    return members if around is None else members.set(run.loop_id, _dropped(around, run.id))


def _iteration_scheduled(x: Execution, event: e.IterationScheduled, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    waits = replace(run, due_us=event.due_us, next_iteration=event.iteration)
    return replace(_with_run(x, run, waits), waiting=x.waiting.set(run.id, None))


def _iteration_started(x: Execution, event: e.IterationStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    started_us = at_us if event.iteration == 1 else run.started_us
    goes_on = replace(run, due_us=None, outputs=event.outputs, started_us=started_us)
    return replace(
        _with_run(x, run, goes_on),
        waiting=_dropped(x.waiting, run.id),
        members=x.members.set(run.id, Map()),
    )


def _values_resolved(x: Execution, event: e.ValuesResolved, at_us: int) -> Execution:
    known = x.values.get(event.task_run_id, ())
    values = x.values.set(event.task_run_id, known + event.values)
    return replace(x, sequence=x.sequence + 1, values=values)


def _attempt_submitted(x: Execution, event: e.AttemptSubmitted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    # A retry starts over at CREATED; a restarted run keeps RESTARTED until it is RUNNING.
    state = State.CREATED if run.state == State.RETRYING else run.state
    submitted = replace(
        run,
        state=state,
        attempt=event.attempt,
        epoch=event.epoch,
        worker_id=None,
        submitted_us=at_us,
        due_us=None,
    )
    x = _with_run(x, run, submitted)
    return replace(x, leased=x.leased.set(run.id, None), retrying=_dropped(x.retrying, run.id))


def _attempt_started(x: Execution, event: e.AttemptStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    first = event.started_us if run.first_started_us is None else run.first_started_us
    started = replace(run, state=State.RUNNING, worker_id=event.worker_id, first_started_us=first)
    return _with_run(x, run, started)


def _attempt_ended(x: Execution, event: e.AttemptEnded, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    ended = replace(
        run,
        state=event.task_run_state or event.state,
        worker_id=None,
        submitted_us=0,
        ended_us=event.ended_us,
        outputs=run.outputs if event.outputs is None else event.outputs,
        first_started_us=(
            event.started_us if run.first_started_us is None else run.first_started_us
        ),
    )
    return _without_waits(_with_run(x, run, ended), run.id)


def _child_started(x: Execution, event: e.ChildStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    started = replace(
        run,
        state=State.RUNNING,
        attempt=event.attempt,
        child_id=event.child_id,
        started_us=at_us,
        first_started_us=at_us if run.first_started_us is None else run.first_started_us,
        due_us=None,
    )
    return replace(
        _with_run(x, run, started),
        waiting=x.waiting.set(run.id, None),
        retrying=_dropped(x.retrying, run.id),
    )


def _retry_scheduled(x: Execution, event: e.RetryScheduled, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    waiting = replace(run, state=State.RETRYING, due_us=event.due_us)
    x = _with_run(x, run, waiting)
    return replace(x, retrying=x.retrying.set(run.id, None))


def _with_run(x: Execution, old: TaskRun, new: TaskRun) -> Execution:
    """Exchange a task run, keep its block's counters true, take the next number."""
    blocks, unasked = x.blocks, x.unasked
    if old.state != new.state:
        transitions.check(transitions.TASK_RUN, old.state, new.state, f"task run {old.id}")
        for key in old.block_keys():
            blocks = blocks.set(key, _counted(x.block(*key), old.state, new.state))
        if x.state in NOTHING_STARTS and is_terminated(new.state):
            unasked = unasked.set((new.parent_id, new.branch), None)
    return replace(
        x,
        sequence=x.sequence + 1,
        task_runs=x.task_runs.set(new.id, new),
        blocks=blocks,
        unasked=unasked,
    )


def _counted(block: Block, old: str, new: str | None) -> Block:
    """The block's counters after one of its runs left `old` for `new` (None: for nothing)."""
    live = block.live - (not is_terminated(old)) + (new is not None and not is_terminated(new))
    changes: dict[str, Any] = {"live": live}
    for state, delta in ((old, -1), (new, 1)):
        counter = COUNTERS.get(state)  # type: ignore[call-overload]
        if counter is not None:
            changes[counter] = changes.get(counter, getattr(block, counter)) + delta
    return replace(block, **changes)


def _without_waits(x: Execution, task_run_id: str) -> Execution:
    """The state once a run that ended waits for nothing any more."""
    run = x.task_runs[task_run_id]
    if run.submitted_us:
        run = replace(run, submitted_us=0, worker_id=None)
        x = replace(x, task_runs=x.task_runs.set(run.id, run))
    if not any(task_run_id in waits for waits in (x.leased, x.retrying, x.paused, x.waiting)):
        return x
    return replace(
        x,
        leased=_dropped(x.leased, task_run_id),
        retrying=_dropped(x.retrying, task_run_id),
        paused=_dropped(x.paused, task_run_id),
        waiting=_dropped(x.waiting, task_run_id),
    )


def _dropped(runs: Any, task_run_id: str) -> Any:
    return runs.delete(task_run_id) if task_run_id in runs else runs


#: One applier per event. A missing one is a KeyError: better a stopped partition than a lost fact.
APPLIERS: dict[type[Any], Callable[[Execution, Any, int], Execution]] = {
    e.ExecutionCreated: _created,
    e.ExecutionStateChanged: _state_changed,
    e.ExecutionRestarted: _restarted,
    e.ExecutionOutputsSet: _outputs_set,
    e.LabelsSet: _labels_set,
    e.TaskRunCreated: _task_run_created,
    e.TaskRunStateChanged: _task_run_state_changed,
    e.TaskRunPaused: _task_run_paused,
    e.TaskRunResumed: _task_run_resumed,
    e.TaskRunRemoved: _task_run_removed,
    e.AttemptSubmitted: _attempt_submitted,
    e.AttemptStarted: _attempt_started,
    e.AttemptEnded: _attempt_ended,
    e.ChildStarted: _child_started,
    e.IterationScheduled: _iteration_scheduled,
    e.IterationStarted: _iteration_started,
    e.RetryScheduled: _retry_scheduled,
    e.ValuesResolved: _values_resolved,
}
