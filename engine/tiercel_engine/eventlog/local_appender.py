"""Group commit: many threads append, one thread writes what has come in, as one batch.

While a batch is being stored the next one gathers, so the batch size follows the load by itself.
Must not know where the batch goes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tiercel_engine.errors import LogBusy, LogError, LogUnavailable
from tiercel_engine.eventlog.base import Delivered, NewRecord

#: Bounds of what waits to be written.
QUEUED_RECORDS_MAX = 50_000
QUEUED_BYTES_MAX = 64 << 20

#: Bounds of what one storage transaction holds.
BATCH_RECORDS_MAX = 2_000

#: How long closing waits for what is queued, in seconds.
CLOSE_TIMEOUT_S = 30.0


class BatchAppender:
    """The queue and the writing thread, shared by every appender of one log."""

    def __init__(
        self,
        write: Callable[[Sequence[NewRecord]], None],
        check: Callable[[NewRecord], None],
    ) -> None:
        self._write = write
        self._check = check
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)
        self._queue: list[tuple[NewRecord, Delivered | None]] = []
        self._queue_bytes = 0
        self._queued = self._written = 0
        self._idle = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def handle(self) -> AppenderHandle:
        """An `Appender`; the thread starts with the first of them."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-appender", daemon=True)
                self._thread.start()
        return AppenderHandle(self)

    def append(self, record: NewRecord, delivered: Delivered | None) -> None:
        self._check(record)
        size = len(record.value or b"")
        with self._lock:
            if self._closed:
                raise LogUnavailable("Expected an open log, but it is closed")
            if len(self._queue) >= QUEUED_RECORDS_MAX or self._queue_bytes > QUEUED_BYTES_MAX:
                raise LogBusy("Expected room in the append queue, but it is full")
            self._queue.append((record, delivered))
            self._queue_bytes += size
            self._queued += 1
            if self._idle:
                self._ready.notify()

    def flush(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            goal = self._queued
            while self._written < goal:
                remaining_s = deadline_s - time.monotonic()
                if remaining_s <= 0 or not self._drained.wait(remaining_s):
                    raise LogUnavailable(f"Expected the queue to drain in {timeout_s} s")

    def close(self) -> None:
        """Write what is queued, then stop. Raises `LogUnavailable` when that takes too long."""
        with self._lock:
            self._closed = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)
            if self._thread.is_alive():
                raise LogUnavailable(f"Expected the queue to drain in {CLOSE_TIMEOUT_S} s")

    def _run(self) -> None:
        try:
            while batch := self._gather():
                self._store(batch)
        finally:
            with self._lock:
                self._closed = True

    def _gather(self) -> list[tuple[NewRecord, Delivered | None]]:
        """Wait for the next batch; empty once closed and drained."""
        with self._lock:
            while not self._queue and not self._closed:
                self._idle = True
                self._ready.wait()
                self._idle = False
            batch, self._queue = (
                self._queue[:BATCH_RECORDS_MAX],
                self._queue[BATCH_RECORDS_MAX:],
            )
            self._queue_bytes -= sum(len(record.value or b"") for record, _ in batch)
            return batch

    def _store(self, batch: Sequence[tuple[NewRecord, Delivered | None]]) -> None:
        failure: LogError | None = None
        try:
            self._write([record for record, _ in batch])
        except LogError as error:
            failure = error
        for _, delivered in batch:
            if delivered is not None:
                delivered(failure)
        with self._lock:
            self._written += len(batch)
            self._drained.notify_all()


class AppenderHandle:
    """One user's `Appender`. Closing it waits for the queue, not for the thread."""

    def __init__(self, batches: BatchAppender) -> None:
        self._batches = batches

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        self._batches.append(record, delivered)

    def flush(self, timeout_s: float) -> None:
        self._batches.flush(timeout_s)

    def close(self) -> None:
        self._batches.flush(CLOSE_TIMEOUT_S)
