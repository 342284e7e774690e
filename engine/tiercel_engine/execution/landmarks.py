"""Which task of an execution was the first to fail, and which was begun last.

Looked up when somebody is told of a change: among the newest run of each task and the failures that
are remembered, never among all task runs. Follows `firstFailedTaskId` and `lastTaskId` of Kestra's
Flow trigger, which go by the order in which task runs were made.
"""

from __future__ import annotations

from collections.abc import Iterator

from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_schemas.state import State


def first_failed_task(x: Execution, plan: Plan | None) -> str | None:
    """The task of the FAILED run that was made first."""
    failed = [run for run in (*_newest(x), *_remembered(x)) if run.state == State.FAILED]
    if not failed:
        return None
    return min(failed, key=lambda run: _place(run, plan)).task_id


def last_task(x: Execution, plan: Plan | None) -> str | None:
    """The task of the run that was made last."""
    newest = max(_newest(x), key=lambda run: _place(run, plan), default=None)
    return None if newest is None else newest.task_id


def _newest(x: Execution) -> Iterator[TaskRun]:
    return (x.task_runs[run_id] for run_id in x.runs_of_task.values() if run_id in x.task_runs)


def _remembered(x: Execution) -> Iterator[TaskRun]:
    """Runs of earlier values of an each, too."""
    return (x.task_runs[line.task_run_id] for line in x.errors if line.task_run_id in x.task_runs)


def _place(run: TaskRun, plan: Plan | None) -> tuple[int, int, str]:
    """What one command makes has one time: then the order in the flow tells."""
    return run.created_us, 0 if plan is None else plan.position(run.task_id), run.id
