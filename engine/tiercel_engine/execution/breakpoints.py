"""Breakpoints: a task run that does not begin, and ResumeFromBreakpoint.

The first run of such a task that is made suspends the execution: it is BREAKPOINT, and so is the
run. As in a pause that somebody asked for, what runs may end and nothing starts; whom nobody could
ask meanwhile is kept in the state. Follows Kestra's breakpoints: a run is suspended once, before
`runIf` and before its first attempt, and not when it is tried again.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.pause import let_go
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import ResumeFromBreakpoint
from tiercel_schemas.state import State


def resume_from_breakpoint(step: Step, command: ResumeFromBreakpoint, world: World) -> None:
    """Let the suspended task runs begin, and the execution go on."""
    x = step.execution
    if x.state != State.BREAKPOINT:
        raise Rejected("Execution is not suspended at a breakpoint", "CONFLICT")
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    if command.breakpoints is not None:
        step.emit(e.BreakpointsSet(command.breakpoints))
    asked = let_go(step, State.RUNNING)
    for run_id, _ in asked:
        run = x.task_runs.get(run_id)
        if run is not None and run.state == State.BREAKPOINT:
            step.emit(e.TaskRunStateChanged(run_id, State.CREATED))
    advance(step, plan, world, *asked)
