"""The indexer over a real log and a real database, several at once, through their failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.read_model_harness import (
    Journal,
    Progress,
    created,
    ended,
    indexing,
    line,
    metric,
    started,
    state,
)

from tiercel_engine.eventlog.dead_letters import REASON, SOURCE_OFFSET, SOURCE_TOPIC
from tiercel_engine.indexer import service
from tiercel_engine.indexer.service import Indexer, rebuild
from tiercel_engine.repository.base import (
    Changes,
    DatabaseUnavailable,
    ExecutionFilter,
    LogFilter,
    OffsetsMoved,
    Store,
)
from tiercel_engine.repository.store import SqlStore, open_store
from tiercel_schemas import events as e


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/read.db")
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


def test_listeners_are_told_once_the_rows_can_be_read(journal: Journal) -> None:
    # given
    read: dict[str, int] = {}
    progress = Progress()

    def listener(sequences: Mapping[str, int]) -> None:
        read.update({name: journal.store.execution_sequence(name) for name in sequences})
        progress(sequences)

    # when
    with indexing(journal, listener):
        journal.happen("one", created(), state("RUNNING"))
        progress.wait("one", 2)

    # then
    assert read == {"one": 2}


def test_an_indexer_goes_on_where_the_one_before_stopped(journal: Journal) -> None:
    # given
    progress = Progress()
    with indexing(journal, progress):
        journal.happen("one", created())
        journal.append("one", line("first"))
        progress.wait("one", 1)

    # when
    journal.happen("one", state("RUNNING"))
    with indexing(journal, progress):
        progress.wait("one", 2)

    # then
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == ["first"]


def test_another_takes_over_without_doubles_when_one_stops(journal: Journal) -> None:
    # given
    progress = Progress()
    names = [f"execution-{n}" for n in range(40)]
    with indexing(journal, progress, "a") as first, indexing(journal, progress, "b"):
        for name in names:
            journal.happen(name, created())
            journal.append(name, line(name, execution_id=name))
        for name in names:
            progress.wait(name, 1)

        # when
        first.stop()
        for name in names:
            journal.happen(name, state("RUNNING"))

        # then
        for name in names:
            progress.wait(name, 2)
    journal.index()
    running = journal.store.search_executions(ExecutionFilter(states=("RUNNING",)), 1, 10, [])
    assert running.total == len(names)
    assert sorted(entry["message"] for entry in journal.store.logs(LogFilter())) == sorted(names)


def test_one_whose_partitions_were_indexed_by_another_starts_over(journal: Journal) -> None:
    progress = Progress()
    with indexing(journal, progress):
        journal.happen("one", created())
        progress.wait("one", 1)

        # when: somebody else indexes the same partitions, now ahead of it, now behind
        for _ in range(20):
            journal.happen("one", e.LabelsSet(()))
            with suppress(OffsetsMoved):
                journal.index()

        # then
        journal.happen("one", state("RUNNING"))
        progress.wait("one", 22)
    assert len(journal.store.execution_positions("one")) == 22


def test_unreadable_records_go_to_dead_letters_and_the_rest_goes_on(journal: Journal) -> None:
    # given
    progress = Progress()
    journal.append("one", b"garbage")
    journal.append("one", line("level", level="LOUD"))
    journal.append("one", line("date", at_ms=10**15))
    journal.append("one", metric("nan", float("nan")))
    rejected = e.CommandRejected("one", "c", "KillExecution", "ended", "CONFLICT", 0)
    journal.append("one", rejected)

    # when
    with indexing(journal, progress):
        journal.happen("one", created())
        journal.append("one", line("fine"))
        progress.wait("one", 1)
    journal.index()

    # then
    letters = list(journal.dead_letters())
    reasons = sorted((letter.headers or {})[REASON].decode() for letter in letters)
    assert [reason.split(",")[0] for reason in reasons] == [
        "Expected a finite value",
        "Expected a level of ('TRACE'",
        "Expected a single-object encoded Avro record",
        "Expected microseconds since 1970",
    ]
    garbage = next(letter for letter in letters if letter.value == b"garbage")
    assert garbage.headers is not None
    assert garbage.headers[SOURCE_TOPIC].decode() == journal.topics.executions.name
    assert garbage.headers[SOURCE_OFFSET] == b"0"
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == ["fine"]


def test_a_record_behind_a_gap_is_put_aside_and_hides_nothing_else(journal: Journal) -> None:
    # given
    progress = Progress()
    journal.happen("one", created())
    journal.index()
    before = journal.sequences["one"]
    journal.sequences["one"] += 5
    journal.happen("one", state("RUNNING"))
    journal.sequences["one"] = before

    # when
    with indexing(journal, progress):
        journal.happen("two", created())
        progress.wait("two", 1)
        journal.happen("one", state("RUNNING"))
        progress.wait("one", 2)

    # then
    (letter,) = journal.dead_letters()
    assert b"event 2 of execution one" in (letter.headers or {})[REASON]
    assert journal.store.execution_sequence("one") == 2


class FlakyStore:
    """A store whose next writes fail as a database that restarts does."""

    def __init__(self, store: Store, failures: int) -> None:
        self._store = store
        self.failures = failures

    def write(self, changes: Changes) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise DatabaseUnavailable("Expected an answer, but the server restarts.")
        self._store.write(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_database_that_was_away_is_written_when_it_is_back(journal: Journal) -> None:
    # given
    progress = Progress()
    journal.store = FlakyStore(journal.store, failures=2)
    journal.happen("one", created(), e.TaskRunCreated("run", "log"))

    # when
    with indexing(journal, progress):
        progress.wait("one", 2)

    # then
    execution = journal.store.execution("one")
    assert execution is not None
    assert len(execution["taskRunList"]) == 1


def test_a_database_that_stays_away_ends_the_indexer(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(service, "RETRIES_MAX", 1)
    journal.store = FlakyStore(journal.store, failures=10)
    journal.happen("one", created())
    indexer = Indexer(journal.log, journal.topics, journal.store, journal.clock)

    # when / then
    with pytest.raises(DatabaseUnavailable):
        indexer.run()


def test_an_indexer_stopped_before_it_runs_returns(journal: Journal) -> None:
    indexer = Indexer(journal.log, journal.topics, journal.store, journal.clock)
    indexer.stop()

    indexer.run()

    assert journal.store.indexed_offsets() == {}


def test_a_rebuild_gives_the_same_rows_and_reports_its_progress(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(service, "BATCH_RECORDS_MAX", 3)
    for number in range(10):
        name = f"execution-{number}"
        journal.happen(name, created(labels=(("n", str(number)),)), e.TaskRunCreated("run", "log"))
        journal.happen(name, started("run", number))
        journal.happen(name, ended("run", number, number + 1), state("SUCCESS"))
        journal.append(name, line(name, number, execution_id=name))
    journal.index()
    before = contents(journal.store)
    progress: list[tuple[str, int, int, int]] = []

    # when
    count = rebuild(journal.log, journal.topics, journal.store, lambda *step: progress.append(step))

    # then
    assert contents(journal.store) == before
    assert count == 40
    assert {step[0] for step in progress} == {
        journal.topics.executions.name,
        journal.topics.logs.name,
    }
    assert all(next_offset <= end for _, _, next_offset, end in progress)
    assert len(progress) > 12


def contents(store: Store) -> list[Any]:
    assert isinstance(store, SqlStore)
    return [
        store.search_executions(ExecutionFilter(), 1, 1_000, [("id", True)]).results,
        store.logs(LogFilter()),
        store.indexed_offsets(),
        [store.execution_positions(f"execution-{n}") for n in range(10)],
        [
            store.search_executions(ExecutionFilter(labels=(("n", str(n)),)), 1, 10, []).total
            for n in range(10)
        ],
    ]
