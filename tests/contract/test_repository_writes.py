"""Writing and opening the read model on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.read_model_harness import Journal, created, line, metric, state

from tiercel_engine.errors import InvalidSettings
from tiercel_engine.repository.base import (
    Changes,
    DatabaseUnavailable,
    ExecutionFilter,
    LogFilter,
    OffsetsMoved,
    Store,
)
from tiercel_engine.repository.engines import migrate, open_engine
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.tables import metadata
from tiercel_schemas import events as e


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


# ---- writing


def test_a_batch_for_offsets_that_have_moved_leaves_nothing(journal: Journal) -> None:
    # given: two indexers believe that the partitions are theirs
    asleep = journal.projector()
    journal.happen("one", created())
    records = journal.unindexed()
    journal.projector().index(records)
    journal.happen("one", state("RUNNING"))
    journal.append("one", line("hello"))

    # when: the one that was asleep comes with the older batch and what followed
    with pytest.raises(OffsetsMoved):
        asleep.index(records + journal.unindexed())

    # then
    assert journal.store.execution_sequence("one") == 1
    assert journal.store.logs(LogFilter()) == []
    assert journal.index() == {"one": 2}


def test_of_two_writers_at_once_one_is_refused(store: Store) -> None:
    # given
    lane = ("executions", 0)
    store.open_lanes([lane])
    results: list[str] = []

    def write(end: int) -> None:
        try:
            store.write(Changes(offsets={lane: (0, end)}))
            results.append("written")
        except OffsetsMoved:
            results.append("refused")

    # when
    threads = [threading.Thread(target=write, args=(end,)) for end in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert sorted(results) == ["refused", "refused", "refused", "written"]


def test_task_runs_are_loaded_by_execution_and_id(store: Store) -> None:
    # given: more rows than one statement takes keys, and ids that two executions share
    def row(execution_id: str, position: int) -> dict[str, object]:
        at = {
            "start_us": 1,
            "changed_us": 2,
            "state": "RUNNING",
            "document": f"{execution_id} {position}",
        }
        return {"execution_id": execution_id, "position": position, "id": f"'{position}\"", **at}

    rows = [row(execution_id, n) for execution_id in ("one", "two") for n in range(600)]
    store.open_lanes([("executions", 0)])
    store.write(Changes(offsets={("executions", 0): (0, 1)}, task_runs=rows))

    # when
    wanted = [row("two", n) for n in range(600)] + [row("one", 7)]
    keys = [(str(one["execution_id"]), str(one["id"])) for one in wanted]
    found = store.load_task_runs([*keys, ("one", "unknown"), ("unknown", "'7\"")])

    # then
    assert found == dict(zip(keys, wanted, strict=True))


def test_readers_see_whole_batches_while_one_is_written(journal: Journal) -> None:
    # given
    names = [f"execution-{n}" for n in range(20)]
    for name in names:
        journal.happen(name, created())
    journal.index()
    for name in names:
        journal.happen(name, state("RUNNING"), e.TaskRunCreated("run", "log"))
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            where = ExecutionFilter(states=("RUNNING",))
            page = journal.store.search_executions(where, 1, 100, [])
            assert all("taskRunList" in result for result in page.results)
            seen.add(page.total)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()

    # when
    journal.index()

    # then
    done.set()
    for reader in readers:
        reader.join()
    assert seen <= {0, len(names)}


def test_clearing_keeps_the_lines_that_the_log_no_longer_has(journal: Journal) -> None:
    # given
    journal.happen("one", created(labels=(("k", "v"),)), e.TaskRunCreated("run", "log"))
    for number in range(3):
        journal.append("one", line(str(number), number))
        journal.append("one", metric(str(number), 1.0, number))
    journal.index()
    logs, metrics = journal.topics.logs.name, journal.topics.metrics.name
    partition = next(
        p for (t, p), at in journal.store.indexed_offsets().items() if t == logs and at
    )

    # when
    journal.store.clear({(logs, partition): 2, (metrics, partition): 1}, logs, metrics)

    # then
    assert journal.store.execution("one") is None
    assert journal.store.execution_sequence("one") == 0
    assert [entry["message"] for entry in journal.store.logs(LogFilter())] == ["0", "1"]
    assert [m["name"] for m in journal.store.metrics("one", 1, 10).results] == ["0"]
    assert journal.store.indexed_offsets() == {}


# ---- opening


def test_migrations_make_the_tables_that_the_queries_expect(
    store: Store, database_url: str
) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def test_text_is_ordered_byte_by_byte(store: Store, database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        collations = (
            connection.scalars(
                sa.text(
                    "SELECT DISTINCT collation_name FROM information_schema.columns "
                    "WHERE table_name = 'executions' AND column_name IN ('id', 'namespace')"
                )
            ).all()
            if engine.dialect.name == "postgresql"
            else ["C"]
        )
    engine.dispose()

    assert collations == ["C"]


def test_several_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    # given
    opened: list[Store] = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_store(database_url))) for _ in range(4)
    ]

    # when
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # then
    assert [store.execution_sequence("one") for store in opened] == [0, 0, 0, 0]
    for store in opened:
        store.close()


@pytest.mark.parametrize("address", ["", "nonsense", "mysql://host/db", "sqlite://"])
def test_an_address_of_another_database_is_refused(address: str) -> None:
    with pytest.raises(InvalidSettings, match="Expected a database address"):
        open_store(address)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable, match="to answer"):
        open_store("postgresql://postgres@127.0.0.1:1/none")


def test_task_runs_of_an_earlier_release_get_their_states(database_url: str) -> None:
    # given: a row as it was before there were states beside the documents
    engine = open_engine(database_url)
    migrate(engine, to="0002")
    columns = ("execution_id", "position", "id", "start_us", "changed_us", "document")
    row = ("one", 1, "run", 1, 2, '{"state": {"current": "FAILED", "histories": []}}')
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        table = sa.table("task_runs", *(sa.column(name) for name in columns))
        connection.execute(table.insert().values(dict(zip(columns, row, strict=True))))

    # when
    migrate(engine)

    # then
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, state FROM task_runs").all() == [
            ("run", "FAILED")
        ]
    engine.dispose()
