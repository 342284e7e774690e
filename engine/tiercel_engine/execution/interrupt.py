"""Stopping what runs inside a flowable, because one of its tasks has failed."""

from __future__ import annotations

from tiercel_engine.execution import fan_out_kill as fan_out
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.state import is_terminated


def stop_inside(step: Step, parent_id: str, state: str) -> None:
    """End every open task run inside a flowable in this state; nobody waits for the workers.

    Looks at every task run, once in the life of a flowable that fails.
    """
    inside, stopped = {parent_id}, []
    for run in step.execution.runs_in_order():
        if run.parent_id in inside:
            inside.add(run.id)
            if not is_terminated(run.state):
                stopped.append(run)
    flowable = step.execution.task_runs[parent_id].task_id
    for run in reversed(stopped):
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
        if run.id in step.execution.waiting and run.child_id is not None:
            step.kill_child(run.child_id)
        while run.id in step.execution.fan_outs and fan_out.kill(step, run.id):
            """As many as `OPEN_MAX`: there is no later command for a run that has ended."""
        step.log("WARN", f"Stopped, because another task of {flowable} failed.", run.id)
        step.emit(e.TaskRunStateChanged(run.id, state, reason=f"{flowable} failed"))
    ended = {run.id for run in stopped}
    step.jobs = [job for job in step.jobs if job.task_run_id not in ended]
