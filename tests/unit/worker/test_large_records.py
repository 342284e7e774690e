"""Records that are too large for the log: none stops a worker, and somebody is told of each."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import pytest
from tests.unit.worker.harness import Bench

from tiercel_engine.errors import RecordTooLarge
from tiercel_engine.eventlog.base import RECORD_BYTES_MAX, Delivered, NewRecord
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_schemas.codec import decode
from tiercel_schemas.commands import EndAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.topics import Topics
from tiercel_worker.attempt import Attempt
from tiercel_worker.sender import Outgoing, Sender

JOB = TaskJob("e", "r", 1, 2, "ns", "flow", 1, "task", "{}", Payload(), 1)
TOPICS = Topics()
LARGE = "x" * (RECORD_BYTES_MAX + 1)
LINE = LogEntry("ns", "flow", 5, "INFO", LARGE, "e", "r", "task")
METRIC = MetricEntry("ns", "flow", "e", "r", "task", "counter", LARGE, 1.0, 5, {})


class Shouter(RunnableTask):
    """A task whose log lines do not fit a record, since their thread's name does not."""

    TYPE: ClassVar[str] = "test.Shouter"

    def run(self, context: RunContext) -> None:
        name = threading.current_thread().name
        threading.current_thread().name = LARGE
        context.logger.log("INFO", "hear me")
        threading.current_thread().name = name


class StrictLog:
    """An appender that refuses what is too large, at once or when it delivers."""

    def __init__(self, is_late: bool) -> None:
        self.records: list[Any] = []
        self._is_late = is_late

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        assert delivered is not None
        if len(record.value or b"") <= RECORD_BYTES_MAX:
            self.records.append(decode(record.value))
            delivered(None)
            return
        error = RecordTooLarge("Expected a small value, but it was large")
        if not self._is_late:
            raise error
        delivered(error)

    def flush(self, timeout_s: float) -> None:
        """Everything is written at once."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(params=["at once", "late"])
def log(request: pytest.FixtureRequest) -> StrictLog:
    return StrictLog(request.param == "late")


@pytest.mark.parametrize(
    ("topic", "record", "kind"),
    [(TOPICS.logs.name, LINE, "log line"), (TOPICS.metrics.name, METRIC, "metric")],
)
def test_a_line_or_metric_too_large_leaves_a_line_in_its_place(
    log: StrictLog, topic: str, record: LogEntry | MetricEntry, kind: str
) -> None:
    sender = Sender(log)
    attempt = Attempt(JOB, TOPICS, sender, "w1", 7, lambda: None)

    attempt.say(topic, record)
    attempt.end("SUCCESS", 9, None, None)
    sender.retry_failed()

    (line,) = [record for record in log.records if isinstance(record, LogEntry)]
    assert line.level == "WARN"
    assert line.message.startswith(f"A {kind} was too large for the log and is lost: Expected a")
    assert (line.execution_id, line.task_run_id, line.at_us) == ("e", "r", 5)
    (end,) = [record for record in log.records if isinstance(record, EndAttempt)]
    assert end.state == "SUCCESS"


def test_a_result_too_large_fails_its_attempt(log: StrictLog) -> None:
    answered: list[int] = []
    sender = Sender(log)
    attempt = Attempt(JOB, TOPICS, sender, "w1", 7, lambda: answered.append(1))

    attempt.end("SUCCESS", 9, Payload(json=LARGE), None)
    sender.retry_failed()

    (end,) = log.records
    assert (end.state, end.outputs, end.started_us, end.ended_us) == ("FAILED", None, 7, 9)
    assert end.error.startswith("The result of the task was too large for the log: Expected a")
    assert answered == [1]


def test_what_has_no_place_holder_is_dropped_and_done_with(log: StrictLog) -> None:
    answered: list[int] = []
    sender = Sender(log)

    sender.send([Outgoing(NewRecord("t", "k", LARGE.encode()), lambda: answered.append(1))])
    sender.retry_failed()

    assert log.records == []
    assert answered == [1]


def test_a_worker_goes_on_after_a_line_that_is_too_large(bench: Bench) -> None:
    bench.registry.register(Shouter)

    with bench.worker():
        bench.submit({"type": "test.Shouter"})
        first = bench.end()
        bench.submit({"type": "io.kestra.plugin.core.log.Log", "message": "x"}, run="r2")
        second = bench.end("r2")

    assert first.state == second.state == "SUCCESS"
    ((level, message),) = bench.lines()
    assert level == "WARN"
    assert "too large" in message
