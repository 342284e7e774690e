"""process(execution, command, world) -> Step: the one door in. One case per command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiercel_engine.errors import Rejected
from tiercel_engine.execution import (
    attempts,
    breakpoints,
    children,
    concurrency,
    create,
    deletion,
    fan_out_pause,
    force,
    kill,
    labels,
    loop,
    pause,
    replay,
    restart,
    revisions,
    seed,
    sla_end,
    status,
    timers,
)
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import commands as c
from tiercel_schemas.concurrency import AnswerSlot

#: Who decides what, by command.
HANDLERS: dict[type[Any], Callable[[Step, Any, World], None]] = {
    c.CreateExecution: create.create,
    AnswerSlot: concurrency.answered,
    c.SaveFlow: create.save_flow,
    c.PurgeRevisions: revisions.purge_revisions,
    c.StartAttempt: attempts.start_attempt,
    c.EndAttempt: attempts.end_attempt,
    c.ReturnJob: attempts.return_job,
    c.ChildEnded: children.child_ended,
    c.ChildPaused: fan_out_pause.child_paused,
    c.KillExecution: kill.kill,
    c.PauseExecution: pause.pause,
    c.ResumeExecution: pause.resume,
    c.ResumeFromBreakpoint: breakpoints.resume_from_breakpoint,
    c.RestartExecution: restart.restart,
    c.CopyExecution: replay.copy_execution,
    c.SeedExecution: seed.seed,
    c.ChangeExecutionState: status.change_execution_state,
    c.ChangeTaskRunState: status.change_task_run_state,
    c.SetLabels: labels.set_labels,
    c.ForceRunExecution: force.force_run,
    c.UnqueueExecution: force.unqueue,
    c.DeleteExecution: deletion.delete,
    timers.SlaDue: sla_end.sla_due,
    timers.BeginScheduled: create.begin_scheduled,
    timers.RetryDue: attempts.retry_due,
    timers.StartOverdue: attempts.start_overdue,
    timers.PauseDue: pause.pause_due,
    timers.IterationDue: loop.iteration_due,
    timers.Continue: children.continue_run,
    timers.OutputsOverdue: children.outputs_overdue,
    timers.LeaseLost: attempts.lease_lost,
}

#: Commands that make sense for an execution that does not exist yet, or for none at all.
_WITHOUT_EXECUTION = (
    c.CreateExecution,
    c.SaveFlow,
    c.PurgeRevisions,
    c.StartAttempt,
    c.EndAttempt,
    c.ReturnJob,
    c.ChildEnded,
    c.ChildPaused,
    AnswerSlot,
)


def process(execution: Execution, command: Any, world: World) -> Step:
    """What `command` does to `execution` now.

    Returns:
        The step; `step.stale` says why it does nothing when the command came too late or twice.

    Raises:
        Rejected: the command does not fit; nothing has happened.
    """
    step = Step(execution, world.now_us())
    is_there = execution.exists and not execution.is_deleted
    if not is_there and not isinstance(command, _WITHOUT_EXECUTION):
        raise Rejected(f"There is no execution {execution.id}.", "NOT_FOUND")
    handler = HANDLERS[type(command)]
    if isinstance(command, c.EndAttempt | c.ReturnJob) and command.attempt < 0:
        handler = children.outputs_answered
    handler(step, command, world)
    sla_end.look(step, world)
    concurrency.take(step, execution, world)
    return step
