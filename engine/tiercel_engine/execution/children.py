"""ChildEnded: an execution that a task run started has ended."""

from __future__ import annotations

from tiercel_engine.execution.attempts import go_on, plan_of
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.subflow import ended
from tiercel_engine.execution.variables import raw
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.flowables import ChildFlow
from tiercel_schemas import events as e
from tiercel_schemas.commands import ChildEnded
from tiercel_schemas.state import State

#: States of a child that its task run takes with `transmitFailed`; for others it succeeds.
TRANSMITTED = frozenset({State.FAILED, State.KILLED, State.CANCELLED, State.WARNING})


def _waits_for(run: TaskRun | None, command: ChildEnded) -> bool:
    """Whether it heard of the successor before: the command came twice."""
    return run is not None and run.child_id == command.successor_id


def child_ended(step: Step, command: ChildEnded, world: World) -> None:
    """End the attempt that started it; another attempt's child changes nothing."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
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
