"""Ending an execution early, because one of its tasks says so. Follows Kestra's Exit.

Nothing more starts; what no worker has started yet is taken back, what runs may end. Then every
open task run, and the execution, take the state that the task named. KILLED kills.
"""

from __future__ import annotations

from tiercel_engine.execution.ending import end_execution, stop_following
from tiercel_engine.execution.evaluations import drop_evaluations
from tiercel_engine.execution.kill import kill_now
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated


def request_exit(step: Step, state: str) -> None:
    """Let nothing more start; the execution ends in `state` as soon as nothing runs."""
    if state == State.KILLED and step.execution.is_closing:
        stop_following(step, "a task ended the execution")
        return
    if state == State.KILLED:
        # As in Kestra, executions that this one has started go on.
        kill_now(step, cascade=False)
        return
    drop_evaluations(step)
    x = step.emit(e.ExitRequested(state))
    for run_id in sorted([*x.leased, *x.retrying, *x.paused, *x.waiting]):
        run = x.task_runs[run_id]
        if run_id in x.waiting and run_id in x.fan_outs:
            step.emit(e.FanOutStopped(run_id))
            continue
        if run.worker_id is not None or (run.child_id is not None and run_id in x.waiting):
            continue
        if run.is_leased:
            step.revoke(run_id, run.attempt, run.epoch, "KILLED", None)
        step.emit(e.TaskRunStateChanged(run_id, state))


def settle_exit(step: Step, plan: Plan, world: World) -> bool:
    """End what is open, and the execution, once nothing runs; whether it has done so.

    Looks at every task run, once in the life of an execution that a task ends.
    """
    x = step.execution
    if not x.exit or x.is_ended or x.waiting:
        return False
    left = [x.task_runs.get(run_id) for run_id in sorted(x.leased)]
    folders = [run for run in left if run is not None and run.is_session]
    if len(folders) < len(left):
        return False
    for run in folders:
        # Its worker waits for a task that will never come.
        step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
    for run in x.runs_in_order():
        if not is_terminated(run.state):
            step.emit(e.TaskRunStateChanged(run.id, x.exit))
    end_execution(step, plan, world, x.exit)
    return True
