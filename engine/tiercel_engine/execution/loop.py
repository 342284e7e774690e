"""A loop goes round again: the task runs of the time before leave, then it is asked.

A loop knows the task runs of its present time (`members`), so this costs as much as they are, not
as the execution is large. Many leave by several commands.
"""

from __future__ import annotations

import msgspec

from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.flowable.loop import COUNT
from tiercel_engine.execution.members import inside
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.timers import IterationDue
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload

#: Task runs that one command takes out at most.
CHUNK = 500


def iteration_due(step: Step, command: IterationDue, world: World) -> None:
    """Take the task runs of the time before out, and begin the next."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    if run is None or run.id not in x.waiting or run.due_us != command.due_us or x.is_held:
        step.stale = "the loop does not wait for this any more, or the execution is held"
        return
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    leaving = inside(x, run.id)
    for run_id in leaving[:CHUNK]:
        step.emit(e.TaskRunRemoved(run_id))
    if len(leaving) > CHUNK:
        step.follow_ups.append(command)
        return
    outputs = msgspec.json.encode({COUNT: run.next_iteration}).decode()
    step.emit(e.IterationStarted(run.id, run.next_iteration, Payload(json=outputs)))
    advance(step, plan, world, (run.id, ""))
