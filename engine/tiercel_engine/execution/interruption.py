"""`onChildFailure` of Parallel and Dag: what runs beside a failed task is stopped.

Theory of operation. A flowable that may stop its members knows them from its beginning (`members`,
as a loop does), so stopping costs as much as they are. What a worker runs is KILLING until the
worker says that it has stopped, and so are the flowables around it: none of them is asked for
anything new. Then each takes the state that the flowable has named, from the inside out.
"""

from __future__ import annotations

from tiercel_engine.execution.fan_out_kill import kill_at_once
from tiercel_engine.execution.members import inside
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated


def is_interrupted(x: Execution, run: TaskRun) -> bool:
    """Whether it is being stopped, while its execution goes on."""
    return run.state == State.KILLING and x.state != State.KILLING


def end_state(x: Execution, run: TaskRun) -> str:
    """What a task run that is being stopped ends as: what the nearest flowable has named."""
    parent = x.task_runs.get(run.parent_id)
    while parent is not None:
        if parent.interrupts_as is not None:
            return parent.interrupts_as
        parent = x.task_runs.get(parent.parent_id)
    return State.KILLED


def interrupt(step: Step, plan: Plan, flowable_id: str, state: str) -> None:
    """Stop everything inside a flowable that has not ended."""
    x = step.emit(e.MembersInterrupted(flowable_id, state))
    flowable = x.task_runs[flowable_id]
    reason = f"It was stopped because another task of {flowable.task_id} has failed."
    # The newest first: what is inside comes before what it is in.
    for run_id in inside(x, flowable_id):
        run = step.execution.task_runs[run_id]
        if is_terminated(run.state) or run.state == State.KILLING:
            continue
        step.log("WARN", reason, run_id)
        if run.is_leased and not _took_back(step, run_id):
            step.revoke(run_id, run.attempt, run.epoch, "KILLED", None)
        if run.child_id is not None and run_id in x.waiting:
            step.kill_child(run.child_id)
        kill_at_once(step, run_id)
        started = run.worker_id is not None or has_live(step.execution, plan, run)
        step.emit(e.TaskRunStateChanged(run_id, State.KILLING if started else state, reason=reason))


def _took_back(step: Step, run_id: str) -> bool:
    """Whether its job had not left yet: this step was to send it."""
    kept = [job for job in step.jobs if job.task_run_id != run_id]
    took_back = len(kept) < len(step.jobs)
    step.jobs = kept
    return took_back


def has_live(x: Execution, plan: Plan, run: TaskRun) -> bool:
    """Whether something inside a flowable has not ended."""
    task = plan.task(run.task_id)
    return task is not None and any(x.block(run.id, b).live for b in task.child_lists())
