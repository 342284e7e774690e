"""Events of task runs that start many executions -> counters among the outputs of the task run.

Every end is an event that names an index and a state; the counters shown are worked out here, so
that they are there while the executions run and cost the log nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tiercel_engine.indexer.projections import (
    EMPTY_OBJECT,
    RETRYING,
    RUNNING,
    enter,
    start_attempt,
    task_run_of,
)
from tiercel_engine.indexer.rows import Rows, TaskRunRow
from tiercel_schemas import events as e
from tiercel_schemas.state import State

#: What the counters of a ForEachItem stand under.
COUNTERS = "iterations"
#: An output that a Loop has, and what its counters stand under.
LOOP, RUN, ENDED = "iterationCount", "runningIterations", "terminatedIterations"


def fan_out_started(rows: Rows, batch: e.EventBatch, event: e.FanOutStarted, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    if row.document.state.current == RETRYING:
        enter(row, State.CREATED, batch.at_us, batch.at_us)
    enter(row, RUNNING, batch.at_us, batch.at_us)
    start_attempt(row.document, batch.at_us)
    text = event.outputs.json
    row.document.outputs = EMPTY_OBJECT if text is None else Raw(text.encode())
    if event.count:
        _count(row, {})


def items_started(rows: Rows, batch: e.EventBatch, event: e.ItemsStarted, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    _count(row, {State.RUNNING: event.count})


def items_restarted(rows: Rows, batch: e.EventBatch, event: e.ItemsRestarted, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    _count(row, {event.state: -event.count, State.RUNNING: event.count})


def item_ended(rows: Rows, batch: e.EventBatch, event: e.ItemEnded, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    _count(row, {State.RUNNING: -1, event.state: 1})


def item_replaced(rows: Rows, batch: e.EventBatch, event: e.ItemReplaced, number: int) -> None:
    """Nothing to show: it runs."""


def item_paused(rows: Rows, batch: e.EventBatch, event: e.ItemPaused, number: int) -> None:
    _count(task_run_of(rows, batch, event.task_run_id), {State.RUNNING: -1, State.PAUSED: 1})


def item_resumed(rows: Rows, batch: e.EventBatch, event: e.ItemResumed, number: int) -> None:
    _count(task_run_of(rows, batch, event.task_run_id), {State.RUNNING: 1, State.PAUSED: -1})


def items_left(rows: Rows, batch: e.EventBatch, event: e.ItemsLeft, number: int) -> None:
    row = task_run_of(rows, batch, event.task_run_id)
    ran = event.count - event.paused
    changes = {State.RUNNING: -ran, event.state: event.count}
    _count(row, {**changes, State.PAUSED: -event.paused} if event.paused else changes)


def fan_out_stopped(rows: Rows, batch: e.EventBatch, event: e.FanOutStopped, number: int) -> None:
    """Nothing to show: what runs may end."""


def outputs_sent(rows: Rows, batch: e.EventBatch, event: e.OutputsSent, number: int) -> None:
    """Nothing to show."""


def outputs_stored(rows: Rows, batch: e.EventBatch, event: e.OutputsStored, number: int) -> None:
    """Nothing to show."""


def _count(row: TaskRunRow, changes: dict[str, int]) -> None:
    """Change the counters of these states."""
    values: dict[str, Any] = msgspec.json.decode(row.document.outputs)
    if LOOP in values:
        running = changes.pop(State.RUNNING, 0) + changes.pop(State.PAUSED, 0)
        values[RUN] = values.get(RUN, 0) + running
        _add(values.setdefault(ENDED, {}), changes)
    else:
        counters = {"CREATED": 0, "RUNNING": 0, **values.get(COUNTERS, {})}
        _add(counters, changes)
        values[COUNTERS] = counters
    row.document.outputs = Raw(msgspec.json.encode(values))


def _add(counters: dict[str, int], changes: dict[str, int]) -> None:
    for state, change in changes.items():
        counters[state] = counters.get(state, 0) + change
        if counters[state] == 0 and state not in (State.CREATED, State.RUNNING):
            del counters[state]
