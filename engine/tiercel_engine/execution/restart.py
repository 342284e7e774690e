"""Restart: a finished execution runs again from its failed tasks, under the same id.

Follows Kestra's restart. Unlike there since 2.0, a killed execution can restart, too.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import Asked, advance, start_run
from tiercel_engine.execution.ending import stop_following
from tiercel_engine.execution.labels import RESTARTED, mark
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.session import session_around
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.submit import has_attempts
from tiercel_engine.execution.templates import with_opened
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.flowables import LoopUntil
from tiercel_schemas import events as e
from tiercel_schemas.commands import RestartExecution
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State

#: Task runs of these branches are made anew after a restart.
HANDLER_BRANCHES = frozenset({"errors", "finally", "afterExecution", "listeners"})
RESTARTABLE = frozenset({State.FAILED, State.KILLED, State.CANCELLED, State.PAUSED})


def restart(step: Step, command: RestartExecution, world: World) -> None:
    """Take the error handlers out, then run every failed task again."""
    x = step.execution
    if not x.is_ended:
        if command.reply_to is not None and command.reply_to.index < 0:
            step.stale = "it runs again already, and tells whoever waits for it"
            return
        raise Rejected("Execution must be terminated to be restarted", "CONFLICT")
    revision = command.flow_revision or x.flow_revision
    key = FlowKey(x.tenant, x.namespace, x.flow_id)
    plan = world.plan(key, revision)
    if plan is None:
        raise Rejected(world.missing(key, revision), "NOT_FOUND")
    plan = with_opened(plan.of(x.loop), x, world)
    if plan is None:
        raise Rejected("A template that it has opened is gone.", "NOT_FOUND")
    innermost = innermost_failed(x, plan)
    if not innermost and command.reply_to is not None and x.state != State.FAILED:
        step.tell(command.reply_to)
        return
    if not innermost:
        raise Rejected("No task found to restart execution from!", "INVALID")
    if x.is_closing:
        stop_following(step, "the execution was restarted")
    asked = sorted(x.unasked)
    step.children = {child.execution_id: child for child in command.children}
    step.emit(
        e.ExecutionRestarted(
            attempt_number=x.attempt_number + 1,
            flow_revision=revision,
            reply_to=command.reply_to,
        )
    )
    mark(step, RESTARTED)
    take_handlers_out(step)
    go_on_from(step, plan, world, innermost, asked)


def go_on_from(
    step: Step, plan: Plan, world: World, again: list[tuple[TaskRun, Task]], asked: list[Asked]
) -> None:
    """Let a RESTARTED execution run, with these task runs again."""
    for run, task in again:
        if has_attempts(task) and run.state != State.CREATED:
            step.emit(e.TaskRunStateChanged(run.id, State.RESTARTED))
        reopen_ancestors(step, run.parent_id)
    step.emit(e.ExecutionStateChanged(State.RUNNING))
    for run, task in again:
        asked += _run_again(step, plan, world, run, task)
    advance(step, plan, world, (ROOT, ""), *asked)


def innermost_failed(x: Execution, plan: Plan) -> list[tuple[TaskRun, Task]]:
    """What is to run again: failed task runs with no failed ones inside, oldest first."""
    failed: list[tuple[TaskRun, Task]] = []
    around: set[str] = set()
    for run in x.runs_in_order():
        task = plan.task(run.task_id)
        if task is None or run.state not in RESTARTABLE or is_handler(x, run):
            continue
        session = session_around(x, plan, run)
        if session is not None:
            # What ran in a folder that is gone runs again with the whole of it.
            run, task = session, plan.task(session.task_id)
            if task is None or run.state in RESTARTABLE:
                continue  # It is on the list itself.
        failed.append((run, task))
        parent_id = run.parent_id
        while parent_id and parent_id not in around:
            around.add(parent_id)
            parent_id = x.task_runs[parent_id].parent_id
    distinct = {run.id: (run, task) for run, task in failed if run.id not in around}
    return list(distinct.values())


def _run_again(
    step: Step, plan: Plan, world: World, run: TaskRun, task: Task
) -> list[tuple[str, str]]:
    """Send a task's next attempt, or go on with a flowable; returns whom to ask."""
    if has_attempts(task):
        return start_run(step, plan, world, run.id, task)
    if isinstance(task, LoopUntil) and run.id in step.execution.members:
        step.emit(e.TaskRunStateChanged(run.id, State.RUNNING))
        step.emit(e.IterationScheduled(run.id, 1, step.at_us))
        return []
    if any(step.execution.block(run.id, branch).created for branch in task.child_lists()):
        step.emit(e.TaskRunStateChanged(run.id, State.RUNNING))
        return [(run.id, "")]
    return start_run(step, plan, world, run.id, task)


def is_handler(x: Execution, run: TaskRun) -> bool:
    """Whether the run, or anything around it, belongs to an error handler or the like."""
    while run.branch.partition(".")[0] not in HANDLER_BRANCHES:
        if not run.parent_id:
            return False
        run = x.task_runs[run.parent_id]
    return True


def take_handlers_out(step: Step, keep: str | None = None) -> None:
    """Remove the task runs of error handlers and the like, unless `keep` is one of them."""
    x = step.execution
    if keep is not None and is_handler(x, x.task_runs[keep]):
        return
    for run in x.runs_in_order():
        if is_handler(x, run):
            step.emit(e.TaskRunRemoved(run.id))


def reopen_ancestors(step: Step, run_id: str) -> None:
    """Let a task run and all around it be RUNNING again."""
    while run_id:
        run = step.execution.task_runs[run_id]
        if run.state == State.RUNNING:
            return
        step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
        run_id = run.parent_id
