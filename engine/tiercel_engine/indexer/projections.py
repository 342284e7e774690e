"""Events -> rows of the read model. No I/O, no clock; the same events always give the same rows.

An event touches one row: its execution's or its task run's. What it costs does not depend on how
many task runs the execution has. Dates come from the events: the worker's clock for what an
attempt did, the executor's for what was decided; a history never goes back in time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import UNSET, Raw

from tiercel_engine.clock import iso
from tiercel_engine.errors import ProgrammingError
from tiercel_engine.flow.duration import format_duration
from tiercel_engine.indexer.documents import (
    Attempt,
    Change,
    ExecutionDocument,
    LoopRunDocument,
    Metadata,
    StateDocument,
    Submission,
    TaskRunDocument,
    breakpoints,
    raw,
    trigger_execution_id,
)
from tiercel_engine.indexer.rows import ExecutionRow, Rows, TaskRunRow
from tiercel_schemas import events as e
from tiercel_schemas.common import LoopRun, Payload
from tiercel_schemas.state import State, is_terminated

# Plain text: an enum's value costs more to reach than the rest of a history's entry.
CREATED: str = State.CREATED.value
RUNNING: str = State.RUNNING.value
PAUSED: str = State.PAUSED.value
RESTARTED: str = State.RESTARTED.value
RETRYING: str = State.RETRYING.value

EMPTY_OBJECT = Raw(b"{}")


class BrokenHistory(ProgrammingError):
    """The log of an execution has a gap or names what is not there. Indexing must not go on."""


def settle(state: StateDocument, start_us: int, changed_us: int) -> None:
    """Bring duration and end of a state in line with its last change."""
    state.duration = format_duration(changed_us - start_us)
    # The peer also gives a paused execution an end date.
    is_over = is_terminated(state.current) or state.current == State.PAUSED
    state.end_date = state.histories[-1].date if is_over else UNSET


def new_state(at_us: int) -> StateDocument:
    date = iso(at_us)
    return StateDocument(CREATED, [Change(CREATED, date)], "PT0S", date)


def enter(row: ExecutionRow | TaskRunRow, state: str, happened_us: int, at_us: int) -> None:
    """Add a state to a history. The clocks of two machines cannot make it go back in time."""
    row.changed_us = max(min(happened_us, at_us), row.changed_us)
    document = row.document.state
    document.current = state
    document.histories.append(Change(state, iso(row.changed_us)))


def known(rows: Rows, batch: e.EventBatch) -> ExecutionRow:
    row = rows.executions.get(batch.execution_id)
    if row is None:
        raise BrokenHistory(
            f"Expected execution {batch.execution_id} to begin with its creation, but it begins "
            f"with {type(batch.events[0]).__name__}."
        )
    return row


def execution_row(rows: Rows, batch: e.EventBatch) -> ExecutionRow:
    """The execution's row, about to change."""
    rows.changed_executions[batch.execution_id] = None
    return known(rows, batch)


def task_run_of(rows: Rows, batch: e.EventBatch, task_run_id: str) -> TaskRunRow:
    """The task run's row, about to change."""
    key = (batch.execution_id, task_run_id)
    row = rows.task_runs.get(key)
    if row is None:
        raise BrokenHistory(
            f"Expected task run {task_run_id} of execution {batch.execution_id} to be there, but "
            "no event created it."
        )
    rows.changed_task_runs[key] = None
    return row


def _loop_run(loop: LoopRun) -> LoopRunDocument:
    return LoopRunDocument(
        task_id=loop.task_id,
        task_run_id=loop.task_run_id,
        index=loop.index,
        value=loop.value,
        parents=Raw(loop.parents.encode()),
        key=UNSET if loop.key is None else loop.key,
    )


def created(rows: Rows, batch: e.EventBatch, event: e.ExecutionCreated, number: int) -> None:
    at_us = batch.at_us
    document = ExecutionDocument(
        id=batch.execution_id,
        namespace=event.namespace,
        flow_id=event.flow_id,
        flow_revision=event.flow_revision,
        inputs=UNSET if event.inputs.json == "{}" else raw(event.inputs),
        labels=list(event.labels),
        state=new_state(at_us),
        parent_id=UNSET if event.parent_id is None else event.parent_id,
        original_id=event.original_id,
        trigger=raw(event.trigger),
        metadata=Metadata(event.attempt_number, iso(event.original_created_us or at_us)),
        schedule_date=UNSET if event.scheduled_us is None else iso(event.scheduled_us),
        kind=UNSET if event.kind == "NORMAL" else event.kind,
        loop_run=UNSET if event.loop is None else _loop_run(event.loop),
        breakpoints=breakpoints(event.breakpoints),
    )
    rows.executions[batch.execution_id] = ExecutionRow(
        document=document,
        tenant=event.tenant,
        kind=event.kind,
        trigger_execution_id=trigger_execution_id(event.trigger.json),
        start_us=at_us,
        changed_us=at_us,
        seq=0,
    )
    rows.changed_executions[batch.execution_id] = None
    for label in event.labels:
        rows.labels_added[label.key, label.value, batch.execution_id] = None


