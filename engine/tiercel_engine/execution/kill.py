"""Killing: nothing starts any more, what runs is stopped, then the execution is KILLED."""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution import fan_out_kill as fan_out
from tiercel_engine.execution.ending import stop_following
from tiercel_engine.execution.evaluations import drop_evaluations
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.timers import Continue
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import KillExecution
from tiercel_schemas.state import State, is_terminated


def kill(step: Step, command: KillExecution, world: World) -> None:
    """Revoke every job that is out; end at once what no worker has started."""
    x = step.execution
    if x.is_closing:
        stop_following(step, "the execution was killed")
        return
    if x.is_ended:
        raise Rejected(f"The execution has already ended {x.state}.", "CONFLICT")
    if x.state == State.KILLING:
        step.stale = "the execution is being killed already"
        return
    kill_now(step, command.cascade)


def kill_now(step: Step, cascade: bool) -> None:
    """Kill an execution that has not ended; with `cascade` those that it has started, too."""
    x = step.execution
    step.emit(e.ExecutionStateChanged(State.KILLING))
    drop_evaluations(step)
    x = step.execution
    for run_id in sorted([*x.leased, *x.retrying]):
        run = x.task_runs[run_id]
        if run.is_leased:
            step.revoke(run_id, run.attempt, run.epoch, "KILLED", None)
        started = run.worker_id is not None
        step.emit(e.TaskRunStateChanged(run_id, State.KILLING if started else State.KILLED))
    for run_id in sorted(run_id for run_id in x.paused if run_id in x.fan_outs):
        # A Loop all of whose values wait for a resume: they are killed like those that run.
        x = step.emit(e.TaskRunResumed(run_id))
    for run_id in sorted(x.waiting):
        if run_id in x.fan_outs and cascade:
            step.emit(e.TaskRunStateChanged(run_id, State.KILLING))
            kill_more(step, run_id)
            continue
        child_id = x.task_runs[run_id].child_id
        if cascade and child_id is not None:
            step.kill_child(child_id)
        step.emit(e.TaskRunStateChanged(run_id, State.KILLED))
    finish_kill(step)


def stop_all(step: Step) -> None:
    """Stop what runs without waiting for the workers, and end every open task run KILLED.

    Looks at every task run, once in the life of an execution.
    """
    drop_evaluations(step)
    x = step.execution
    for run_id in sorted({*x.leased, *x.waiting}):
        stop_run(step, run_id)
    fan_out.kill_all(step)
    for run in x.runs_in_order():
        if not is_terminated(run.state):
            step.emit(e.TaskRunStateChanged(run.id, State.KILLED))


def stop_run(step: Step, run_id: str) -> None:
    """Stop what a task run waits for: its job, the execution that it started."""
    x = step.execution
    run = x.task_runs[run_id]
    if run_id in x.leased:
        step.revoke(run_id, run.attempt, run.epoch, "KILLED", None)
    if run_id not in x.waiting:
        return
    if run.child_id is not None:
        step.kill_child(run.child_id)


def kill_more(step: Step, run_id: str) -> None:
    """Tell the next executions of a fan-out to stop; the last of them ends the run."""
    if fan_out.kill(step, run_id):
        step.follow_ups.append(Continue(step.execution.id, run_id))
    else:
        step.emit(e.TaskRunStateChanged(run_id, State.KILLED))


def finish_kill(step: Step) -> None:
    """When nothing runs any more: every open task run, then the execution, is KILLED.

    Looks at every task run, once in the life of a killed execution.
    """
    x = step.execution
    if x.leased or x.waiting:
        return
    for run in x.runs_in_order():
        if not is_terminated(run.state):
            step.emit(e.TaskRunStateChanged(run.id, State.KILLED))
    step.emit(e.ExecutionStateChanged(State.KILLED))
