"""Changing a state by hand: that of a finished execution, or of a task run to go on from there.

Follows Kestra's change-status and change-state.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.ending import stop_following
from tiercel_engine.execution.fan_out_kill import kill_at_once
from tiercel_engine.execution.kill import stop_run
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.pause import wake
from tiercel_engine.execution.restart import (
    HANDLER_BRANCHES,
    is_handler,
    reopen_ancestors,
    take_handlers_out,
)
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
    else:
        _take_handlers_out_around(step, run)
    _end(step, run, command.state)
    reopen_ancestors(step, run.parent_id)
    advance(step, plan, world, *wake(step), *asked, (run.parent_id, run.branch))


def _check_final(state: str) -> None:
    if not is_terminated(state) or state == State.RETRIED:
        raise Rejected(f"Expected a final state, but it was {state}.", "INVALID")


def _take_handlers_out_around(step: Step, run: TaskRun) -> None:
    """Handlers that already run because of the task run, or of what is around it, leave."""
    x = step.execution
    if is_handler(x, run):
        return
    around, parent_id = {""}, run.parent_id
    while parent_id:
        around.add(parent_id)
        parent_id = x.task_runs[parent_id].parent_id
    handlers = [
        other.id
        for other in x.runs_in_order()
        if other.branch in HANDLER_BRANCHES and other.parent_id in around
    ]
    inside = _inside(step, handlers)
    for run_id in inside:
        _stop(step, run_id)
    for run_id in inside:
        step.emit(e.TaskRunRemoved(run_id))


def _end(step: Step, run: TaskRun, state: str) -> None:
    for run_id in _inside(step, [run.id]):
        if run_id != run.id:
            _stop(step, run_id)
    _stop_all_of(step, run.id)
    if run.state != state:
        step.emit(e.TaskRunStateChanged(run.id, state, reason="by request"))


def _stop(step: Step, run_id: str) -> None:
    if not is_terminated(step.execution.task_runs[run_id].state):
        _stop_all_of(step, run_id)
        step.emit(e.TaskRunStateChanged(run_id, State.KILLED, reason="what is around it changed"))


def _stop_all_of(step: Step, run_id: str) -> None:
    """Stop its job, and every execution that it started: no later command would go on."""
    stop_run(step, run_id)
    kill_at_once(step, run_id)


def _inside(step: Step, run_ids: list[str]) -> list[str]:
    """These task runs and all inside them, innermost first. Searches: it is rare."""
    found = dict.fromkeys(run_ids)
    for run in step.execution.runs_in_order():
        if run.parent_id in found:
            found[run.id] = None
    return sorted(found, reverse=True)