def state_changed(
    rows: Rows, batch: e.EventBatch, event: e.ExecutionStateChanged, number: int
) -> None:
    row = execution_row(rows, batch)
    if event.passed:
        enter(row, event.passed, batch.at_us, batch.at_us)
    enter(row, event.state, batch.at_us, batch.at_us)


def breakpoints_set(rows: Rows, batch: e.EventBatch, event: e.BreakpointsSet, number: int) -> None:
    execution_row(rows, batch).document.breakpoints = breakpoints(event.breakpoints)


def restarted(rows: Rows, batch: e.EventBatch, event: e.ExecutionRestarted, number: int) -> None:
    row = execution_row(rows, batch)
    enter(row, RESTARTED, batch.at_us, batch.at_us)
    row.document.flow_revision = event.flow_revision
    row.document.outputs = UNSET
    row.document.metadata.attempt_number = event.attempt_number


def outputs_set(rows: Rows, batch: e.EventBatch, event: e.ExecutionOutputsSet, number: int) -> None:
    execution_row(rows, batch).document.outputs = raw(event.outputs)


def labels_set(rows: Rows, batch: e.EventBatch, event: e.LabelsSet, number: int) -> None:
    row = execution_row(rows, batch)
    for label in row.document.labels:
        key = (label.key, label.value, batch.execution_id)
        rows.labels_added.pop(key, None)
        rows.labels_removed[key] = None
    row.document.labels = list(event.labels)
    for label in event.labels:
        rows.labels_added[label.key, label.value, batch.execution_id] = None


def variables_set(rows: Rows, batch: e.EventBatch, event: e.VariablesSet, number: int) -> None:
    document = execution_row(rows, batch).document
    before = {} if document.variables is UNSET else document.variables
    gone = frozenset(event.removed)
    kept = {name: value for name, value in before.items() if name not in gone}
    document.variables = kept | {name: Raw(text.encode()) for name, text in event.values.items()}


def task_run_created(rows: Rows, batch: e.EventBatch, event: e.TaskRunCreated, number: int) -> None:
    execution = known(rows, batch)
    document = TaskRunDocument(
        id=event.task_run_id,
        execution_id=batch.execution_id,
        namespace=execution.document.namespace,
        flow_id=execution.document.flow_id,
        task_id=event.task_id,
        parent_task_run_id=(
            UNSET if event.parent_task_run_id is None else event.parent_task_run_id
        ),
        value=UNSET if event.value is None else event.value,
        outputs=EMPTY_OBJECT,
        state=new_state(batch.at_us),
        iteration=UNSET if event.iteration is None else event.iteration,
    )
    key = (batch.execution_id, event.task_run_id)
    rows.task_runs[key] = TaskRunRow(document, number, batch.at_us, batch.at_us)
    rows.changed_task_runs[key] = None


def task_run_state_changed(
    rows: Rows, batch: e.EventBatch, event: e.TaskRunStateChanged, number: int
) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    _set_outputs(row, event.outputs)
    attempt = _running_attempt(row.document)
    if attempt is not None and is_terminated(event.state):
        # Its worker was lost while it was being killed: nobody else will say how it ended.
        started_us = _instant_us(attempt.state.start_date)
        end_attempt(attempt, event.state, started_us, max(batch.at_us, started_us))
    elif _is_corrected(row.document, event.state):
        _correct_attempt(row.document, event.state, batch.at_us)
    if row.document.state.current != event.state:
        enter(row, event.state, batch.at_us, batch.at_us)


def task_run_paused(rows: Rows, batch: e.EventBatch, event: e.TaskRunPaused, number: int) -> None:
    enter(task_run_of(rows, batch, event.task_run_id), PAUSED, batch.at_us, batch.at_us)


