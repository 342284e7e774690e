"""Events of attempts that workers run."""

from __future__ import annotations

from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import (
    NOTHING_STARTS,
    dropped,
    with_error,
    with_run,
    without_waits,
)
from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def attempt_submitted(x: Execution, event: e.AttemptSubmitted, at_us: int) -> Execution:
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
        is_session=False,
        folder_state=None,
    )
    x = with_run(x, run, submitted)
    return replace(x, leased=x.leased.set(run.id, None), retrying=dropped(x.retrying, run.id))


def attempt_started(x: Execution, event: e.AttemptStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    first = event.started_us if run.first_started_us is None else run.first_started_us
    started = replace(run, state=State.RUNNING, worker_id=event.worker_id, first_started_us=first)
    return with_run(x, run, started)


def attempt_ended(x: Execution, event: e.AttemptEnded, at_us: int) -> Execution:
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
    x = without_waits(with_run(x, run, ended), run.id)
    return with_error(x, run, event.error, at_us) if event.state == State.FAILED else x


def session_started(x: Execution, event: e.SessionStarted, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    first = event.started_us if run.first_started_us is None else run.first_started_us
    started = replace(
        run,
        state=State.RUNNING,
        worker_id=event.worker_id,
        first_started_us=first,
        is_session=True,
    )
    x = with_run(x, run, started)
    if x.state in NOTHING_STARTS:
        # Nobody may be asked for its first task now.
        return replace(x, unasked=x.unasked.set((run.id, ""), None))
    return x


def session_ended(x: Execution, event: e.SessionEnded, at_us: int) -> Execution:
    run = x.task_runs[event.task_run_id]
    ended = replace(
        run,
        worker_id=None,
        submitted_us=0,
        ended_us=event.ended_us,
        folder_state=event.state,
        outputs=run.outputs if event.outputs is None else event.outputs,
    )
    x = with_run(x, run, ended)
    x = replace(x, leased=dropped(x.leased, run.id))
    if x.state in NOTHING_STARTS:
        x = replace(x, unasked=x.unasked.set((run.id, ""), None))
    return with_error(x, run, event.error, at_us) if event.state == State.FAILED else x
