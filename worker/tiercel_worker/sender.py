"""Appends what the worker says, and says again what the log did not take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tiercel_engine.errors import LogBusy, LogUnavailable, RecordTooLarge
from tiercel_engine.eventlog.base import Appender, Delivered, NewRecord
from tiercel_engine.telemetry.logging import get_logger

#: How long a sender waits while the log's queue is full, and how often it looks, in seconds.
BUSY_TIMEOUT_S = 30.0
BUSY_CHECK_S = 0.01
#: How often one record is appended again before the worker gives up.
TRIES_MAX = 20

log = get_logger()


class Outgoing(NamedTuple):
    """A record on its way.

    Attributes:
        durable: called once the log has it, or has it not and never will; from any thread.
        instead: gives what to say when the record is too large for the log, from the reason;
            without it such a record is dropped.
    """

    record: NewRecord
    durable: Callable[[], None] | None = None
    tries: int = 1
    instead: Callable[[str], NewRecord] | None = None


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
            if isinstance(error, RecordTooLarge):
                if (smaller := _smaller(outgoing, error)) is not None:
                    self._failed.append(smaller)
            elif error is not None:
                self._failed.append(outgoing._replace(tries=outgoing.tries + 1))
            elif outgoing.durable is not None:
                outgoing.durable()

        try:
            self._appender.append(outgoing.record, delivered)
        except LogBusy:
            self._append_patiently(outgoing.record, delivered)
        except RecordTooLarge as error:
            # What stands instead has nothing instead of it, so this goes one deep.
            if (smaller := _smaller(outgoing, error)) is not None:
                self._append(smaller)

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


def _smaller(outgoing: Outgoing, error: RecordTooLarge) -> Outgoing | None:
    """What to send instead of a record that no try would deliver; None: nothing, it is dropped."""
    record = outgoing.record
    log.warning("record_too_large", topic=record.topic, key=record.key, reason=str(error))
    if outgoing.instead is not None:
        return Outgoing(outgoing.instead(str(error)), outgoing.durable)
    if outgoing.durable is not None:
        outgoing.durable()
    return None
