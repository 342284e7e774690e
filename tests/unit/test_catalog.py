"""The flow catalog over the real embedded logs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.flow.flow_types import TYPES, Say

from tiercel_engine import catalog as catalog_module
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import FakeClock, SystemClock
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.memory import Faults, MemoryLog
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.task import UnknownTask
from tiercel_schemas.codec import encode
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.topics import Topics, partition_for

TOPICS = Topics(partitions=3)
KEY = FlowKey("main", "team", "greet")


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    opened: EventLog
    if request.param == "memory":
        opened = MemoryLog(SystemClock(), faults=Faults(duplicate=0.5))
    else:
        opened = SqliteLog(tmp_path / "log.db", SystemClock())
    opened.create_topics(TOPICS.all())
    yield opened
    opened.close()


@pytest.fixture
def catalog(log: EventLog) -> Iterator[FlowCatalog]:
    opened = FlowCatalog(log, TOPICS, TYPES, FakeClock())
    yield opened
    opened.close()


def revision(number: int, flow_id: str = "greet", **fields: object) -> FlowRevision:
    source = (
        f"id: {flow_id}\nnamespace: team\ntasks: [{{id: t{number}, type: test.Say, message: m}}]"
    )
    values = {"namespace": "team", "source": source, "updated_us": number, **fields}
    return FlowRevision(flow_id=flow_id, revision=number, **values)  # type: ignore[arg-type]


def write(log: EventLog, *revisions: FlowRevision) -> None:
    appender = log.appender()
    for each in revisions:
        key = FlowKey(each.tenant, each.namespace, each.flow_id)
        partition = partition_for(str(key), TOPICS.flows.partitions)
        record = NewRecord(TOPICS.flows.name, f"{key}/{each.revision}", encode(each), partition)
        appender.append(record)
    appender.flush(10.0)
    appender.close()


def test_what_was_written_is_there_after_catching_up(log: EventLog, catalog: FlowCatalog) -> None:
    write(log, revision(1), revision(2), revision(1, "other"), revision(1, "b", namespace="a"))
    assert catalog.entry(KEY) is None

    catalog.catch_up()

    assert catalog.entry(KEY) == revision(2)
    assert catalog.entry(KEY, 1) == revision(1)
    assert catalog.entry(KEY, 3) is None
    assert catalog.entry(FlowKey("other", "team", "greet")) is None
    assert catalog.revisions(KEY) == [revision(1), revision(2)]
    assert [each.flow_id for each in catalog.latest_all()] == ["b", "greet", "other"]
    assert catalog.namespaces() == ["a", "team"]
    assert catalog.latest_all("nobody") == []


def test_refreshing_takes_in_what_is_new_and_only_that(log: EventLog, catalog: FlowCatalog) -> None:
    seen: list[FlowRevision] = []
    write(log, revision(1))
    catalog.catch_up()
    catalog.on_change(seen.append)
    write(log, revision(2), revision(1, "other"))

    catalog.refresh()
    catalog.refresh()

    assert sorted(seen, key=lambda each: each.flow_id) == [revision(2), revision(1, "other")]
    assert catalog.entry(KEY) == revision(2)


def test_catching_up_again_reads_only_the_rest(log: EventLog, catalog: FlowCatalog) -> None:
    seen: list[int] = []
    catalog.on_change(lambda each: seen.append(each.revision))
    for number in (1, 2, 3):
        write(log, revision(number))
        catalog.catch_up()
    catalog.refresh()
    assert seen == [1, 2, 3]


def test_a_revision_just_written_counts_at_once_and_once(
    log: EventLog, catalog: FlowCatalog
) -> None:
    seen: list[FlowRevision] = []
    catalog.on_change(seen.append)

    write(log, revision(1))
    catalog.add(revision(1))
    assert catalog.entry(KEY) == revision(1)
    catalog.catch_up()

    assert seen == [revision(1)]


def test_revisions_are_in_order_whatever_order_they_come_in(catalog: FlowCatalog) -> None:
    for number in (3, 1, 2):
        catalog.add(revision(number))
    assert [each.revision for each in catalog.revisions(KEY)] == [1, 2, 3]
    assert catalog.entry(KEY) == revision(3)


def test_a_deleted_flow_is_gone_but_its_earlier_revisions_run(catalog: FlowCatalog) -> None:
    catalog.add(revision(1))
    catalog.add(revision(2, deleted=True))

    assert catalog.entry(KEY) is None
    assert catalog.flow(KEY) is None
    assert catalog.latest_all() == []
    assert catalog.namespaces() == []
    assert catalog.entry(KEY, 1) == revision(1)
    deleted = catalog.flow(KEY, allow_deleted=True)
    assert deleted is not None
    assert (deleted.revision, deleted.deleted, deleted.properties["deleted"]) == (2, True, True)

    catalog.add(revision(3))
    assert catalog.entry(KEY) == revision(3)


def test_a_flow_is_parsed_once_leniently_with_the_servers_defaults(log: EventLog) -> None:
    catalog = FlowCatalog(
        log, TOPICS, TYPES, FakeClock(), defaults=[TypeDefault("test.Say", {"level": "WARN"})]
    )
    source = "id: greet\nnamespace: team\ntasks:\n- {id: a, type: test.Say, message: m}\n"
    catalog.add(revision(4, source=source + "- {id: b, type: gone}"))

    flow = catalog.flow(KEY)

    assert flow is not None
    assert flow is catalog.flow(KEY, 4)
    known, gone = flow.tasks
    assert isinstance(known, Say)
    assert known.level == "WARN"
    assert isinstance(gone, UnknownTask)
    assert flow.revision == 4
    catalog.close()


def test_a_source_that_does_not_hold_raises_each_time(catalog: FlowCatalog) -> None:
    catalog.add(revision(1, source="id: ["))
    for _ in range(2):
        with pytest.raises(InvalidFlow):
            catalog.flow(KEY)


def test_only_so_many_parsed_flows_are_kept(
    catalog: FlowCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "PARSED_MAX", 2)
    for number in (1, 2, 3):
        catalog.add(revision(number))
    first, second = catalog.flow(KEY, 1), catalog.flow(KEY, 2)
    catalog.flow(KEY, 1)

    catalog.flow(KEY, 3)

    assert catalog.flow(KEY, 1) is first
    assert catalog.flow(KEY, 2) is not second


def test_a_record_that_cannot_be_read_is_logged_and_passed_over(
    log: EventLog, catalog: FlowCatalog
) -> None:
    appender = log.appender()
    appender.append(NewRecord(TOPICS.flows.name, "x", b"not avro", 0))
    appender.append(NewRecord(TOPICS.flows.name, "y", None, 0))
    appender.flush(10.0)
    appender.close()
    write(log, revision(1))

    with capture_logs() as logs:
        catalog.catch_up()

    assert catalog.entry(KEY) == revision(1)
    assert {entry["event"] for entry in logs} == {"flow_record_unreadable"}


def test_when_it_caught_up_is_known(log: EventLog) -> None:
    clock = FakeClock()
    catalog = FlowCatalog(log, TOPICS, TYPES, clock)
    assert catalog.caught_up_us == 0
    catalog.catch_up()
    assert catalog.caught_up_us == clock.now_us()
    catalog.close()


def test_threads_read_while_another_takes_in(log: EventLog, catalog: FlowCatalog) -> None:
    write(log, *(revision(number) for number in range(1, 101)))
    done = threading.Event()
    broken: list[str] = []

    def look() -> None:
        last = 0
        while not done.is_set() or last == 0:
            entry = catalog.entry(KEY)
            flow = catalog.flow(KEY)
            number = 0 if entry is None else entry.revision
            if number < last or (flow is not None and flow.revision < number):
                broken.append(f"{last} then {number}")
            last = number
            catalog.refresh()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    catalog.catch_up()
    done.set()
    for thread in threads:
        thread.join(10.0)

    assert broken == []
    assert catalog.entry(KEY) == revision(100)


def test_a_purged_revision_is_known_and_never_comes_back(
    log: EventLog, catalog: FlowCatalog
) -> None:
    # given
    purged = revision(1, source="", purged=True)
    write(log, revision(1), revision(2))
    # when: it is purged by whoever writes, before the topic has brought the revision itself
    catalog.add(revision(1))
    catalog.add(purged)
    catalog.catch_up()
    # then
    assert catalog.entry(KEY, 1, allow_deleted=True) is None
    assert catalog.flow(KEY, 1) is None
    assert [entry.revision for entry in catalog.revisions(KEY)] == [2]
    assert catalog.missing(KEY, 1).startswith("Revision 1 of the flow team.greet was purged")
    assert catalog.missing(KEY, 3) == "There is no revision 3 of the flow team.greet."
    # and: a table that is read anew says the same
    write(log, purged)
    anew = FlowCatalog(log, TOPICS, TYPES, FakeClock())
    anew.catch_up()
    assert anew.is_purged(KEY, 1)
    assert anew.entry(KEY) == revision(2)
    anew.close()
