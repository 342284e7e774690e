"""Group commit: its bounds, and what it says when the write fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from tiercel_engine.errors import LogBusy, LogUnavailable
from tiercel_engine.eventlog import local_appender
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.local_appender import BatchAppender

RECORD = NewRecord("t", "k", b"value")


class Gate:
    """A write that waits until it is let through, and may fail."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.failure: LogUnavailable | None = None
        self.batches: list[int] = []

    def write(self, records: Sequence[NewRecord]) -> None:
        self.entered.set()
        assert self.open.wait(10)
        self.batches.append(len(records))
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def appender(gate: Gate) -> Iterator[BatchAppender]:
    opened = BatchAppender(gate.write, lambda _: None)
    yield opened
    gate.open.set()
    opened.close()


def test_what_comes_while_one_batch_is_written_is_the_next_batch(
    gate: Gate, appender: BatchAppender
) -> None:
    # given
    handle = appender.handle()
    handle.append(RECORD)
    assert gate.entered.wait(10)

    # when
    for _ in range(5):
        handle.append(RECORD)
    gate.open.set()
    handle.flush(10)

    # then
    assert gate.batches == [1, 5]


def test_a_full_queue_refuses_the_next_record(
    gate: Gate, appender: BatchAppender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(local_appender, "QUEUED_RECORDS_MAX", 2)
    handle = appender.handle()
    handle.append(RECORD)
    assert gate.entered.wait(10)
    handle.append(RECORD)
    handle.append(RECORD)

    # when, then
    with pytest.raises(LogBusy):
        handle.append(RECORD)


def test_flushing_gives_up_when_the_log_does_not_answer(
    gate: Gate, appender: BatchAppender
) -> None:
    handle = appender.handle()
    handle.append(RECORD)

    with pytest.raises(LogUnavailable, match="drain"):
        handle.flush(0.01)


def test_a_failed_write_is_told_to_each_record_and_the_next_is_tried(
    gate: Gate, appender: BatchAppender
) -> None:
    # given
    told: list[Exception | None] = []
    handle = appender.handle()
    gate.failure = LogUnavailable("the disk is full")
    gate.open.set()

    # when
    handle.append(RECORD, told.append)
    handle.flush(10)
    failure, gate.failure = gate.failure, None
    handle.append(RECORD, told.append)
    handle.flush(10)

    # then
    assert told == [failure, None]


def test_nothing_is_taken_after_closing(gate: Gate) -> None:
    appender = BatchAppender(gate.write, lambda _: None)
    appender.close()

    with pytest.raises(LogUnavailable, match="closed"):
        appender.append(RECORD, None)
