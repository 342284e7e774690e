"""One attempt while it runs: what it has to say, and how it is stopped.

Theory of operation. Everything an attempt says (StartAttempt, log lines, metrics, EndAttempt) goes
through its own small buffer, in order. The buffer leaves when it is full, when the main loop says
so (`flush`), or at the end. An attempt that ends before anything has left says no StartAttempt: its
EndAttempt tells who ran it since when, and one command costs the executor half of two.
`end` and `drop` close the buffer: the first of them wins, and nothing is said after it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from copy import copy
from enum import StrEnum

import msgspec

from tiercel_engine.eventlog.base import NewRecord
from tiercel_schemas.codec import AvroRecord, encode
from tiercel_schemas.commands import EndAttempt, StartAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.ids import derive_id
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.state import State
from tiercel_schemas.topics import Topics
from tiercel_worker.sender import Outgoing, Sender

#: A buffer with so many records leaves at once.
BUFFERED_RECORDS_MAX = 100
#: The text of a failure in EndAttempt is cut there; the log has all of it.
ERROR_CHARS_MAX = 8_192


class Cancel(StrEnum):
    """Why an attempt is stopped before its end."""

    KILLED = "KILLED"
    TIMEOUT = "TIMEOUT"
    SUPERSEDED = "SUPERSEDED"
    RETURNED = "RETURNED"


def is_look(job: TaskJob) -> bool:
    """Whether the job is a trigger's: it has the key of a flow in the place of an execution."""
    return "/" in job.execution_id


def files_of(job: TaskJob) -> str:
    """Under which id files of the job lie: the execution's; of a look the one that it starts."""
    if not is_look(job):
        return job.execution_id
    return derive_id("look", *job.task_run_id.split("/"), f"epoch-{job.epoch}")


def run_files_of(job: TaskJob) -> str:
    """Under which name, below that, those of the task run lie."""
    return job.task_id if is_look(job) else job.task_run_id


def topics_for(job: TaskJob, topics: Topics) -> Topics:
    """Where a job's answers go: those of a trigger's to the scheduler."""
    if not is_look(job):
        return topics
    answered = copy(topics)
    answered.commands = topics.trigger_commands
    return answered


class Attempt:
    """Thread-safe."""

    def __init__(
        self,
        job: TaskJob,
        topics: Topics,
        sender: Sender,
        worker_id: str,
        started_us: int,
        answered: Callable[[], None],
    ) -> None:
        self.job = job
        self.key = (job.task_run_id, job.attempt, job.epoch)
        self.topics = topics
        self.started_us = started_us
        self.started_s = time.monotonic()
        #: When it must be over, as `time.monotonic`; None without a timeout.
        self.deadline_s: float | None = None
        self.cancelled_s: float | None = None
        self.cancel_reason: Cancel | None = None
        self._worker_id = worker_id
        self._sender = sender
        self._answered = answered
        self._cancelled = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._is_announced = False
        self._buffer: list[Outgoing] = []

    # ---- saying

    def say(self, topic: str, record: AvroRecord) -> None:
        """Put a record behind those that wait; nothing once the attempt has ended."""
        if is_look(self.job) and isinstance(record, LogEntry):
            record = msgspec.structs.replace(
                record,
                execution_id=None,
                task_run_id=None,
                task_id=None,
                trigger_id=self.job.task_id,
            )
        new = Outgoing(
            self._record(topic, record), instead=lambda reason: self._lost(record, reason)
        )
        with self._lock:
            if self._closed:
                return
            self._buffer.append(new)
            if len(self._buffer) >= BUFFERED_RECORDS_MAX:
                self._send_buffer()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            if not self._closed and (self._buffer or not self._is_announced):
                self._send_buffer()

    def end(
        self,
        state: str,
        ended_us: int,
        outputs: Payload | None,
        error: str | None,
        effects_json: str | None = None,
        log_file: str | None = None,
    ) -> bool:
        """Say how it ended; False when that was said before, or must not be said."""
        job = self.job
        end = EndAttempt(
            job.execution_id,
            job.task_run_id,
            job.attempt,
            job.epoch,
            self._worker_id,
            str(state),
            self.started_us,
            ended_us,
            outputs,
            None if error is None else error[:ERROR_CHARS_MAX],
            effects_json,
            log_file,
        )
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            durable = None if self._is_announced else self._answered
            self._is_announced = True
            record = self._record(self.topics.commands.name, end)
            self._buffer.append(
                Outgoing(record, durable, instead=lambda reason: self._failed(end, reason))
            )
            self._send_buffer()
        return True

    def drop(self, reason: Cancel) -> bool:
        """Say nothing more, not even what waits, and stop; False when its end was said already."""
        with self._lock:
            was_open = not self._closed
            self._closed = True
            self._buffer.clear()
        self._answered()
        self.cancel(reason)
        return was_open

    @property
    def is_closed(self) -> bool:
        """Whether its end was said, or must not be said."""
        return self._closed

    def _send_buffer(self) -> None:
        batch = self._buffer
        self._buffer = []
        if not self._is_announced:
            self._is_announced = True
            batch.insert(0, self._start())
        self._sender.send(batch)

    def _start(self) -> Outgoing:
        job = self.job
        start = StartAttempt(
            job.execution_id,
            job.task_run_id,
            job.attempt,
            job.epoch,
            self._worker_id,
            self.started_us,
        )
        return Outgoing(self._record(self.topics.commands.name, start), self._answered)

    def _record(self, topic: str, record: AvroRecord) -> NewRecord:
        return NewRecord(topic, self.job.execution_id, encode(record))

    def _lost(self, record: AvroRecord, reason: str) -> NewRecord:
        """A line in the place of one, or of a metric, that is too large for the log."""
        kind = "log line" if isinstance(record, LogEntry) else "metric"
        at_us = record.at_us if isinstance(record, LogEntry | MetricEntry) else self.started_us
        job = self.job
        line = LogEntry(
            namespace=job.namespace,
            flow_id=job.flow_id,
            at_us=at_us,
            level="WARN",
            message=f"A {kind} was too large for the log and is lost: {reason}",
            execution_id=job.execution_id,
            task_run_id=job.task_run_id,
            task_id=job.task_id,
            attempt=job.attempt,
        )
        return self._record(self.topics.logs.name, line)

    def _failed(self, end: EndAttempt, reason: str) -> NewRecord:
        """The end in the place of one that is too large for the log."""
        error = f"The result of the task was too large for the log: {reason}"
        smaller = msgspec.structs.replace(end, state=State.FAILED.value, outputs=None, error=error)
        return self._record(self.topics.commands.name, smaller)

    # ---- stopping

    def cancel(self, reason: Cancel) -> None:
        """Ask the task to stop; returns at once. The first reason counts."""
        with self._lock:
            if self.cancel_reason is not None:
                return
            self.cancel_reason = reason
            self.cancelled_s = time.monotonic()
            self._cancelled.set()
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            _call(callback)

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call this when the attempt is cancelled, in a thread of its own: it may block or fail."""
        with self._lock:
            self._callbacks.append(callback)
            late = self.cancel_reason is not None
        if late:
            _call(callback)

    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def wait_cancelled(self, timeout_s: float) -> bool:
        return self._cancelled.wait(timeout_s)


def _call(callback: Callable[[], None]) -> None:
    threading.Thread(target=callback, name="cancel", daemon=True).start()
