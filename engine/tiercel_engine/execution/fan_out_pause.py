"""Executions of a fan-out that wait for a resume; a Loop all of whose values wait is PAUSED itself.

Follows Kestra's Loop: resuming the execution around resumes the first value that waits.
"""

from __future__ import annotations

from tiercel_engine.execution.advance import Asked, advance
from tiercel_engine.execution.attempts import plan_of
from tiercel_engine.execution.index_set import has, size
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.pause import wake
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.flowables import Loop
from tiercel_schemas import events as e
from tiercel_schemas.commands import ChildPaused
from tiercel_schemas.state import State


def child_paused(step: Step, command: ChildPaused, world: World) -> None:
    """One of many executions waits for a resume, or goes on."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    fan = x.fan_outs.get(command.task_run_id)
    if (
        run is None
        or fan is None
        or command.attempt != fan.attempt
        or not has(fan.open, command.index)
        or has(fan.paused, command.index) == command.is_paused
    ):
        step.stale = "the execution has ended, or this was known"
        return
    plan = plan_of(step, world)
    if command.is_paused:
        step.emit(e.ItemPaused(run.id, command.index))
        pause_if_all_wait(step, plan, world, run)
    else:
        step.emit(e.ItemResumed(run.id, command.index))
        asked = unpause(step, run.id)
        if plan is not None:
            advance(step, plan, world, *asked)


def pause_if_all_wait(step: Step, plan: Plan | None, world: World, run: TaskRun) -> None:
    """Pause a Loop when each of its values that runs waits, and no other may start."""
    x = step.execution
    fan = x.fan_outs[run.id]
    task = None if plan is None else plan.task(run.task_id)
    if plan is None or not isinstance(task, Loop) or x.task_runs[run.id].state != State.RUNNING:
        return
    if fan.running and size(fan.paused) == fan.running and not step.follow_ups:
        step.emit(e.TaskRunPaused(run.id))
        advance(step, plan, world)


def unpause(step: Step, run_id: str) -> list[Asked]:
    """Let a paused Loop, and the execution, run; returns whom to ask then."""
    x = step.execution
    if run_id not in x.paused:
        return []
    asked = [] if x.is_held else wake(step)
    step.emit(e.TaskRunResumed(run_id))
    return asked
