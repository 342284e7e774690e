"""PauseExecution, ResumeExecution, and the end of a pause by time.

An execution is PAUSED when nothing of it would go on by itself, or when somebody held it: then
what runs may end, and nothing starts, even what is due. Follows Kestra's pause and resume.
"""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import Asked, advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.fan_out_resume import resume_first
from tiercel_engine.execution.model import NO_PAYLOAD
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.timers import Continue, PauseDue, holdable_timers
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import PauseExecution, ResumeExecution
from tiercel_schemas.state import State


def pause(step: Step, command: PauseExecution, world: World) -> None:
    """Hold a running execution: nothing new starts until it is resumed."""
    state = step.execution.state
    if state not in (State.RUNNING, State.RETRYING):
        raise Rejected(f"Expected the execution to be RUNNING, but it is {state}.", "INVALID")
    step.emit(e.ExecutionStateChanged(State.PAUSED, by_request=True))


def resume(step: Step, command: ResumeExecution, world: World) -> None:
    """Let go what somebody held, and resume one paused task run, if there is one."""
    x = step.execution
    if x.state == State.BREAKPOINT:
        raise Rejected("Expected a resume from the breakpoint that suspends it.", "CONFLICT")
    run_id = command.task_run_id or (min(x.paused) if x.paused else None)
    if run_id is None and not x.is_held:
        raise Rejected(f"Expected the execution to be paused, but it is {x.state}.", "CONFLICT")
    if run_id is not None and run_id not in x.paused:
        raise Rejected(f"Expected task run {run_id} to be paused, but it is not.", "CONFLICT")
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    asked = wake(step)
    if run_id is not None and run_id in x.fan_outs:
        resume_first(step, run_id, command.outputs)
    elif run_id is not None:
        outputs = None if command.outputs == NO_PAYLOAD else command.outputs
        step.emit(e.TaskRunResumed(run_id, State.RUNNING, outputs))
        asked.append((run_id, ""))
    advance(step, plan, world, *asked)


def pause_due(step: Step, command: PauseDue, world: World) -> None:
    """Nobody resumed the task run in time: it becomes what was decided when it paused."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    if run is None or run.state != State.PAUSED or run.due_us != command.due_us or x.is_held:
        step.stale = "the task run does not wait for this any more, or the execution is held"
        return
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    state = run.after_pause or State.RUNNING
    if state == State.FAILED:
        step.log("ERROR", "Nobody resumed it in time.", run.id)
    asked = wake(step)
    step.emit(e.TaskRunResumed(run.id, state))
    advance(step, plan, world, *asked, (run.id, ""))


def continue_flowable(step: Step, command: Continue, world: World) -> None:
    """Start the next children of a flowable that has many, or decide what was postponed."""
    if command.task_run_id == ROOT:
        _ask_postponed(step, world)
        return
    run = step.execution.task_runs.get(command.task_run_id)
    if run is None or run.state != State.RUNNING or step.execution.is_held:
        step.stale = "the flowable has ended, or the execution is held"
        return
    plan: Plan | None = plan_of(step, world)
    if plan is not None:
        advance(step, plan, world, *wake(step), (run.id, ""))


def _ask_postponed(step: Step, world: World) -> None:
    x = step.execution
    plan = plan_of(step, world) if x.goes_on and x.unasked else None
    if plan is None:
        step.stale = "nothing was postponed, or the execution does not go on"
        return
    asked = sorted(x.unasked)
    step.emit(e.AsksPostponed())
    advance(step, plan, world, *asked)


def wake(step: Step) -> list[Asked]:
    """Let a paused execution run; returns whom to ask: those whom nobody could ask meanwhile."""
    if step.execution.state != State.PAUSED:
        return []
    return let_go(step, State.RESTARTED, State.RUNNING)


def let_go(step: Step, *states: State) -> list[Asked]:
    """Take an execution in which nothing starts through `states`; returns whom to ask then."""
    x = step.execution
    for state in states:
        step.emit(e.ExecutionStateChanged(state))
    if x.is_held:
        due = [timer for due_us, timer in holdable_timers(x) if due_us <= step.at_us]
        step.follow_ups += due
    return sorted(x.unasked)
