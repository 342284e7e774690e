"""apply(execution, event) -> execution: what an event does to the state. Replayed for ever.

Rules of this file and of `appliers`: no decision, no clock, no I/O, no rendering. What a released
event does never changes; a new meaning is a new event. One applier per event, one table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiercel_engine.execution.appliers import (
    attempts,
    copies,
    evaluations,
    executions,
    fan_out,
    task_runs,
    waits,
)
from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e


class EventGap(AssertionError):
    """The log lacks events of an execution: a torn write. Its partition must not go on."""


def fold(execution: Execution, batch: e.EventBatch) -> Execution:
    """Apply one record of the executions topic; events already seen are ignored.

    Raises:
        EventGap: the batch starts after the next expected number.
    """
    number = batch.first_seq
    for event in batch.events:
        if number > execution.sequence + 1:
            raise EventGap(
                f"Expected event {execution.sequence + 1} of execution {execution.id}, but the "
                f"log went on with {number}."
            )
        if number == execution.sequence + 1:
            execution = apply(execution, event, batch.at_us)
        number += 1
    return execution


def apply(execution: Execution, event: e.Event, at_us: int) -> Execution:
    """The state after one event, which takes the next number.

    Args:
        execution: the state before; one with sequence 0 does not exist yet.
        at_us: when the event was decided, microseconds since the epoch.
    """
    return APPLIERS[type(event)](execution, event, at_us)


#: One applier per event. A missing one is a KeyError: better a stopped partition than a lost fact.
APPLIERS: dict[type[Any], Callable[[Execution, Any, int], Execution]] = {
    e.ExecutionCreated: executions.created,
    e.ExecutionStateChanged: executions.state_changed,
    e.ExecutionRestarted: executions.restarted,
    e.AfterExecutionPlanned: executions.after_planned,
    e.AfterExecutionEnded: executions.after_ended,
    e.SlotChanged: executions.slot_changed,
    e.BreakpointsSet: executions.breakpoints_set,
    e.SlaDeadlineSet: executions.deadline_set,
    e.SlaViolated: executions.sla_violated,
    e.ExecutionOutputsSet: executions.outputs_set,
    e.LabelsSet: executions.labels_set,
    e.VariablesSet: executions.variables_set,
    e.ExitRequested: executions.exit_requested,
    e.AsksPostponed: executions.asks_postponed,
    e.TaskRunCreated: task_runs.task_run_created,
    e.TaskRunStateChanged: task_runs.task_run_state_changed,
    e.TaskRunPaused: waits.task_run_paused,
    e.TaskRunResumed: waits.task_run_resumed,
    e.MembersKept: task_runs.members_kept,
    e.MembersInterrupted: task_runs.members_interrupted,
    e.TaskRunRemoved: task_runs.task_run_removed,
    e.AttemptSubmitted: attempts.attempt_submitted,
    e.AttemptStarted: attempts.attempt_started,
    e.AttemptEnded: attempts.attempt_ended,
    e.SessionStarted: attempts.session_started,
    e.SessionEnded: attempts.session_ended,
    e.ChildStarted: waits.child_started,
    e.IterationScheduled: waits.iteration_scheduled,
    e.IterationStarted: waits.iteration_started,
    e.RetryScheduled: waits.retry_scheduled,
    e.ValuesResolved: waits.values_resolved,
    e.TaskRunCopied: copies.task_run_copied,
    e.ExecutionDeleted: copies.deleted,
    e.EvaluationSubmitted: evaluations.evaluation_submitted,
    e.EvaluationStarted: evaluations.evaluation_started,
    e.EvaluationEnded: evaluations.evaluation_ended,
    e.FanOutStarted: fan_out.fan_out_started,
    e.ItemsStarted: fan_out.items_started,
    e.ItemsRestarted: fan_out.items_restarted,
    e.ItemEnded: fan_out.item_ended,
    e.ItemReplaced: fan_out.item_replaced,
    e.ItemPaused: fan_out.item_paused,
    e.ItemResumed: fan_out.item_resumed,
    e.ItemsLeft: fan_out.items_left,
    e.FanOutStopped: fan_out.fan_out_stopped,
    e.OutputsSent: fan_out.outputs_sent,
    e.OutputsStored: fan_out.outputs_stored,
}
