"""Restart: a finished execution runs again from its failed tasks, under the same id.

Facts: features.md §1, Restart. Unlike the peer since 2.0, a killed execution can restart, too.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import advance, submit
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.base import FlowableTask
from tiercel_schemas import events as e
from tiercel_schemas.commands import RestartExecution
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State

#: Task runs of these branches are made anew after a restart.
HANDLER_BRANCHES = frozenset({"errors", "finally", "afterExecution"})
RESTARTABLE = frozenset({State.FAILED, State.KILLED, State.PAUSED})


def restart(step: Step, command: RestartExecution, world: World) -> None:
    """Take the error handlers out, then send every failed task again."""
    x = step.execution
    if not x.is_ended:
        raise Rejected("Execution must be terminated to be restarted", "CONFLICT")
    revision = command.flow_revision or x.flow_revision
    plan = world.plan(FlowKey(x.tenant, x.namespace, x.flow_id), revision)
    if plan is None:
        raise Rejected(f"There is no revision {revision} of its flow.", "NOT_FOUND")
    failed = [run for run in x.runs_in_order() if _is_to_run_again(x, run, plan)]
    if not failed:
        raise Rejected("No task found to restart execution from!", "INVALID")
    step.emit(e.ExecutionRestarted(attempt_number=x.attempt_number + 1, flow_revision=revision))
    for run in _handlers(x):
        step.emit(e.TaskRunRemoved(run.id))
    for run in failed:
        step.emit(e.TaskRunStateChanged(run.id, State.RESTARTED))
        _reopen_ancestors(step, run.parent_id)
    step.emit(e.ExecutionStateChanged(State.RUNNING))
    for run in failed:
        task = plan.task(run.task_id)
        assert task is not None, f"Expected task {run.task_id}, found when it was chosen."
        submit(step, plan, world, run.id, task)
    advance(step, plan, world, (ROOT, ""))


def _is_to_run_again(x: Execution, run: TaskRun, plan: Plan) -> bool:
    task = plan.task(run.task_id)
    return (
        task is not None
        and not isinstance(task, FlowableTask)
        and run.state in RESTARTABLE
        and not _is_handler(x, run)
    )


def _is_handler(x: Execution, run: TaskRun) -> bool:
    """Whether the run, or anything around it, belongs to an error handler or the like."""
    while run.branch not in HANDLER_BRANCHES:
        if not run.parent_id:
            return False
        run = x.task_runs[run.parent_id]
    return True


def _handlers(x: Execution) -> list[TaskRun]:
    return [run for run in x.runs_in_order() if _is_handler(x, run)]


def _reopen_ancestors(step: Step, run_id: str) -> None:
    while run_id:
        run = step.execution.task_runs[run_id]
        if run.state == State.RUNNING:
            return
        step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
        run_id = run.parent_id
