"""Appends what the worker says, and says again what the log did not take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tiercel_engine.errors import LogBusy, LogUnavailable
from tiercel_engine.eventlog.base import Appender, Delivered, NewRecord

#: How long a sender waits while the log's queue is full, and how often it looks, in seconds.
BUSY_TIMEOUT_S = 30.0
BUSY_CHECK_S = 0.01
#: How often one record is appended again before the worker gives up.
TRIES_MAX = 20


class Outgoing(NamedTuple):
    """A record on its way. `durable` is called once the log has it, from any thread."""

    record: NewRecord
    durable: Callable[[], None] | None = None
    tries: int = 1


class Sender:
    """One for the whole worker; thread-safe, except for `retry_failed`."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._failed: deque[Outgoing] = deque()

    def send(self, batch: Sequence[Outgoing]) -> None:
        """Append records in this order; waits while the log is busy.

        Raises:
            LogUnavailable: the log was busy for too long.
        """
        for outgoing in batch:
            self._append(outgoing)

    def retry_failed(self) -> None:
        """Append again what could not be delivered. For the main loop.

        Raises:
            LogUnavailable: a record was refused `TRIES_MAX` times.
        """
        for _ in range(len(self._failed)):
            outgoing = self._failed.popleft()
            if outgoing.tries > TRIES_MAX:
                raise LogUnavailable("Expected the log to take a record, but it refused it.")
            self._append(outgoing)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent is durable. Raises LogUnavailable on timeout."""
        self._appender.flush(timeout_s)

    def close(self) -> None:
        self._appender.close()

    def _append(self, outgoing: Outgoing) -> None:
        def delivered(error: Exception | None) -> None:
            if error is not None:
                self._failed.append(outgoing._replace(tries=outgoing.tries + 1))
            elif outgoing.durable is not None:
                outgoing.durable()

        try:
            self._appender.append(outgoing.record, delivered)
        except LogBusy:
            self._append_patiently(outgoing.record, delivered)

    def _append_patiently(self, record: NewRecord, delivered: Delivered) -> None:
        deadline_s = time.monotonic() + BUSY_TIMEOUT_S
        pause = threading.Event()
        while time.monotonic() <= deadline_s:
            pause.wait(BUSY_CHECK_S)
            try:
                self._appender.append(record, delivered)
                return
            except LogBusy:
                continue
        raise LogUnavailable(
            f"Expected the log to take records, but it was busy for {BUSY_TIMEOUT_S} s."
        )
