"""Events that make, change and remove task runs."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import (
    counted,
    dropped,
    with_error,
    with_run,
    without_waits,
)
from tiercel_engine.execution.model import ITERATION_MARK, Block, BlockKey, Execution, TaskRun
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated

#: A flowable that cannot be resolved ends in one of these, with the reason.
BROKEN = frozenset({State.FAILED, State.WARNING})


def task_run_created(x: Execution, event: e.TaskRunCreated, at_us: int) -> Execution:
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


def task_run_state_changed(x: Execution, event: e.TaskRunStateChanged, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    outputs = run.outputs if event.outputs is None else event.outputs
    after_pause = run.after_pause
    if run.state == State.PAUSED or (is_terminated(run.state) and after_pause != State.RUNNING):
        # Nobody resumed it: should it run again, it pauses again.
        after_pause = None
    changed = replace(
        run,
        state=event.state,
        outputs=outputs,
        after_pause=after_pause,
        interrupts_as=None if event.state == State.RUNNING else run.interrupts_as,
    )
    x = with_run(x, run, changed)
    if event.state in BROKEN:
        x = with_error(x, run, event.reason, at_us)
    if is_terminated(event.state):
        return without_waits(x, run.id)
    return x


def task_run_removed(x: Execution, event: e.TaskRunRemoved, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    blocks = x.blocks
    for key in run.block_keys():
        block = counted(x.block(*key), run.state, None)
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
        values=dropped(x.values, run.id),
        fan_outs=dropped(x.fan_outs, run.id),
        members=_without_member(x, run),
        leased=dropped(x.leased, run.id),
        retrying=dropped(x.retrying, run.id),
    )


def _without_member(x: Execution, run: TaskRun) -> Map[str, Map[str, None]]:
    members: Map[str, Map[str, None]] = dropped(x.members, run.id)
    around = members.get(run.loop_id)
    return members if around is None else members.set(run.loop_id, dropped(around, run.id))


def members_kept(x: Execution, event: e.MembersKept, at_us: int) -> Execution:
    members = x.members.set(event.task_run_id, Map())
    return replace(x, sequence=x.sequence + 1, members=members)


def members_interrupted(x: Execution, event: e.MembersInterrupted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    return with_run(x, run, replace(run, interrupts_as=event.state))
