"""Projections of what is taken over from another execution, and of deletions."""

from __future__ import annotations

from msgspec import UNSET

from tiercel_engine.indexer.documents import TaskRunDocument, raw
from tiercel_engine.indexer.projections import (
    EMPTY_OBJECT,
    RUNNING,
    end_attempt,
    enter,
    execution_row,
    known,
    new_state,
    start_attempt,
)
from tiercel_engine.indexer.rows import Rows, TaskRunRow
from tiercel_engine.repository.base import Deletion
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated


def task_run_copied(rows: Rows, batch: e.EventBatch, event: e.TaskRunCopied, number: int) -> None:
    """A task run with the dates of the original. Of several attempts the event knows the last."""
    execution = known(rows, batch).document
    outputs = raw(event.outputs)
    document = TaskRunDocument(
        id=event.task_run_id,
        execution_id=batch.execution_id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        task_id=event.task_id,
        parent_task_run_id=(
            UNSET if event.parent_task_run_id is None else event.parent_task_run_id
        ),
        value=UNSET if event.value is None else event.value,
        outputs=EMPTY_OBJECT if outputs is UNSET else outputs,
        state=new_state(event.created_us),
        iteration=UNSET if event.iteration is None else event.iteration,
    )
    row = TaskRunRow(document, number, event.created_us, event.created_us)
    started_us = event.started_us or event.created_us
    ended_us = max(event.ended_us or batch.at_us, started_us)
    if event.state != State.CREATED:
        if event.started_us:
            enter(row, RUNNING, started_us, batch.at_us)
        if event.state != row.document.state.current:
            enter(row, event.state, ended_us, batch.at_us)
    if event.attempt:
        state = event.state if is_terminated(event.state) else State.FAILED.value
        for _ in range(event.attempt):
            end_attempt(start_attempt(document, started_us), state, started_us, ended_us)
    key = (batch.execution_id, event.task_run_id)
    rows.task_runs[key] = row
    rows.changed_task_runs[key] = None


def deleted(rows: Rows, batch: e.EventBatch, event: e.ExecutionDeleted, number: int) -> None:
    """Everything of it leaves; its labels by their own keys, which no index finds otherwise."""
    labels = execution_row(rows, batch).document.labels
    rows.drop(batch.execution_id)
    for label in labels:
        rows.labels_removed[label.key, label.value, batch.execution_id] = None
    rows.deleted[batch.execution_id] = Deletion(batch.execution_id, event.logs, event.metrics)
