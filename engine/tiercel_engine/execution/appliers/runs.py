"""Exchanging one task run in the state: counters, waits and the next number follow."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tiercel_engine.execution import transitions
from tiercel_engine.execution.model import (
    BEGIN,
    COUNTERS,
    ERROR_CHARS_MAX,
    ERRORS_MAX,
    START,
    Block,
    ErrorLine,
    Execution,
    TaskRun,
)
from tiercel_schemas.state import State, is_terminated

#: While an execution is in one of these states, no task run starts.
NOTHING_STARTS = frozenset({State.PAUSED, State.BREAKPOINT, State.KILLING})


def with_run(x: Execution, old: TaskRun, new: TaskRun) -> Execution:
    """Exchange a task run, keep its block's counters true, take the next number."""
    blocks, unasked = x.blocks, x.unasked
    if old.state != new.state:
        transitions.check(transitions.TASK_RUN, old.state, new.state, f"task run {old.id}")
        for key in old.block_keys():
            blocks = blocks.set(key, counted(x.block(*key), old.state, new.state))
        if is_terminated(new.state):
            # Should it run again, it begins by that.
            unasked = dropped(dropped(unasked, (new.id, BEGIN)), (new.id, START))
            if x.state in NOTHING_STARTS:
                unasked = unasked.set((new.parent_id, new.branch), None)
    return replace(
        x,
        sequence=x.sequence + 1,
        task_runs=x.task_runs.set(new.id, new),
        blocks=blocks,
        unasked=unasked,
    )


def counted(block: Block, old: str, new: str | None) -> Block:
    """The block's counters after one of its runs left `old` for `new` (None: for nothing)."""
    live = block.live - (not is_terminated(old)) + (new is not None and not is_terminated(new))
    changes: dict[str, Any] = {"live": live}
    for state, delta in ((old, -1), (new, 1)):
        counter = COUNTERS.get(state)  # type: ignore[call-overload]
        if counter is not None:
            changes[counter] = changes.get(counter, getattr(block, counter)) + delta
    return replace(block, **changes)


def without_waits(x: Execution, task_run_id: str) -> Execution:
    """The state once a run that ended waits for nothing any more."""
    run = x.task_runs[task_run_id]
    if run.submitted_us:
        run = replace(run, submitted_us=0, worker_id=None)
        x = replace(x, task_runs=x.task_runs.set(run.id, run))
    if task_run_id in x.evaluated:
        x = replace(x, evaluated=x.evaluated.delete(task_run_id))
    if not any(task_run_id in waits for waits in (x.leased, x.retrying, x.paused, x.waiting)):
        return x
    return replace(
        x,
        evaluations=dropped(x.evaluations, task_run_id),
        leased=dropped(x.leased, task_run_id),
        retrying=dropped(x.retrying, task_run_id),
        paused=dropped(x.paused, task_run_id),
        waiting=dropped(x.waiting, task_run_id),
    )


def with_error(x: Execution, run: TaskRun, message: str | None, at_us: int) -> Execution:
    """The state that remembers why a run failed; templates ask for it by `error`."""
    if message is None:
        return x
    line = ErrorLine(
        run.id, max(run.attempt, 1), at_us, message[:ERROR_CHARS_MAX], run.task_id, run.value
    )
    return replace(x, errors=(*x.errors[-ERRORS_MAX + 1 :], line))


def waiting_for_others(x: Execution, run: TaskRun, at_us: int, **changes: Any) -> Execution:
    """The state once an attempt of a run has begun that is executions."""
    started = replace(
        run,
        state=State.RUNNING,
        started_us=at_us,
        first_started_us=at_us if run.first_started_us is None else run.first_started_us,
        due_us=None,
        **changes,
    )
    return replace(
        with_run(x, run, started),
        waiting=x.waiting.set(run.id, None),
        retrying=dropped(x.retrying, run.id),
    )


def dropped(runs: Any, key: Any) -> Any:
    return runs.delete(key) if key in runs else runs