def task_run_resumed(rows: Rows, batch: e.EventBatch, event: e.TaskRunResumed, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    _set_outputs(row, event.outputs)
    enter(row, RUNNING, batch.at_us, batch.at_us)


def task_run_removed(rows: Rows, batch: e.EventBatch, event: e.TaskRunRemoved, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    key = (batch.execution_id, event.task_run_id)
    del rows.task_runs[key]
    del rows.changed_task_runs[key]
    rows.removed_task_runs.append((batch.execution_id, row.position))


def attempt_submitted(
    rows: Rows, batch: e.EventBatch, event: e.AttemptSubmitted, number: int
) -> None:
    key = (batch.execution_id, event.task_run_id)
    row = rows.task_runs.get(key)
    # A running one's worker was lost: nothing shows until another starts it.
    if row is not None and row.document.state.current not in (CREATED, RESTARTED, RETRYING):
        return
    row = task_run_of(rows, batch, event.task_run_id)
    # Only a retry starts over; a first or restarted attempt changes no state.
    if row.document.state.current == RETRYING:
        enter(row, CREATED, batch.at_us, batch.at_us)
    _note_submission(row, batch.at_us)


def _note_submission(row: TaskRunRow, at_us: int) -> None:
    """Once between two states: a job that is sent again, unstarted, was submitted before."""
    document = row.document
    after = len(document.state.histories)
    if document.submissions is UNSET:
        document.submissions = []
    elif document.submissions[-1].after == after:
        return
    document.submissions.append(Submission(after, iso(max(at_us, row.changed_us))))


def attempt_started(rows: Rows, batch: e.EventBatch, event: e.AttemptStarted, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    start_attempt(row.document, event.started_us)
    if row.document.state.current != RUNNING:
        enter(row, RUNNING, event.started_us, batch.at_us)


def attempt_ended(rows: Rows, batch: e.EventBatch, event: e.AttemptEnded, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    attempt = start_attempt(row.document, event.started_us)
    ended_us = max(event.ended_us, event.started_us)
    end_attempt(attempt, event.state, event.started_us, ended_us)
    if event.log_file is not None:
        attempt.log_file = event.log_file
    _set_outputs(row, event.outputs)
    if event.passed:
        enter(row, event.passed, ended_us, batch.at_us)
    state = event.task_run_state or event.state
    if row.document.state.current != state:
        enter(row, state, ended_us, batch.at_us)


def child_started(rows: Rows, batch: e.EventBatch, event: e.ChildStarted, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    if row.document.state.current == RETRYING:
        enter(row, CREATED, batch.at_us, batch.at_us)
    if row.document.state.current != RUNNING:
        enter(row, RUNNING, batch.at_us, batch.at_us)
        start_attempt(row.document, batch.at_us)


def retry_scheduled(rows: Rows, batch: e.EventBatch, event: e.RetryScheduled, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    enter(row, RETRYING, batch.at_us, batch.at_us)


def iteration_started(
    rows: Rows, batch: e.EventBatch, event: e.IterationStarted, number: int
) -> None:
    _set_outputs(task_run_of(rows, batch, event.task_run_id), event.outputs)


def nothing_to_show(rows: Rows, batch: e.EventBatch, event: e.Event, number: int) -> None:
    """What follows from it shows."""


def _running_attempt(document: TaskRunDocument) -> Attempt | None:
    """The attempt that has not ended; there is at most one, the last."""
    attempts = document.attempts
    if attempts is UNSET or not attempts or attempts[-1].state.current != RUNNING:
        return None
    return attempts[-1]


def _is_corrected(document: TaskRunDocument, state: str) -> bool:
    """Whether somebody gives an ended run another final state: its last attempt gets it, too."""
    return (
        is_terminated(state)
        and state != State.RETRIED
        and is_terminated(document.state.current)
        and document.attempts is not UNSET
        and bool(document.attempts)
    )


def _correct_attempt(document: TaskRunDocument, state: str, at_us: int) -> None:
    assert document.attempts is not UNSET
    attempt = document.attempts[-1]
    started_us = _instant_us(attempt.state.start_date)
    end_attempt(attempt, state, started_us, max(at_us, started_us))


def start_attempt(document: TaskRunDocument, started_us: int) -> Attempt:
    """An attempt that runs since `started_us`.

    It takes the place of one that has not ended: of itself, or of the same attempt on a worker that
    was lost. Attempts that never started leave no trace, so numbers do not tell places in the list.
    """
    state = new_state(started_us)
    state.current = RUNNING
    state.histories.append(Change(RUNNING, iso(started_us)))
    attempt = Attempt(state)
    if document.attempts is UNSET:
        document.attempts = []
    if _running_attempt(document) is not None:
        document.attempts.pop()
    document.attempts.append(attempt)
    return attempt


def end_attempt(attempt: Attempt, state: str, started_us: int, ended_us: int) -> None:
    attempt.state.current = state
    attempt.state.histories.append(Change(state, iso(ended_us)))
    settle(attempt.state, started_us, ended_us)


def _instant_us(date: str) -> int:
    since = datetime.fromisoformat(date) - datetime.fromtimestamp(0, UTC)
    return since // timedelta(microseconds=1)


def _set_outputs(row: TaskRunRow, outputs: Payload | None) -> None:
    value = raw(outputs)
    if value is not UNSET:
        row.document.outputs = value


def session_started(rows: Rows, batch: e.EventBatch, event: e.SessionStarted, number: int) -> None:
    """It runs; like every flowable it shows no attempt."""
    row = task_run_of(rows, batch, event.task_run_id)
    if row.document.state.current != RUNNING:
        enter(row, RUNNING, event.started_us, batch.at_us)


def session_ended(rows: Rows, batch: e.EventBatch, event: e.SessionEnded, number: int) -> None:
    _set_outputs(task_run_of(rows, batch, event.task_run_id), event.outputs)
