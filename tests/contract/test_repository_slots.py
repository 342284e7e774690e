"""Slots of flows in the read model, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.read_model_harness import START_US, Journal, created, state

from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.repository.base import Store
from tiercel_engine.repository.store import open_store
from tiercel_schemas.codec import encode
from tiercel_schemas.concurrency import SlotBatch, SlotChange


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


def say(journal: Journal, flow_id: str, first_seq: int, *changes: SlotChange) -> None:
    batch = SlotBatch("company", flow_id, first_seq, START_US, "Test", changes)
    topic = journal.topics.executions.name
    journal.appender.append(NewRecord(topic, f"main/company/{flow_id}", encode(batch)))
    journal.appender.flush(5.0)


def limit(count: int | None) -> SlotChange:
    return SlotChange("LIMIT", limit=count, behavior="QUEUE", flow_revision=1)


def test_who_has_a_slot_and_who_waits_is_counted_by_flow(store: Store) -> None:
    # given: one runs and one waits; one gave its slot back in the same batch.
    journal = Journal(store)
    journal.happen("a", created(), state("RUNNING"))
    say(journal, "one", 1, limit(2), SlotChange("GRANTED", "a"), SlotChange("QUEUED", "b"))
    say(journal, "one", 4, SlotChange("GRANTED", "c"), SlotChange("RELEASED", "c"))
    say(journal, "none", 1, limit(None))
    journal.index()

    # when: one that waited runs, another limit holds, and a flow without one has a slot left.
    first = store.flow_limits("main", 1, 10)
    say(journal, "one", 6, limit(1), SlotChange("GRANTED", "b"), SlotChange("RELEASED", "a"))
    say(journal, "none", 2, SlotChange("GRANTED", "z"))
    journal.index()
    then = store.flow_limits("main", 1, 10)

    # then
    base = {"tenantId": "main", "namespace": "company", "behavior": "QUEUE"}
    assert first.results == [{**base, "flowId": "one", "limit": 2, "running": 1, "queued": 1}]
    assert first.total == 1
    assert then.results == [
        {**base, "flowId": "none", "running": 1, "queued": 0},
        {**base, "flowId": "one", "limit": 1, "running": 1, "queued": 0},
    ]
    assert store.flow_limits("main", 2, 1).results == then.results[1:]
    assert store.flow_limits("other", 1, 10).total == 0
    assert store.slot_holders("main", "company", "one") == {"b": None}


def test_a_rebuild_begins_without_slots(store: Store) -> None:
    journal = Journal(store)
    say(journal, "one", 1, limit(2), SlotChange("GRANTED", "a"))
    journal.index()

    store.clear({}, "logs", "metrics")

    assert store.flow_limits("main", 1, 10).total == 0
    journal.index()
    assert store.slot_holders("main", "company", "one") == {"a": None}
