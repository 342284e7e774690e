"""The worker's small parts, each by itself."""

from __future__ import annotations

import threading

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import LogBusy, TaskError
from tiercel_engine.eventlog.base import Delivered, NewRecord, TopicPartition
from tiercel_schemas.codec import decode, decode_as
from tiercel_schemas.commands import EndAttempt, StartAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import Revocation, TaskJob
from tiercel_schemas.topics import Topics
from tiercel_worker import revocations
from tiercel_worker.attempt import BUFFERED_RECORDS_MAX, Attempt, Cancel
from tiercel_worker.logs import TAGS_MAX, Metrics, TaskLogger
from tiercel_worker.masking import MASK
from tiercel_worker.offsets import Offsets
from tiercel_worker.revocations import Revocations
from tiercel_worker.sender import Outgoing, Sender

JOB = TaskJob("e", "r", 1, 2, "ns", "flow", 1, "task", "{}", Payload(), 1)
TOPICS = Topics()


class Notebook:
    """An appender that writes down, and refuses when told."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.busy = 0
        self.failing = 0

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        if self.busy:
            self.busy -= 1
            raise LogBusy("full")
        assert delivered is not None
        if self.failing:
            self.failing -= 1
            delivered(OSError("the disk is away"))
            return
        self.records.append(record)
        delivered(None)

    def flush(self, timeout_s: float) -> None:
        """Everything is written at once."""

    def close(self) -> None:
        """Nothing is open."""


def _attempt(notebook: Notebook, answered: list[int] | None = None) -> Attempt:
    done = [] if answered is None else answered
    return Attempt(JOB, TOPICS, Sender(notebook), "w1", 7, lambda: done.append(1))


def _short(records: list[NewRecord]) -> list[str]:
    return [record.topic.removeprefix("tiercel.") for record in records]


def test_a_short_attempt_is_started_and_ended_by_one_command() -> None:
    notebook, answered = Notebook(), list[int]()
    attempt = _attempt(notebook, answered)

    TaskLogger(attempt, FakeClock()).log("INFO", "hi")
    assert notebook.records == []
    attempt.end("SUCCESS", 9, None, None)

    assert _short(notebook.records) == ["logs", "commands"]
    assert decode_as(EndAttempt, notebook.records[-1].value).started_us == 7
    assert answered == [1]


def test_a_longer_attempt_says_that_it_started() -> None:
    notebook, answered = Notebook(), list[int]()
    attempt = _attempt(notebook, answered)

    attempt.flush()
    attempt.flush()
    attempt.end("SUCCESS", 9, None, None)

    kinds = [type(decode(record.value)) for record in notebook.records]
    assert kinds == [StartAttempt, EndAttempt]
    assert answered == [1]


def test_nothing_is_said_after_the_end() -> None:
    notebook = Notebook()
    attempt = _attempt(notebook)
    assert attempt.end("SUCCESS", 9, None, None)

    TaskLogger(attempt, FakeClock()).log("INFO", "late")
    attempt.flush()

    assert not attempt.end("KILLED", 10, None, None)
    assert _short(notebook.records) == ["commands"]


def test_a_dropped_attempt_says_nothing_and_its_job_is_answered() -> None:
    notebook, answered = Notebook(), list[int]()
    attempt = _attempt(notebook, answered)

    assert attempt.drop(Cancel.SUPERSEDED)
    attempt.flush()

    assert notebook.records == []
    assert answered == [1]
    assert attempt.is_cancelled()
    assert not attempt.drop(Cancel.RETURNED)


def test_many_lines_leave_before_the_end() -> None:
    notebook = Notebook()
    logger = TaskLogger(_attempt(notebook), FakeClock())

    for n in range(BUFFERED_RECORDS_MAX):
        logger.log("INFO", str(n))

    assert _short(notebook.records) == ["commands", *["logs"] * BUFFERED_RECORDS_MAX]


def test_a_cancellation_calls_back_also_when_it_came_first() -> None:
    early, late = threading.Event(), threading.Event()
    attempt = _attempt(Notebook())

    attempt.on_cancel(early.set)
    attempt.cancel(Cancel.KILLED)
    attempt.cancel(Cancel.TIMEOUT)
    attempt.on_cancel(late.set)

    assert early.wait(5)
    assert late.wait(5)
    assert attempt.cancel_reason is Cancel.KILLED


def test_a_busy_log_is_waited_for_and_a_failed_record_sent_again() -> None:
    notebook, durable = Notebook(), list[str]()
    sender = Sender(notebook)
    notebook.busy, notebook.failing = 2, 1

    sender.send([Outgoing(NewRecord("t", "k", b"1"), lambda: durable.append("1"))])
    assert durable == []
    sender.retry_failed()

    assert durable == ["1"]
    assert len(notebook.records) == 1


def test_secrets_are_masked_the_longest_first() -> None:
    notebook = Notebook()
    attempt = _attempt(notebook)
    logger = TaskLogger(attempt, FakeClock())
    logger.mask("ab")
    logger.mask("abc")
    logger.mask("")

    logger.log("INFO", "abc ab x")
    attempt.flush()

    assert notebook.records[1].value is not None
    assert f"{MASK} {MASK} x".encode() in notebook.records[1].value


def test_metrics_of_one_name_and_the_same_tags_are_summed() -> None:
    notebook = Notebook()
    attempt = _attempt(notebook)
    metrics = Metrics(attempt, FakeClock())

    metrics.add("rows", 1, "counter", {"a": "1", "b": "2"})
    metrics.add("rows", 2, "counter", {"b": "2", "a": "1"})
    metrics.add("rows", 5, "counter", None)
    metrics.add("level", 5, "gauge", None)
    metrics.add("level", 3, "gauge", None)
    metrics.say_all()
    attempt.flush()

    assert _short(notebook.records).count("metrics") == 3


def test_a_metric_stays_small_whatever_text_tags_it() -> None:
    notebook = Notebook()
    attempt = _attempt(notebook)
    metrics = Metrics(attempt, FakeClock())

    metrics.add("n" * 5_000_000, 1, "counter", {"k" * 5_000_000: "v" * 5_000_000})
    with pytest.raises(TaskError, match="tags"):
        metrics.add("n", 1, "counter", {str(i): "" for i in range(TAGS_MAX + 1)})
    metrics.say_all()
    attempt.flush()

    assert all(len(record.value or b"") < 2_000 for record in notebook.records)


def test_only_what_is_done_without_a_hole_is_committed() -> None:
    offsets, at = Offsets(), TopicPartition("jobs", 0)
    first, second, third = (offsets.take(at, n) for n in (4, 5, 9))

    second.done()
    assert offsets.committable() == {}
    first.done()
    assert offsets.committable() == {at: 6}
    third.done()
    offsets.forget([at])
    assert offsets.committable() == {}


def test_revocations_are_remembered_up_to_a_bound() -> None:
    known = Revocations("w1")
    assert known.add(Revocation("e", "r", 1, 2, "KILLED", 1))
    assert not known.add(Revocation("e", "other", 1, 2, "SUPERSEDED", 1, "w2"))
    assert known.covers(JOB)

    for n in range(revocations.REMEMBERED_MAX):
        known.add(Revocation("e", f"r{n}", 1, 1, "KILLED", 1))

    assert not known.covers(JOB)
