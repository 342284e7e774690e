"""One record of the executions topic -> the rows that it changes; who applies which event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tiercel_engine.indexer import copies, fan_out, projections
from tiercel_engine.indexer.projections import BrokenHistory
from tiercel_engine.indexer.rows import Rows, RunKey
from tiercel_schemas import events as e


def _nothing(rows: Rows, batch: e.EventBatch, event: e.Event, number: int) -> None:
    """It shows in the events beside it alone."""


#: Events of an execution that change nothing of what is shown.
_UNSHOWN = (
    e.AfterExecutionPlanned,
    e.AfterExecutionEnded,
    e.EvaluationSubmitted,
    e.EvaluationStarted,
    e.EvaluationEnded,
    e.SlotChanged,
    e.SlaDeadlineSet,
    e.SlaViolated,
)

#: One applier per event. A missing one is a KeyError: better a stopped indexer than a lost fact.
APPLIERS: dict[type[Any], Callable[[Rows, e.EventBatch, Any, int], None]] = {
    e.ExecutionCreated: projections.created,
    e.ExecutionStateChanged: projections.state_changed,
    e.ExecutionRestarted: projections.restarted,
    e.ExecutionOutputsSet: projections.outputs_set,
    e.LabelsSet: projections.labels_set,
    e.BreakpointsSet: projections.breakpoints_set,
    e.VariablesSet: projections.variables_set,
    e.ExitRequested: projections.nothing_to_show,
    e.AsksPostponed: projections.nothing_to_show,
    e.TaskRunCreated: projections.task_run_created,
    e.TaskRunStateChanged: projections.task_run_state_changed,
    e.TaskRunPaused: projections.task_run_paused,
    e.TaskRunResumed: projections.task_run_resumed,
    e.TaskRunRemoved: projections.task_run_removed,
    e.AttemptSubmitted: projections.attempt_submitted,
    e.AttemptStarted: projections.attempt_started,
    e.AttemptEnded: projections.attempt_ended,
    e.MembersKept: projections.nothing_to_show,
    e.MembersInterrupted: projections.nothing_to_show,
    e.SessionStarted: projections.session_started,
    e.SessionEnded: projections.session_ended,
    e.ChildStarted: projections.child_started,
    e.IterationScheduled: projections.nothing_to_show,
    e.IterationStarted: projections.iteration_started,
    e.RetryScheduled: projections.retry_scheduled,
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
    e.ValuesResolved: projections.nothing_to_show,
    e.TaskRunCopied: copies.task_run_copied,
    e.ExecutionDeleted: copies.deleted,
    **dict.fromkeys(_UNSHOWN, _nothing),
}

#: Asked for each event: a look-up, since going through so many types by isinstance is dear.
_OF_AN_EXECUTION: frozenset[type[Any]] = frozenset(
    {
        e.ExecutionCreated,
        e.ExecutionStateChanged,
        e.ExecutionRestarted,
        e.ExecutionOutputsSet,
        e.LabelsSet,
        e.BreakpointsSet,
        e.VariablesSet,
        e.ExitRequested,
        e.AsksPostponed,
        e.ExecutionDeleted,
        *_UNSHOWN,
    }
)
_MAKES_A_RUN: frozenset[type[Any]] = frozenset({e.TaskRunCreated, e.TaskRunCopied})


def fold(rows: Rows, batch: e.EventBatch) -> bool:
    """Apply one record of the executions topic; whether any of its events was new.

    The execution's row, if there is one, and those that `missing_task_runs` names must have been
    put into `rows`.

    Raises:
        BrokenHistory: events are missing before it, or it names what is not there.
    """
    row = rows.executions.get(batch.execution_id)
    seen = row.seq if row is not None else 0
    last = batch.first_seq + len(batch.events) - 1
    if last <= seen:
        return False
    if batch.first_seq > seen + 1:
        raise BrokenHistory(
            f"Expected event {seen + 1} of execution {batch.execution_id}, but the log goes on "
            f"with {batch.first_seq}. Run `tiercel index rebuild`; if that stops here too, records "
            "of this execution are gone from the log and must be restored."
        )
    for number, event in enumerate(batch.events, batch.first_seq):
        if number > seen:
            APPLIERS[type(event)](rows, batch, event, number)
    changed = rows.executions.get(batch.execution_id)
    if changed is not None:
        changed.seq = last
    return True


def missing_task_runs(rows: Rows, batches: Iterable[e.EventBatch]) -> list[RunKey]:
    """Keys of the task runs that `fold` will look for and that are not yet in `rows`."""
    made: set[RunKey] = set()
    missing: dict[RunKey, None] = {}
    for batch in batches:
        row = rows.executions.get(batch.execution_id)
        seen = row.seq if row is not None else 0
        # Any: the look-ups tell which events have a task run.
        event: Any
        for number, event in enumerate(batch.events, batch.first_seq):
            kind = type(event)
            if number <= seen or kind in _OF_AN_EXECUTION:
                continue
            key = (batch.execution_id, event.task_run_id)
            if kind in _MAKES_A_RUN:
                made.add(key)
            elif key not in made and key not in rows.task_runs:
                missing[key] = None
    return list(missing)
