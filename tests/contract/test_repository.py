"""The read model on SQLite and on PostgreSQL: what is indexed is what the API reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.postgres import Postgres
from tests.read_model_harness import (
    START_US,
    Journal,
    created,
    ended,
    line,
    metric,
    started,
    state,
)

from tiercel_engine.errors import InvalidSettings
from tiercel_engine.repository.base import (
    Changes,
    DatabaseUnavailable,
    ExecutionFilter,
    LogFilter,
    OffsetsMoved,
    SortUnknown,
    Store,
)
from tiercel_engine.repository.engines import open_engine
from tiercel_engine.repository.query import TASK_RUNS_PER_RESULT_MAX
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.tables import metadata
from tiercel_schemas import events as e
from tiercel_schemas.common import ClaimCheck, Label, Payload

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'read model.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as address:
        yield address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


def ids(page_results: list[dict[str, Any]]) -> list[str]:
    return [result["id"] for result in page_results]


# ---- executions


def test_an_execution_reads_as_the_peer_answers_it(journal: Journal) -> None:
    # given
    journal.happen(
        "one",
        created(inputs='{"name":"world"}', labels=(("team", "data"),)),
        state("RUNNING"),
        e.TaskRunCreated("run", "log"),
        e.AttemptSubmitted("run", 1, 1),
    )
    journal.happen("one", started("run", 500), after_ms=520)
    outputs = Payload(json='{"value":"hi"}')
    journal.happen(
        "one", ended("run", 500, 1_750, outputs=outputs), state("SUCCESS"), after_ms=2_000
    )

    # when
    journal.index()

    # then
    assert journal.store.execution("one") == {
        "id": "one",
        "namespace": "company.team",
        "flowId": "hello",
        "flowRevision": 1,
        "taskRunList": [
            {
                "id": "run",
                "executionId": "one",
                "namespace": "company.team",
                "flowId": "hello",
                "taskId": "log",
                "attempts": [
                    {
                        "state": {
                            "current": "SUCCESS",
                            "histories": [
                                {"state": "CREATED", "date": "2023-11-14T22:13:20.500Z"},
                                {"state": "RUNNING", "date": "2023-11-14T22:13:20.500Z"},
                                {"state": "SUCCESS", "date": "2023-11-14T22:13:21.750Z"},
                            ],
                            "duration": "PT1.25S",
                            "startDate": "2023-11-14T22:13:20.500Z",
                            "endDate": "2023-11-14T22:13:21.750Z",
                        }
                    }
                ],
                "outputs": {"value": "hi"},
                "state": {
                    "current": "SUCCESS",
                    "histories": [
                        {"state": "CREATED", "date": "2023-11-14T22:13:20Z"},
                        {"state": "RUNNING", "date": "2023-11-14T22:13:20.500Z"},
                        {"state": "SUCCESS", "date": "2023-11-14T22:13:21.750Z"},
                    ],
                    "duration": "PT1.75S",
                    "startDate": "2023-11-14T22:13:20Z",
                    "endDate": "2023-11-14T22:13:21.750Z",
                },
            }
        ],
        "inputs": {"name": "world"},
        "labels": [{"key": "team", "value": "data"}],
        "state": {
            "current": "SUCCESS",
            "histories": [
                {"state": "CREATED", "date": "2023-11-14T22:13:20Z"},
                {"state": "RUNNING", "date": "2023-11-14T22:13:20Z"},
                {"state": "SUCCESS", "date": "2023-11-14T22:13:22Z"},
            ],
            "duration": "PT2S",
            "startDate": "2023-11-14T22:13:20Z",
            "endDate": "2023-11-14T22:13:22Z",
        },
        "originalId": "first",
        "deleted": False,
        "metadata": {"attemptNumber": 1, "originalCreatedDate": "2023-11-14T22:13:20Z"},
    }


def test_what_was_never_indexed_is_not_there(store: Store) -> None:
    assert store.execution("one") is None
    assert store.execution_sequence("one") == 0
    assert store.execution_positions("one") == []
    assert store.search_executions(ExecutionFilter(), 1, 10, []).total == 0
    assert store.logs(LogFilter(execution_id="one")) == []
    assert store.metrics("one", 1, 10).results == []
    assert store.indexed_offsets() == {}


def test_sequence_and_positions_follow_the_records_of_an_execution(journal: Journal) -> None:
    # given
    for name in ("one", "two"):
        journal.happen(name, created(), state("RUNNING"))
    journal.happen("one", e.TaskRunCreated("run", "log"), e.AttemptSubmitted("run", 1, 1))
    journal.index()
    journal.happen("one", started("run", 1))

    # when
    told = journal.index()

    # then
    assert told == {"one": 5}
    assert journal.store.execution_sequence("one") == 5
    lane = (journal.topics.executions.name, _partition_of(journal, "one"))
    places = [r.offset for r in journal.log.read(*lane, 0) if r.key == "one"]
    assert journal.store.execution_positions("one") == places
    assert len(places) == 3


def _partition_of(journal: Journal, key: str) -> int:
    name = journal.topics.executions.name
    for partition in range(journal.topics.executions.partitions):
        if any(record.key == key for record in journal.log.read(name, partition, 0)):
            return partition
    raise AssertionError(f"Expected records of {key}, but there are none.")


def test_task_runs_come_in_the_order_of_their_creation(journal: Journal) -> None:
    journal.happen("one", created(), *(e.TaskRunCreated(n, n) for n in ("z", "a", "m")))
    journal.index()
    journal.happen("one", e.TaskRunCreated("b", "b"), e.TaskRunStateChanged("a", "SKIPPED"))
    journal.index()

    execution = journal.store.execution("one")

    assert execution is not None
    assert ids(execution["taskRunList"]) == ["z", "a", "m", "b"]


def test_a_removed_task_run_may_come_again_under_its_id(journal: Journal) -> None:
    # given
    journal.happen("one", created(), e.TaskRunCreated("a", "a"), e.TaskRunCreated("b", "b"))
    journal.index()

    # when
    journal.happen("one", e.TaskRunRemoved("a"), e.TaskRunCreated("a", "a"))
    journal.index()

    # then
    execution = journal.store.execution("one")
    assert execution is not None
    assert ids(execution["taskRunList"]) == ["b", "a"]


def test_a_value_in_internal_storage_stands_as_its_claim(journal: Journal) -> None:
    claim = Payload(claim=ClaimCheck("kestra:///one/outputs.json", 70_000, "abc"))
    journal.happen(
        "one", created(), e.TaskRunCreated("run", "log"), ended("run", 1, 2, outputs=claim)
    )
    journal.index()

    execution = journal.store.execution("one")

    assert execution is not None
    assert execution["taskRunList"][0]["outputs"] == {
        "$claim": {"uri": "kestra:///one/outputs.json", "size_bytes": 70_000, "sha256": "abc"}
    }


def test_large_documents_and_odd_characters_come_back_as_they_were(journal: Journal) -> None:
    text = "ä\\u0000\\n" + "x" * 60_000
    journal.happen("one", created(inputs=f'{{"text":"{text}"}}', labels=(("k", "v\x00"),)))
    journal.append("one", line("nul \x00 and 𝄞"))
    journal.index()

    execution = journal.store.execution("one")

    assert execution is not None
    assert execution["inputs"] == {"text": "ä\x00\n" + "x" * 60_000}
    assert journal.store.logs(LogFilter())[0]["message"] == "nul \ufffd and 𝄞"


# ---- searches


@pytest.fixture
def family(journal: Journal) -> Store:
    """Executions a to e, each begun a second after the one before."""
    child = '{"id":"t","type":"Flow","variables":{"executionId":"a"}}'
    first = [
        ("a", created("company", "hello", labels=(("team", "data"), ("env", "prod")))),
        ("b", created("company.team", "hello", labels=(("team", "data"),))),
        ("c", created("company_team", "other", trigger=child)),
        ("d", created("companyx", "other", parent_id="a")),
        ("e", created("company.team.deep", "hello_all", kind="TEST")),
    ]
    for second, (name, event) in enumerate(first):
        journal.happen(name, event, after_ms=second * 1_000)
    journal.happen("a", state("RUNNING"), state("SUCCESS"), after_ms=5_000)
    journal.happen("b", state("RUNNING"), after_ms=5_000)
    journal.happen("c", state("RUNNING"), state("FAILED"), after_ms=5_000)
    journal.index()
    return journal.store


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (ExecutionFilter(), "edcba"),
        (ExecutionFilter(namespace="company"), "a"),
        (ExecutionFilter(namespace_prefix="company"), "eba"),
        (ExecutionFilter(namespace_prefix="company.team"), "eb"),
        (ExecutionFilter(flow_id="hello"), "ba"),
        (ExecutionFilter(states=("SUCCESS", "FAILED")), "ca"),
        (ExecutionFilter(labels=(("team", "data"),)), "ba"),
        (ExecutionFilter(labels=(("team", "data"), ("env", "prod"))), "a"),
        (ExecutionFilter(labels=(("team", "prod"),)), ""),
        (ExecutionFilter(start_us=START_US + 1_000_000), "edcb"),
        (ExecutionFilter(end_us=START_US + 1_000_000), "ba"),
        (ExecutionFilter(parent_id="a"), "d"),
        (ExecutionFilter(trigger_execution_id="a"), "c"),
        (ExecutionFilter(child_filter="CHILD"), "c"),
        (ExecutionFilter(child_filter="MAIN"), "edba"),
        (ExecutionFilter(kinds=("NORMAL",)), "dcba"),
        (ExecutionFilter(q="COMPANY.TEAM"), "eb"),
        (ExecutionFilter(q="_"), "ec"),
        (ExecutionFilter(q="%"), ""),
        (ExecutionFilter(q="hello", states=("RUNNING",)), "b"),
    ],
)
def test_a_filter_finds_what_matches_newest_first(
    family: Store, where: ExecutionFilter, found: str
) -> None:
    page = family.search_executions(where, 1, 10, [])

    assert "".join(ids(page.results)) == found
    assert page.total == len(found)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ([("id", True)], "abcde"),
        ([("flowId", True), ("id", True)], "abecd"),
        ([("namespace", False)], "dceba"),
        ([("state.current", True), ("id", True)], "decba"),
        ([("state.endDate", True), ("id", True)], "acbde"),
        ([("state.duration", False), ("id", True)], "abcde"),
    ],
)
def test_results_come_in_the_order_asked_for(
    family: Store, sort: list[tuple[str, bool]], found: str
) -> None:
    page = family.search_executions(ExecutionFilter(), 1, 10, sort)

    assert "".join(ids(page.results)) == found


def test_pages_part_the_results_and_count_them_all(family: Store) -> None:
    pages = [
        family.search_executions(ExecutionFilter(), n, 2, [("id", True)]) for n in (1, 2, 3, 4)
    ]

    assert [ids(page.results) for page in pages] == [["a", "b"], ["c", "d"], ["e"], []]
    assert {page.total for page in pages} == {5}


def test_an_unknown_sort_is_refused_with_those_that_are_known(family: Store) -> None:
    with pytest.raises(SortUnknown, match=r"state\.startDate.*'document'"):
        family.search_executions(ExecutionFilter(), 1, 10, [("document", True)])
    with pytest.raises(SortUnknown, match="'tags'"):
        family.metrics("a", 1, 10, sort=[("tags", True)])


def test_a_search_brings_the_first_task_runs_along(journal: Journal) -> None:
    # given
    names = [f"{n:04}" for n in range(TASK_RUNS_PER_RESULT_MAX + 2)]
    journal.happen("one", created(), *(e.TaskRunCreated(n, "log") for n in names))
    journal.happen("two", created(), e.TaskRunCreated("0000", "log"))
    journal.index()

    # when
    page = journal.store.search_executions(ExecutionFilter(), 1, 10, [("id", True)])

    # then
    one, two = page.results
    assert ids(one["taskRunList"]) == names[:TASK_RUNS_PER_RESULT_MAX]
    assert ids(two["taskRunList"]) == ["0000"]
    execution = journal.store.execution("one")
    assert execution is not None
    assert ids(execution["taskRunList"]) == names


def test_labels_set_later_replace_those_that_searches_find(journal: Journal) -> None:
    # given
    journal.happen("one", created(labels=(("team", "data"), ("env", "prod"))))
    journal.index()

    # when
    journal.happen("one", e.LabelsSet((Label("env", "prod"), Label("team", "web"))))
    journal.index()

    # then
    def found(key: str, value: str) -> list[str]:
        where = ExecutionFilter(labels=((key, value),))
        return ids(journal.store.search_executions(where, 1, 10, []).results)

    assert found("team", "data") == []
    assert found("team", "web") == ["one"]
    assert found("env", "prod") == ["one"]


# ---- logs and metrics


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

    page = journal.store.search_logs(LogFilter(), 2, 2, ascending=True)

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
    assert journal.store.metrics("one", 1, 10, task_id="other").total == 1
    assert journal.store.metrics("one", 1, 10, task_run_id="nope").total == 0


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


def test_migrations_make_the_tables_that_the_queries_expect(store: Store, url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def test_text_is_ordered_byte_by_byte(store: Store, url: str) -> None:
    engine = open_engine(url)
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


def test_several_processes_may_open_a_new_database_at_once(url: str) -> None:
    # given
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(open_store(url))) for _ in range(4)]

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
