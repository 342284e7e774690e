"""SeedExecution: the task runs that a copy takes over arrive; with the last ones it goes on."""

from __future__ import annotations

from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.restart import go_on_from
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import SeedExecution


def seed(step: Step, command: SeedExecution, world: World) -> None:
    """Take the task runs over, and go on from those that are to run again."""
    x = step.execution
    if not x.awaits_copy or any(run.task_run_id in x.task_runs for run in command.runs):
        step.stale = "the execution waits for no task runs"
        return
    for run in command.runs:
        step.emit(run)
    for values in command.values:
        step.emit(values)
    for variables in command.variables:
        step.emit(variables)
    if not command.is_last:
        return
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    x = step.execution
    again = [x.task_runs[run_id] for run_id in command.again]
    tasks = [plan.task(run.task_id) for run in again]
    step.emit(e.ExecutionRestarted(x.attempt_number, x.flow_revision))
    go_on_from(
        step,
        plan,
        world,
        [(run, task) for run, task in zip(again, tasks, strict=True) if task is not None],
        [],
    )
