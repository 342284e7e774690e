"""What must happen at a later instant, as commands derived from state.

A timer is no record: after a restart the same timers follow from the folded state. Firing one is
a command like any other, processed by the owner of the execution; one that no longer fits is
refused as stale.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State


class BeginScheduled(msgspec.Struct, frozen=True):
    """The execution's `scheduleDate` has come."""

    execution_id: str


class RetryDue(msgspec.Struct, frozen=True):
    """The next attempt of a failed task run is due."""

    execution_id: str
    task_run_id: str
    attempt: int


class PauseDue(msgspec.Struct, frozen=True):
    """A paused task run was not resumed in time: it goes on by itself."""

    execution_id: str
    task_run_id: str
    due_us: int


class IterationDue(msgspec.Struct, frozen=True):
    """A loop has waited long enough to go round again."""

    execution_id: str
    task_run_id: str
    due_us: int


class StartOverdue(msgspec.Struct, frozen=True):
    """No worker said in time that it started this attempt."""

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int


class LeaseLost(msgspec.Struct, frozen=True):
    """The worker that held this attempt is gone."""

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str


class Continue(msgspec.Struct, frozen=True):
    """A flowable has more children to start than one command may create.

    Without a task run: one command had no room for everything that was to be decided.
    """

    execution_id: str
    task_run_id: str


class SlaDue(msgspec.Struct, frozen=True):
    """By now the execution should have ended."""

    execution_id: str
    sla_id: str


class OutputsOverdue(msgspec.Struct, frozen=True):
    """Nobody said in time that a set of outputs of a fan-out is stored."""

    execution_id: str
    task_run_id: str
    chunk: int
    epoch: int


Timer = (
    BeginScheduled
    | RetryDue
    | PauseDue
    | IterationDue
    | StartOverdue
    | Continue
    | OutputsOverdue
    | SlaDue
)
InternalCommand = Timer | LeaseLost


def all_timers(x: Execution, start_timeout_us: int) -> Iterator[tuple[int, Timer]]:
    """Every timer that this state asks for, each with its instant (microseconds)."""
    if x.state == State.CREATED and x.scheduled_us is not None:
        yield x.scheduled_us, BeginScheduled(x.id)
    yield from holdable_timers(x)
    if not x.is_ended:
        for sla_id, due_us in x.deadlines:
            yield due_us, SlaDue(x.id, sla_id)
    for run_id in x.leased:
        yield from _start(x, run_id, start_timeout_us)
    for run_id, fan in x.fan_outs.items():
        if x.state == State.KILLING and run_id in x.waiting:
            yield 0, Continue(x.id, run_id)
        for chunk in fan.sending:
            yield _outputs(x, run_id, chunk, start_timeout_us)


def holdable_timers(x: Execution) -> Iterator[tuple[int, Timer]]:
    """The timers that come to nothing while the execution is held; due again when it goes on."""
    if x.unasked and x.goes_on:
        yield 0, Continue(x.id, "")
    for run_id in sorted(x.values):
        if x.task_runs[run_id].state == State.RUNNING:
            yield 0, Continue(x.id, run_id)
    for run_id in sorted(x.retrying):
        yield from _retry(x, run_id)
    for run_id in sorted(x.paused):
        yield from _pause(x, run_id)
    for run_id in sorted(x.waiting):
        yield from _iteration(x, run_id)
        if run_id in x.fan_outs and x.fan_outs[run_id].has_more:
            yield 0, Continue(x.id, run_id)


#: Events that may add a timer; most add none.
_TIMED = frozenset(
    {
        e.ExecutionCreated,
        e.SlaDeadlineSet,
        e.RetryScheduled,
        e.TaskRunPaused,
        e.IterationScheduled,
        e.OutputsSent,
        e.AttemptSubmitted,
        e.EvaluationSubmitted,
    }
)


def new_timers(
    x: Execution, events: list[e.Event], start_timeout_us: int
) -> Iterator[tuple[int, Timer]]:
    """The timers that these events of one step have added; `x` is the state after them."""
    for event in events:
        if type(event) not in _TIMED:
            continue
        match event:
            case e.ExecutionCreated(scheduled_us=int(due_us)) if x.state == State.CREATED:
                yield due_us, BeginScheduled(x.id)
            case e.SlaDeadlineSet(sla_id=sla_id, due_us=due_us):
                yield due_us, SlaDue(x.id, sla_id)
            case e.RetryScheduled(task_run_id=run_id) if run_id in x.retrying:
                yield from _retry(x, run_id)
            case e.TaskRunPaused(task_run_id=run_id) if run_id in x.paused:
                yield from _pause(x, run_id)
            case e.IterationScheduled(task_run_id=run_id) if run_id in x.waiting:
                yield from _iteration(x, run_id)
            case e.OutputsSent(task_run_id=run_id, chunk=chunk):
                if run_id in x.fan_outs and chunk in x.fan_outs[run_id].sending:
                    yield _outputs(x, run_id, chunk, start_timeout_us)
            case (
                e.AttemptSubmitted(task_run_id=run_id) | e.EvaluationSubmitted(task_run_id=run_id)
            ) if run_id in x.leased:
                yield from _start(x, run_id, start_timeout_us)


def _retry(x: Execution, run_id: str) -> Iterator[tuple[int, Timer]]:
    run = x.task_runs[run_id]
    if run.due_us is not None:
        yield run.due_us, RetryDue(x.id, run_id, run.attempt)


def _pause(x: Execution, run_id: str) -> Iterator[tuple[int, Timer]]:
    due_us = x.task_runs[run_id].due_us
    if due_us is not None:
        yield due_us, PauseDue(x.id, run_id, due_us)


def _iteration(x: Execution, run_id: str) -> Iterator[tuple[int, Timer]]:
    due_us = x.task_runs[run_id].due_us
    if due_us is not None:
        yield due_us, IterationDue(x.id, run_id, due_us)


def _start(x: Execution, run_id: str, start_timeout_us: int) -> Iterator[tuple[int, Timer]]:
    run = x.lease(run_id)
    if run is not None and run.worker_id is None:
        due_us = run.submitted_us + start_timeout_us
        yield due_us, StartOverdue(x.id, run_id, run.attempt, run.epoch)


def _outputs(x: Execution, run_id: str, chunk: int, timeout_us: int) -> tuple[int, Timer]:
    sending = x.fan_outs[run_id].sending[chunk]
    due_us = sending.sent_us + timeout_us * 2 ** (sending.epoch - 1)
    return due_us, OutputsOverdue(x.id, run_id, chunk, sending.epoch)
