"""What a task run hears of the executions that it started, and how it goes on with many."""

from __future__ import annotations

from tiercel_engine.execution import fan_out, fan_out_pause, pause
from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import go_on, plan_of
from tiercel_engine.execution.kill import finish_kill, kill_more
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.subflow import ended
from tiercel_engine.execution.timers import Continue, OutputsOverdue
from tiercel_engine.execution.variables import raw
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.child_flows import ChildFlow
from tiercel_schemas import events as e
from tiercel_schemas.commands import ChildEnded, EndAttempt, ReturnJob
from tiercel_schemas.state import State, is_terminated

#: States of a child that its task run takes with `transmitFailed`; for others it succeeds.
TRANSMITTED = frozenset({State.FAILED, State.KILLED, State.CANCELLED, State.WARNING})


def _waits_for(run: TaskRun | None, command: ChildEnded) -> bool:
    """Whether it heard of the successor before: the command came twice."""
    return run is not None and run.child_id == command.successor_id


def child_ended(step: Step, command: ChildEnded, world: World) -> None:
    """End the attempt that started it; another attempt's child changes nothing."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    if run is not None and run.id in x.fan_outs and (run.id in x.waiting or run.id in x.paused):
        _item_ended(step, command, world, run)
        return
    if run is None or run.id not in x.waiting or run.child_id != command.child_id:
        step.stale = "the task run does not wait for this execution"
        if command.successor_id is not None and not _waits_for(run, command):
            step.kill_child(command.successor_id)
        return
    if command.successor_id is not None:
        step.emit(e.ChildStarted(run.id, run.attempt, command.successor_id))
        return
    plan = plan_of(step, world)
    task = plan.task(run.task_id) if plan is not None else None
    transmits = not isinstance(task, ChildFlow) or task.transmit_failed
    state = command.state if transmits and command.state in TRANSMITTED else State.SUCCESS
    if command.error is not None:
        step.log("ERROR", command.error, run.id)
        state = State.FAILED
    outputs = {
        "executionId": command.child_id,
        "state": command.state,
        "outputs": None if command.outputs is None else raw(command.outputs),
    }
    record_end(step, plan, world, ended(step, run.id, state, outputs, command.error))
    go_on(step, plan, world, run)


def _item_ended(step: Step, command: ChildEnded, world: World, run: TaskRun) -> None:
    """One of many has ended, even one that was paused."""
    plan = plan_of(step, world)
    if not fan_out.awaits(step, run.id, command):
        return
    asked = fan_out_pause.unpause(step, run.id)
    fan_out.item_ended(step, plan, world, run, command)
    fan_out_pause.pause_if_all_wait(step, plan, world, run)
    if plan is not None and asked:
        advance(step, plan, world, *asked)
    _after(step, plan, world, run)


def outputs_answered(step: Step, command: EndAttempt | ReturnJob, world: World) -> None:
    """A worker has stored outputs of executions, or gives their job back."""
    run = step.execution.task_runs.get(command.task_run_id)
    if run is None or run.id not in step.execution.fan_outs:
        step.stale = "nobody waits for these outputs"
        return
    plan = plan_of(step, world)
    fan_out.outputs_answered(step, plan, world, run, command)
    _after(step, plan, world, run)


def outputs_overdue(step: Step, command: OutputsOverdue, world: World) -> None:
    """Nobody stored outputs of executions in time."""
    run = step.execution.task_runs.get(command.task_run_id)
    fan_out.outputs_overdue(step, plan_of(step, world), command, world)
    if run is not None and step.stale is None:
        _after(step, plan_of(step, world), world, run)


def continue_run(step: Step, command: Continue, world: World) -> None:
    """Start, or kill, what one command more may."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    if run is None or run.id not in x.waiting or run.id not in x.fan_outs:
        pause.continue_flowable(step, command, world)
        return
    if x.state == State.KILLING:
        kill_more(step, run.id)
        finish_kill(step)
        return
    plan = plan_of(step, world)
    task = plan.task(run.task_id) if plan is not None else None
    if x.is_held or plan is None or task is None:
        step.stale = "the execution is held, or its flow's revision is gone"
        return
    fan_out.proceed(step, plan, world, run.id, task)
    _after(step, plan, world, run)


def _after(step: Step, plan: Plan | None, world: World, run: TaskRun) -> None:
    """Go on when the run has ended."""
    if is_terminated(step.execution.task_runs[run.id].state):
        go_on(step, plan, world, run)
