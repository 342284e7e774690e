"""Ending an execution that the engine cannot go on with: loudly, and only this one."""

from __future__ import annotations

from tiercel_engine.execution.evaluations import drop_evaluations
from tiercel_engine.execution.fan_out_kill import kill_all
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated


def abort(step: Step, reason: str) -> None:
    """Revoke what is out, fail what is open, end FAILED with the reason in the log."""
    # Each open task run ends once, however many there are.
    step.events_max += len(step.execution.task_runs)
    step.log("ERROR", reason)
    drop_evaluations(step)
    x = step.execution
    for run_id in sorted(x.leased):
        run = x.task_runs[run_id]
        step.revoke(run_id, run.attempt, run.epoch, "KILLED", None)
    kill_all(step)
    for run_id in sorted(x.waiting):
        child_id = x.task_runs[run_id].child_id
        if child_id is not None:
            step.kill_child(child_id)
    for run in x.runs_in_order():
        if not is_terminated(run.state):
            step.emit(e.TaskRunStateChanged(run.id, State.FAILED, reason=reason))
    step.emit(e.ExecutionStateChanged(State.FAILED, reason=reason))
