"""The read model on SQLite and on PostgreSQL: what is indexed is what the API reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.read_model_harness import (
    START_US,
    Journal,
    created,
    ended,
    line,
    started,
    state,
)

from tiercel_engine.repository.base import (
    ExecutionFilter,
    LogFilter,
    SortUnknown,
    Store,
)
from tiercel_engine.repository.query import TASK_RUNS_PER_RESULT_MAX
from tiercel_engine.repository.store import open_store
from tiercel_schemas import events as e
from tiercel_schemas.common import ClaimCheck, Label, Payload


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)


def ids(page_results: list[dict[str, Any]]) -> list[str]:
    return [result["id"] for result in page_results]


# ---- executions


def test_an_execution_reads_as_the_peer_answers_it_but_for_submissions(journal: Journal) -> None:
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
                "submissions": [[1, "2023-11-14T22:13:20Z"]],
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
    journal.append("one", line("nul \x00 and 𝄞", task_id="a\x00b", attempt=2**40))
    journal.index()

    execution = journal.store.execution("one")

    assert execution is not None
    assert execution["inputs"] == {"text": "ä\x00\n" + "x" * 60_000}
    entry = journal.store.logs(LogFilter())[0]
    assert entry["message"] == "nul \ufffd and 𝄞"
    assert entry["taskId"] == "a\ufffdb"


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
