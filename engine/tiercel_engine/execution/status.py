"""Changing a state by hand: that of a finished execution, or of a task run to go on from there.

Follows Kestra's change-status and change-state.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.ending import stop_following
from tiercel_engine.execution.fan_out_kill import kill_at_once
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.pause import wake
from tiercel_engine.execution.restart import reopen_ancestors, take_handlers_out
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import ChangeExecutionState, ChangeTaskRunState
from tiercel_schemas.state import State, is_terminated


def change_execution_state(step: Step, command: ChangeExecutionState, world: World) -> None:
    """Give a finished execution another final state; its task runs stay as they are."""
    x = step.execution
    if not x.is_ended:
        raise Rejected("The execution is not terminated", "INVALID")
    _check_final(command.state)
    if x.state == command.state:
        step.stale = f"the execution is {x.state} already"
    elif x.state == State.RETRIED:
        raise Rejected("The execution was retried by another one: change that.", "INVALID")
    else:
        step.emit(e.ExecutionStateChanged(command.state))


def change_task_run_state(step: Step, command: ChangeTaskRunState, world: World) -> None:
    """End a task run in this state, whatever it was, and go on as if it had ended so."""
    x = step.execution
    _check_final(command.state)
    run = x.task_runs.get(command.task_run_id)
    if run is None:
        raise Rejected(f"There is no task run {command.task_run_id}.", "NOT_FOUND")
    if x.state in (State.KILLING, State.RETRIED):
        raise Rejected(f"Expected an execution that can go on, but it is {x.state}.", "CONFLICT")
    plan = plan_of(step, world)
    if plan is None:
        if x.is_ended:
            raise Rejected(f"There is no revision {x.flow_revision} of its flow.", "NOT_FOUND")
        abandon(step)
        return
    asked = sorted(x.unasked)
    if x.is_closing:
        stop_following(step, "a task run was changed")
    if x.is_ended:
        step.emit(e.ExecutionRestarted(x.attempt_number, x.flow_revision))
        take_handlers_out(step, keep=run.id)
        step.emit(e.ExecutionStateChanged(State.RUNNING))
    _end(step, run, command.state)
    reopen_ancestors(step, run.parent_id)
    advance(step, plan, world, *wake(step), *asked, (run.parent_id, run.branch))


def _check_final(state: str) -> None:
    if not is_terminated(state) or state == State.RETRIED:
        raise Rejected(f"Expected a final state, but it was {state}.", "INVALID")


def _end(step: Step, run: TaskRun, state: str) -> None:
    x = step.execution
    if run.is_leased:
        step.revoke(run.id, run.attempt, run.epoch, "SUPERSEDED", None)
    if run.id in x.waiting and run.child_id is not None:
        step.kill_child(run.child_id)
    kill_at_once(step, run.id)
    for inner in _live_inside(step, run.id):
        step.emit(e.TaskRunStateChanged(inner, State.KILLED, reason="its flowable was ended"))
    if run.state != state:
        step.emit(e.TaskRunStateChanged(run.id, state, reason="by request"))


def _live_inside(step: Step, run_id: str) -> list[str]:
    """Open task runs inside a flowable; what they wait for is stopped. Searches: it is rare."""
    x = step.execution
    inside = {run_id}
    live: list[str] = []
    for run in x.runs_in_order():
        if run.parent_id not in inside:
            continue
        inside.add(run.id)
        if is_terminated(run.state):
            continue
        live.append(run.id)
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
        if run.id in x.waiting and run.child_id is not None:
            step.kill_child(run.child_id)
        kill_at_once(step, run.id)
    return live[::-1]
