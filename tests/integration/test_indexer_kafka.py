"""Several indexers over a real Kafka: one dies, the others go on where the database is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.read_model_harness import Journal, Progress, created, indexing, line, state

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_engine.indexer.service import rebuild
from tiercel_engine.repository.base import ExecutionFilter, LogFilter, Store
from tiercel_engine.repository.store import open_store
from tiercel_schemas.topics import Topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/read.db")
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store, kafka_bootstrap: str) -> Iterator[Journal]:
    log = KafkaLog(kafka_bootstrap, SystemClock())
    journal = Journal(store, log, Topics(f"test-{uuid4().hex[:8]}.", partitions=2))
    yield journal
    journal.appender.close()
    log.close()


def test_indexers_share_the_partitions_and_take_over_without_doubles(journal: Journal) -> None:
    # given
    progress = Progress()
    names = [f"execution-{n}" for n in range(20)]
    with indexing(journal, progress, "a") as first, indexing(journal, progress, "b"):
        for name in names:
            journal.happen(name, created())
            journal.append(name, line(name, execution_id=name))
            journal.append(name, b"garbage")
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
    found = journal.store.search_executions(ExecutionFilter(states=("RUNNING",)), 1, 100, [])
    messages = [entry["message"] for entry in journal.store.logs(LogFilter())]
    assert found.total == len(names)
    assert sorted(messages) == sorted(names)
    assert {letter.key for letter in journal.dead_letters()} == set(names)

    # and: from offset 0 it all comes again
    rebuild(journal.log, journal.topics, journal.store)
    again = journal.store.search_executions(ExecutionFilter(states=("RUNNING",)), 1, 100, [])
    assert again == found
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == messages
