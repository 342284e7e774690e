"""Conditions of searches on SQLite and PostgreSQL, and on what no database holds: all agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.read_model_harness import START_US, Journal, created, line, metric, state

from tiercel_engine.repository import engines
from tiercel_engine.repository.base import ExecutionFilter, LogFilter, SortUnknown, TriggerFilter
from tiercel_engine.repository.patterns import SearchTooSlow
from tiercel_engine.repository.sql import SqlReadModels
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.terms import Condition, Facts, Group, Term, Value, holds
from tiercel_schemas.triggers import TriggerState

SECOND_US = 1_000_000


@pytest.fixture
def store(database_url: str) -> Iterator[SqlReadModels]:
    opened = open_store(database_url)
    assert isinstance(opened, SqlReadModels)
    yield opened
    opened.close()


@pytest.fixture
def journal(store: SqlReadModels) -> Journal:
    return Journal(store)  # type: ignore[arg-type]


def term(field: str, operator: str, *values: Value, key: str = "") -> Term:
    return Term(field, operator, values, key)


#: Executions a to d: namespace, flow, labels, trigger id.
FAMILY: dict[str, tuple[str, str, dict[str, str], str | None]] = {
    "a": ("company", "hello", {"team": "data", "env": "prod"}, "every"),
    "b": ("company.team", "hello", {"team": "date"}, None),
    "c": ("company_team", "other", {}, "hook"),
    "d": ("companyx", "%her", {"team": "ops"}, None),
}
ON_TEXTS: list[tuple[Condition, str]] = [
    (term("namespace", "EQUALS", "company"), "a"),
    (term("namespace", "NOT_EQUALS", "company"), "bcd"),
    (term("namespace", "IN", "company", "companyx"), "ad"),
    (term("namespace", "NOT_IN", "company", "companyx"), "bc"),
    (term("namespace", "PREFIX", "company"), "ab"),
    (term("namespace", "STARTS_WITH", "company_"), "c"),
    (term("namespace", "ENDS_WITH", "team"), "bc"),
    (term("namespace", "CONTAINS", "Y.T"), "b"),
    (term("namespace", "NOT_CONTAINS", "team"), "ad"),
    (term("namespace", "REGEX", "^company.team$"), "bc"),
    (term("namespace", "REGEX", r"y\.|x$"), "bd"),
    (term("flowId", "CONTAINS", "%"), "d"),
    (term("flowId", "REGEX", "^h[a-f]l+o$"), "ab"),
    (term("triggerId", "EQUALS", "hook"), "c"),
    (term("triggerId", "NOT_EQUALS", "hook"), "abd"),
    (term("triggerId", "IS_NULL"), "bd"),
    (term("triggerId", "IS_NOT_NULL"), "ac"),
    (term("triggerId", "REGEX", "o{2}"), "c"),
    (term("flowRevision", "EQUALS", 1), "abcd"),
    (term("flowRevision", "GREATER_THAN", 1), ""),
    (term("flowRevision", "LESS_THAN_OR_EQUAL_TO", 1), "abcd"),
    (term("startDate", "GREATER_THAN", START_US + SECOND_US), "cd"),
    (term("startDate", "LESS_THAN", START_US + SECOND_US), "a"),
    (term("startDate", "NOT_IN", START_US), "bcd"),
    (term("labels", "EQUALS", "data", key="team"), "a"),
    (term("labels", "NOT_EQUALS", "data", key="team"), "bcd"),
    (term("labels", "IN", "data", "ops", key="team"), "ad"),
    (term("labels", "STARTS_WITH", "dat", key="team"), "ab"),
    (term("labels", "CONTAINS", "PS", key="team"), "d"),
    (term("labels", "NOT_CONTAINS", "dat", key="team"), "cd"),
    (term("labels", "REGEX", "^da(ta|tes)$", key="team"), "a"),
    (term("labels", "IS_NULL", key="team"), "c"),
    (term("labels", "IS_NOT_NULL", key="env"), "a"),
    (term("q", "EQUALS", "TEAM"), "bc"),
    (term("q", "NOT_CONTAINS", "team"), "ad"),
    (Group([term("id", "EQUALS", "a"), term("id", "EQUALS", "c")], is_any=True), "ac"),
    (Group([term("id", "IN", "a", "b"), term("flowId", "EQUALS", "hello")]), "ab"),
    (Group([], is_any=True), ""),
    (Group([]), "abcd"),
]


def test_executions_are_found_as_what_no_database_holds(journal: Journal) -> None:
    for second, (name, (namespace, flow_id, labels, trigger)) in enumerate(FAMILY.items()):
        given = None if trigger is None else f'{{"id":"{trigger}","type":"Schedule"}}'
        event = created(namespace, flow_id, labels=tuple(labels.items()), trigger=given)
        journal.happen(name, event, state("RUNNING"), after_ms=second * 1_000)
    journal.index()

    wrong = {}
    for condition, expected in ON_TEXTS:
        found = journal.store.find_executions(ExecutionFilter(terms=[condition]), 10)
        here = [name for name in FAMILY if holds(condition, _facts(name))]
        if "".join(sorted(found)) != expected or "".join(here) != expected:
            wrong[str(condition)] = (found, here, expected)

    assert wrong == {}


def _facts(name: str) -> Facts:
    namespace, flow_id, labels, trigger = FAMILY[name]
    fields: dict[str, Value | None] = {
        "id": name,
        "namespace": namespace,
        "flowId": flow_id,
        "triggerId": trigger,
        "flowRevision": 1,
        "startDate": START_US + list(FAMILY).index(name) * SECOND_US,
    }
    return Facts(fields, (name, namespace, flow_id), lambda: labels)


def test_lines_and_metrics_are_found_by_their_fields(journal: Journal) -> None:
    journal.happen("one", created(kind="TEST"))
    journal.append("one", line("first", 1, level="DEBUG"))
    journal.append("one", line("second", 2, level="WARN", task_id="b", task_run_id="run-b"))
    journal.append("two", line("third", 3, execution_id=None, trigger_id="t", attempt=2))
    journal.append("one", metric("rows", 2.5, 2))
    journal.append("one", metric("bytes", 1.0, 1, task_id="other"))
    journal.index()

    for condition, expected in (
        (term("level", "GREATER_THAN_OR_EQUAL_TO", 2), ["second", "third"]),
        (term("level", "IN", 1), ["first"]),
        (term("taskId", "REGEX", "^[ab]$"), ["second"]),
        (term("triggerId", "IS_NULL"), ["first", "second"]),
        (term("attempt", "EQUALS", 1), ["third"]),
        (term("timestamp", "LESS_THAN", START_US + 2_000), ["first"]),
        (term("kind", "EQUALS", "TEST"), ["first", "second"]),
        (term("q", "CONTAINS", "IR"), ["first", "third"]),
    ):
        lines = journal.store.logs(LogFilter(terms=[condition]))
        assert [entry["message"] for entry in lines] == expected, condition
    for condition, expected in (
        (term("name", "REGEX", "^r"), ["rows"]),
        (term("value", "LESS_THAN", 2), ["bytes"]),
        (term("taskId", "NOT_EQUALS", "other"), ["rows"]),
    ):
        found = journal.store.metrics("one", 1, 10, [condition]).results
        assert [one["name"] for one in found] == expected, condition
    by_level = journal.store.search_logs(LogFilter(), 1, 10, [("level", False)]).results
    assert [entry["message"] for entry in by_level] == ["second", "third", "first"]
    with pytest.raises(SortUnknown, match="timestamp"):
        journal.store.search_logs(LogFilter(), 1, 10, [("thread", True)])


def test_triggers_are_found_by_their_fields(journal: Journal) -> None:
    for name, worker, next_us in (("day", None, 10), ("poll", "w-1", None)):
        stands = TriggerState(
            tenant="main",
            namespace="company.team",
            flow_id="hello",
            trigger_id=name,
            kind="SCHEDULE",
            flow_revision=1,
            updated_us=START_US,
            definition="",
            next_us=next_us,
            worker_id=worker,
            disabled=worker is not None,
        )
        journal.append(f"main/company.team/hello/{name}", stands)
    journal.index()

    for condition, expected in (
        (term("workerId", "EQUALS", "w-1"), ["poll"]),
        (term("disabled", "EQUALS", 0), ["day"]),
        (term("nextEvaluationDate", "IS_NULL"), ["poll"]),
        (term("updatedAt", "GREATER_THAN_OR_EQUAL_TO", START_US), ["day", "poll"]),
        (term("triggerId", "REGEX", "y$"), ["day"]),
        (term("q", "EQUALS", "POL"), ["poll"]),
    ):
        found = journal.store.search_triggers(TriggerFilter(terms=[condition]), 1, 10, ())
        assert [one["triggerId"] for one in found.results] == expected, condition


def test_a_pattern_that_runs_away_ends_the_search(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SEARCH_S_MAX", 0.1)
    for number in range(20):
        journal.append("one", line("hello", number, task_id="a" * 5_001))
    journal.index()
    where = LogFilter(terms=[term("taskId", "REGEX", r"^(a+)(a+)(a+)\1\2\3$")])

    with pytest.raises(SearchTooSlow):
        journal.store.search_logs(where, 1, 10)
    # The connection serves the next search.
    assert journal.store.search_logs(LogFilter(), 1, 10).total == 20


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_pattern_that_only_others_read_is_refused_by_name(journal: Journal) -> None:
    where = LogFilter(terms=[term("taskId", "REGEX", "(?<name>a)")])

    with pytest.raises(SearchTooSlow, match="invalid regular expression"):
        journal.store.search_logs(where, 1, 10)
