"""DeleteExecution: nobody sees it any more. Its events stay in the log, which says so."""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.ending import stop_following
from tiercel_engine.execution.kill import stop_all
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import DeleteExecution
from tiercel_schemas.state import State


def delete(step: Step, command: DeleteExecution, world: World) -> None:
    """Delete a finished execution; one that runs is stopped before, when that is asked for."""
    x = step.execution
    if x.is_closing:
        stop_following(step, "the execution was deleted")
    if not x.is_ended:
        if not command.include_running:
            raise Rejected(
                f"Expected the execution to have ended, but it is {x.state}.", "CONFLICT"
            )
        _stop(step)
    step.emit(e.ExecutionDeleted(logs=command.logs, metrics=command.metrics))


def _stop(step: Step) -> None:
    """Kill without waiting for the workers: nobody will look for what they say."""
    if step.execution.state != State.KILLING:
        step.emit(e.ExecutionStateChanged(State.KILLING))
    stop_all(step)
    step.emit(e.ExecutionStateChanged(State.KILLED))
