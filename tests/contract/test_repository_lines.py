"""Log lines and metrics in the read model, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.read_model_harness import (
    START_US,
    Journal,
    Progress,
    created,
    eventually,
    indexing,
    line,
    metric,
    state,
)

from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.indexer import purges
from tiercel_engine.repository.base import LogFilter, MeasureFilter, Store
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.terms import Term
from tiercel_schemas import events as e
from tiercel_schemas.codec import encode
from tiercel_schemas.logs import LogsDeleted, MetricsDeleted


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


def test_a_line_reads_as_the_peer_answers_it(journal: Journal) -> None:
    journal.append("one", line("hello", 500, attempt=2))
    journal.append(
        "t",
        line(
            "fired",
            600,
            execution_id=None,
            task_id=None,
            task_run_id=None,
            trigger_id="every-minute",
        ),
    )
    journal.index()

    of_task, of_trigger = journal.store.logs(LogFilter())

    assert of_task == {
        "namespace": "company.team",
        "flowId": "hello",
        "taskId": "log",
        "executionId": "one",
        "taskRunId": "run",
        "attemptNumber": 1,
        "timestamp": "2023-11-14T22:13:20.500Z",
        "level": "INFO",
        "thread": "worker_1",
        "message": "hello",
        "deleted": False,
    }
    assert of_trigger["triggerId"] == "every-minute"
    assert "executionId" not in of_trigger


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (LogFilter(), ["first", "second", "third 100%", "other"]),
        (LogFilter(execution_id="one"), ["first", "second", "third 100%"]),
        (LogFilter(task_id="b"), ["second"]),
        (LogFilter(task_run_id="run-b"), ["second"]),
        (LogFilter(attempt=1), ["third 100%"]),
        (LogFilter(min_level="WARN"), ["second", "third 100%"]),
        (LogFilter(q="00%"), ["third 100%"]),
        (LogFilter(q="FIRST"), ["first"]),
        (LogFilter(namespace="company"), ["first", "second", "third 100%"]),
        (LogFilter(flow_id="nope"), []),
        (LogFilter(trigger_id="t"), []),
        (LogFilter(start_us=START_US + 2_000, end_us=START_US + 3_000), ["second", "third 100%"]),
    ],
)
def test_a_filter_finds_its_lines_in_the_order_of_time(
    journal: Journal, where: LogFilter, found: list[str]
) -> None:
    # given
    journal.append("one", line("third 100%", 3, level="ERROR", attempt=2))
    journal.append("one", line("first", 1, level="DEBUG"))
    journal.append("one", line("second", 2, level="WARN", task_id="b", task_run_id="run-b"))
    journal.append("two", line("other", 4, execution_id="two", namespace="elsewhere"))
    journal.index()

    # when
    lines = journal.store.logs(where)
    page = journal.store.search_logs(where, 1, 10)

    # then
    assert [entry["message"] for entry in lines] == found
    assert [entry["message"] for entry in page.results] == found[::-1]
    assert page.total == len(found)


def test_lines_are_paged_and_limited(journal: Journal) -> None:
    for number in range(5):
        journal.append("one", line(str(number), number))
    journal.index()

    page = journal.store.search_logs(LogFilter(), 2, 2, sort=[("timestamp", True)])

    assert [entry["message"] for entry in page.results] == ["2", "3"]
    assert page.total == 5
    assert len(journal.store.logs(LogFilter(), limit=3)) == 3


def test_metrics_read_as_the_peer_answers_them(journal: Journal) -> None:
    journal.append("one", metric("rows", 2.5, 2))
    journal.append("one", metric("bytes", 1.0, 1, task_id="other"))
    journal.index()

    page = journal.store.metrics("one", 1, 10)
    by_value = journal.store.metrics("one", 1, 1, sort=[("value", False)])

    assert [m["name"] for m in page.results] == ["bytes", "rows"]
    assert page.results[1] == {
        "namespace": "company.team",
        "flowId": "hello",
        "taskId": "log",
        "executionId": "one",
        "taskRunId": "run",
        "type": "counter",
        "name": "rows",
        "value": 2.5,
        "timestamp": "2023-11-14T22:13:20.002Z",
        "tags": {"format": "csv"},
        "deleted": False,
    }
    assert [m["name"] for m in by_value.results] == ["rows"]
    assert by_value.total == 2
    assert (
        journal.store.metrics("one", 1, 10, terms=[Term("taskId", "EQUALS", ("other",))]).total == 1
    )
    assert (
        journal.store.metrics("one", 1, 10, terms=[Term("taskRunId", "EQUALS", ("nope",))]).total
        == 0
    )


@pytest.mark.parametrize(
    ("deletion", "left"),
    [
        (LogsDeleted(0, end_us=START_US + 2_000), ["third", "later"]),
        (LogsDeleted(0, start_us=START_US + 2_000), ["first", "later"]),
        (LogsDeleted(0, levels=("DEBUG", "WARN")), ["third", "later"]),
        (LogsDeleted(0, namespace_prefix="company"), ["later"]),
        (LogsDeleted(0, namespace="company"), ["first", "second", "third", "later"]),
        (LogsDeleted(0, levels=("LOUD",)), ["first", "second", "third", "later"]),
    ],
)
def test_what_was_said_to_be_deleted_stays_so_when_the_index_is_built_anew(
    journal: Journal, deletion: LogsDeleted, left: list[str]
) -> None:
    # given: lines before the deletion and one after it
    journal.append("one", line("first", 1, level="DEBUG"))
    journal.append("one", line("second", 2, level="WARN"))
    journal.append("one", line("third", 3))
    journal.append("one", deletion)
    journal.append("one", line("later", 2, level="WARN"))
    journal.index()

    # when
    first = [entry["message"] for entry in journal.store.logs(LogFilter())]
    logs, metrics = journal.topics.logs.name, journal.topics.metrics.name
    lanes = [lane for lane in journal.lanes if lane[0] in (logs, metrics)]
    journal.store.clear(dict.fromkeys(lanes, 0), logs, metrics)
    assert journal.store.logs(LogFilter()) == []
    journal.index()

    # then
    assert sorted(first) == sorted(left)
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == first


def test_a_deletion_goes_on_in_steps_while_all_else_is_indexed(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: five lines of which four are to go, in steps of two; what follows comes after them
    monkeypatch.setattr(purges, "PURGE_ROWS_MAX", 2)
    for number in range(5):
        journal.append("one", line(str(number), number, level="INFO" if number == 2 else "DEBUG"))
    journal.append("one", LogsDeleted(0, levels=("DEBUG",)))
    journal.append("one", line("after", 9, level="DEBUG"))

    def seen() -> list[str]:
        return sorted(entry["message"] for entry in journal.store.logs(LogFilter()))

    # when: a batch is read, then its records again
    projector = journal.projector()
    projector.index(journal.unindexed())
    assert seen() == ["0", "1", "2", "3", "4"]
    assert projector.purges.step() == []
    assert seen() == ["2", "3", "4"]
    # and: something else happens, and another projector takes over in the middle
    journal.happen("two", created())
    assert projector.index(journal.unindexed()) == {"two": 1}
    heir = journal.projector()
    heir.index(journal.unindexed())
    assert heir.purges.step() == []
    assert seen() == ["2"]
    waiting = heir.purges.step()
    # then: the line after the deletion comes last
    assert len(waiting) == 2
    heir.index(waiting)
    assert seen() == ["2", "after"]
    assert list(heir.purges.lanes) == []
    assert journal.unindexed() == []


def test_an_execution_with_many_lines_is_deleted_in_steps(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: an execution with five lines and three metrics, one without, another beside them
    monkeypatch.setattr(purges, "PURGE_ROWS_MAX", 2)
    for execution_id in ("one", "two", "bare"):
        journal.happen(execution_id, created())
    for number in range(5):
        journal.append("one", line(str(number), number))
        journal.append("one", metric("rows", 1.0, min(number, 2)))
    journal.append("two", line("kept", execution_id="two"))
    journal.index()

    def seen() -> list[int]:
        return [len(journal.store.logs(LogFilter())), journal.store.count_metrics(MeasureFilter())]

    # when: all three are deleted, the last one with its log and without
    for execution_id in ("one", "bare"):
        journal.happen(execution_id, e.ExecutionDeleted())
    journal.happen("two", e.ExecutionDeleted(logs=False))
    projector = journal.projector()
    projector.index(journal.unindexed())
    # then: its partition waits, and goes on by two of each
    assert len(list(projector.purges.lanes)) == 1
    assert seen() == [4, 3]
    waiting = projector.purges.step()
    assert (waiting, seen()) == ([], [2, 1])
    while not waiting:
        waiting = projector.purges.step()
    assert seen() == [1, 0]
    assert journal.store.execution("one") is not None
    projector.index_all(waiting)
    assert [journal.store.execution(one) for one in ("one", "two", "bare")] == [None] * 3
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == ["kept"]
    assert journal.unindexed() == []


def test_an_indexer_goes_on_behind_a_long_deletion(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purges, "PURGE_ROWS_MAX", 1)
    progress = Progress()
    with indexing(journal, progress):
        for number in range(20):
            journal.append("one", line(str(number), number))
        journal.append("one", LogsDeleted(0))
        journal.append("one", line("kept", 30))
        journal.happen("one", created())
        progress.wait("one", 1)
        eventually(lambda: [e["message"] for e in journal.store.logs(LogFilter())] == ["kept"])
        # and: another deletion of the same partition
        journal.append("one", LogsDeleted(0))
        journal.happen("one", state("RUNNING"))
        progress.wait("one", 2)
        eventually(lambda: journal.store.logs(LogFilter()) == [])


def test_metrics_are_counted_and_deleted_by_date_and_place(journal: Journal) -> None:
    # given
    for at_ms in (1, 2, 3):
        journal.append("one", metric("rows", 1.0, at_ms))
    journal.index()
    until = MeasureFilter("company", None, "hello", START_US + 1_000, START_US + 2_000)
    assert journal.store.count_metrics(until) == 2
    assert journal.store.count_metrics(MeasureFilter(exact_namespace="company")) == 0

    # when
    asked = MetricsDeleted(
        0, None, "company", "hello", start_us=until.start_us, end_us=until.end_us
    )
    journal.append("one", asked)
    journal.index()

    # then
    assert journal.store.count_metrics(MeasureFilter()) == 1
    assert journal.store.count_metrics(until) == 0


def test_a_deletion_on_the_wrong_topic_deletes_nothing(journal: Journal) -> None:
    journal.append("one", line("kept", 1))
    journal.append("one", metric("kept", 1.0, 1))
    lost = encode(LogsDeleted(0))
    journal.appender.append(NewRecord(journal.topics.metrics.name, "one", lost))
    journal.appender.flush(5.0)
    journal.index()

    assert len(journal.store.logs(LogFilter())) == 1
    assert journal.store.count_metrics(MeasureFilter()) == 1
    assert len(list(journal.dead_letters())) == 1
