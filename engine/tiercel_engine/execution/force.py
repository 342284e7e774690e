"""ForceRunExecution and UnqueueExecution: an execution that waits does so no longer."""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.advance import begin
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.pause import resume
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import ForceRunExecution, ResumeExecution, UnqueueExecution
from tiercel_schemas.common import Payload
from tiercel_schemas.state import State

UNQUEUED_AS = frozenset({State.RUNNING, State.CANCELLED, State.FAILED})


def force_run(step: Step, command: ForceRunExecution, world: World) -> None:
    """Let it run now, whether it waits for its date, its turn, or somebody who resumes it."""
    x = step.execution
    if x.is_ended:
        raise Rejected("Only running executions can be forced run", "INVALID")
    if x.state == State.PAUSED:
        resume(step, ResumeExecution(command.command_id, x.id, Payload()), world)
    elif x.awaits_copy or x.state not in (State.CREATED, State.QUEUED):
        step.stale = f"the execution is {x.state}"
    else:
        _begin(step, world)


def unqueue(step: Step, command: UnqueueExecution, world: World) -> None:
    """Take it out of the queue: it runs, or ends at once."""
    x = step.execution
    if x.state != State.QUEUED:
        raise Rejected("Only QUEUED execution can be unqueued", "INVALID")
    if command.state not in UNQUEUED_AS:
        raise Rejected(
            f"Expected one of {', '.join(sorted(UNQUEUED_AS))}, but it was {command.state}.",
            "INVALID",
        )
    if command.state == State.RUNNING:
        _begin(step, world)
    else:
        step.emit(e.ExecutionStateChanged(command.state))


def _begin(step: Step, world: World) -> None:
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
    else:
        begin(step, plan, world)
