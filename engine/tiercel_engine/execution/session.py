"""WorkingDirectory: tasks that share one folder on one worker. Follows Kestra's task of that name.

Theory of operation. The run of a WorkingDirectory has a lease like an attempt: the worker that
holds it keeps a folder open and waits (a session). The tasks inside are task runs and attempts like
all others, decided one by one by the executor; only their jobs go to the holder's inbox instead of
to whoever is free. So retries, kills, holds, `runIf` and `allowFailure` need nothing of their own.
When no task is left the holder is told to close the folder; `errors` and `finally` run outside.

The folder lives and dies with the lease. When its holder is lost, everything inside runs anew on
another worker: the task runs inside are taken out, for nobody can go on in a folder that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.jobs import SessionClose
from tiercel_schemas.state import State, is_terminated

#: The list of tasks that runs in the folder.
BRANCH = "tasks"


def session_around(x: Execution, plan: Plan, run: TaskRun) -> TaskRun | None:
    """The WorkingDirectory in whose folder a task run belongs."""
    return x.task_runs[run.parent_id] if plan.is_in_folder(run.task_id) else None


def inside(x: Execution, plan: Plan, session: TaskRun) -> Iterator[TaskRun]:
    """The task runs in its folder. Looks them up, one per task."""
    for task in plan.tasks(session.task_id, BRANCH):
        valued = x.valued_runs.get(task.id) if session.path else None
        found = x.runs_of_task.get(task.id) if valued is None else valued.get(session.path)
        run = x.task_runs.get(found) if found is not None else None
        if run is not None and run.parent_id == session.id:
            yield run


def take_inside_out(step: Step, plan: Plan, session: TaskRun) -> None:
    """Forget what has run in a folder that is gone, and stop what may still run there."""
    for run in list(inside(step.execution, plan, session)):
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "SUPERSEDED", None)
        step.emit(e.TaskRunRemoved(run.id))


def close_session(step: Step, session_id: str) -> None:
    """Tell the holder that no task is left."""
    x = step.execution
    session = x.task_runs[session_id]
    assert session.worker_id is not None, f"Expected a worker to hold {session_id}, but none does."
    step.inbox.append((session.worker_id, SessionClose(x.id, session.id, session.epoch)))


def is_done(x: Execution, plan: Plan, session: TaskRun) -> bool:
    """Whether nothing is left to run in its folder."""
    block = x.block(session.id, BRANCH)
    is_last = block.is_broken or block.created >= len(plan.tasks(session.task_id, BRANCH))
    return is_last and not block.live


def end_inside(step: Step, plan: Plan, session: TaskRun) -> None:
    """Fail what still runs in a folder that its holder has closed unasked."""
    for run in list(inside(step.execution, plan, session)):
        if is_terminated(run.state):
            continue
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
        reason = "The folder was closed while it ran there."
        step.log("ERROR", reason, run.id)
        step.emit(e.TaskRunStateChanged(run.id, State.FAILED, reason=reason))
