"""What many rows come to, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.read_model_harness import START_US, Journal, created, ended, line, metric, started, state

from tiercel_engine.repository.aggregates import Aggregation, Column, QuestionTooLarge, Rows
from tiercel_engine.repository.base import SortUnknown, Store
from tiercel_engine.repository.engines import bounding_time, open_engine
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.terms import Condition, Group, Term
from tiercel_schemas import events as e
from tiercel_schemas.triggers import TriggerState

HOUR_US = 3_600_000_000
COUNT = Column("n", None, "COUNT")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def house(store: Store) -> Store:
    """Three executions: two of one flow, an hour apart, and one below its namespace."""
    journal = Journal(store)
    journal.happen("a", created(labels=(("team", "data"), ("env", "prod"))), state("RUNNING"))
    journal.happen("a", e.TaskRunCreated("a-run", "log"), started("a-run", 100))
    journal.happen("a", ended("a-run", 100, 2_100), state("SUCCESS"), after_ms=4_000)
    journal.happen("b", created(labels=(("team", "web"),)), after_ms=3_600_000)
    journal.happen("b", e.TaskRunCreated("b-run", "log"), after_ms=3_600_000)
    journal.happen("b", state("FAILED"), after_ms=3_606_000)
    journal.happen("c", created("company.team.deep", "bye"), after_ms=3_600_000)
    for level, at_ms in (("INFO", 0), ("ERROR", 1), ("INFO", 2)):
        journal.append("a", line(f"said at {at_ms}", at_ms, level=level))
    for value in (1.0, 2.5):
        journal.append("a", metric("rows", value))
    for name, next_us in (("daily", START_US + HOUR_US), ("hourly", None)):
        key = f"main/company.team/hello/{name}"
        written = TriggerState(
            tenant="main",
            kind="SCHEDULE",
            namespace="company.team",
            flow_id="hello",
            trigger_id=name,
            flow_revision=1,
            next_us=next_us,
            updated_us=START_US,
        )
        journal.append(key, written)
    journal.index()
    return store


def of(store: Store, table: str, *columns: Column, **asked: Any) -> list[tuple[Any, ...]]:
    return store.aggregate(Aggregation(table, columns, **asked)).rows


def test_executions_are_counted_by_hour_and_state_with_their_durations(house: Store) -> None:
    keys = (Column("at", "startDate"), Column("state", "state"))
    measures = [Column(name, "duration", name) for name in ("COUNT", "SUM", "AVG", "MIN", "MAX")]

    found = of(house, "executions", *keys, *measures, step_us=HOUR_US)

    hour = START_US // HOUR_US
    assert [tuple(map(str, row[:2])) + tuple(map(float, row[2:])) for row in found] == [
        (str(hour), "SUCCESS", 1.0, 4e6, 4e6, 4e6, 4e6),
        (str(hour + 1), "CREATED", 1.0, 0.0, 0.0, 0.0, 0.0),
        (str(hour + 1), "FAILED", 1.0, 6e6, 6e6, 6e6, 6e6),
    ]


def test_steps_begin_where_the_offset_says(house: Store) -> None:
    # Executions began at 22:13 and 23:13 in UTC: two days at an offset of one hour.
    day_us = 24 * HOUR_US
    at = Column("at", "startDate")

    assert len(of(house, "executions", at, COUNT, step_us=day_us)) == 1
    assert of(house, "executions", at, COUNT, step_us=day_us, offset_us=HOUR_US) == [
        (START_US // day_us, 1),
        (START_US // day_us + 1, 2),
    ]


def test_a_window_holds_both_of_its_ends(house: Store) -> None:
    def count(**window: int) -> int:
        return int(of(house, "executions", COUNT, **window)[0][0])

    assert count(start_us=START_US, end_us=START_US) == 1
    assert count(start_us=START_US + 1) == 2
    assert count(end_us=START_US - 1) == 0


def test_conditions_narrow_executions(house: Store) -> None:
    either = (Term("id", "EQUALS", ("a",)), Term("flowId", "CONTAINS", ("YE",)))
    cases: list[tuple[Condition, str]] = [
        (Term("namespace", "PREFIX", ("company.team",)), "abc"),
        (Term("namespace", "EQUALS", ("company.team",)), "ab"),
        (Term("labels", "EQUALS", ("data",), "team"), "a"),
        (Term("labels", "IS_NULL", (), "env"), "bc"),
        (Term("duration", "GREATER_THAN", (4_500_000.0,)), "b"),
        (Term("flowRevision", "EQUALS", (1,)), "abc"),
        (Term("state", "NOT_IN", ("FAILED", "CREATED")), "a"),
        (Term("endDate", "IS_NULL"), "c"),
        (Group(either, is_any=True), "ac"),
        (Term("q", "CONTAINS", ("deep",)), "c"),
    ]

    def ids(term: Condition) -> str:
        found = of(house, "executions", Column("id", "id"), where=[term], order=[("id", True)])
        return "".join(row[0] for row in found)

    assert [ids(term) for term, _ in cases] == [expected for _, expected in cases]


def test_labels_are_shown_by_key_and_grouped_by(house: Store) -> None:
    team = Column("team", "labels", label="team")

    assert of(house, "executions", team, COUNT) == [("data", 1), ("web", 1), (None, 1)]
    by_id = [("id", True)]
    shown = of(house, "executions", Column("id", "id"), Column("l", "labels"), order=by_id)
    assert set(shown[0][1].split(",")) == {"team:data", "env:prod"}
    assert shown[2][1] is None


def test_rows_come_page_by_page_and_are_counted(house: Store) -> None:
    def page(number: int) -> Rows:
        columns = [Column("id", "id")]
        return house.aggregate(
            Aggregation("executions", columns, order=[("id", False)], page=number, size=2)
        )

    assert [page(1), page(2), page(3)] == [
        Rows([("c",), ("b",)], 3),
        Rows([("a",)], 3),
        Rows([], 3),
    ]


def test_groups_are_counted_not_rows(house: Store) -> None:
    found = house.aggregate(Aggregation("executions", [Column("f", "flowId"), COUNT], size=1))

    assert found == Rows([("bye", 1)], 2)


def test_without_an_order_the_newest_come_first(house: Store) -> None:
    assert of(house, "executions", Column("id", "id")) == [("b",), ("c",), ("a",)]


def test_a_sort_by_an_unknown_column_is_refused(house: Store) -> None:
    with pytest.raises(SortUnknown, match="one of id"):
        of(house, "executions", Column("id", "id"), order=[("nothing", True)])


def test_log_lines_are_counted_by_level(house: Store) -> None:
    least = Term("level", "GREATER_THAN_OR_EQUAL_TO", (2,))

    assert of(house, "logs", Column("level", "level"), COUNT, where=[least]) == [(2, 2), (4, 1)]
    said = of(house, "logs", Column("m", "message"), where=[Term("level", "EQUALS", (4,))])
    assert said == [("said at 1",)]


def test_metrics_are_put_together(house: Store) -> None:
    columns = (Column("name", "name"), *(Column(a, "value", a) for a in ("SUM", "AVG", "MAX")))

    assert of(house, "metrics", *columns) == [("rows", 3.5, 1.75, 2.5)]


def test_triggers_are_shown_by_their_next_date(house: Store) -> None:
    columns = (Column("id", "triggerId"), Column("next", "nextExecutionDate"))

    found = of(house, "triggers", *columns, Column("w", "workerId"), order=[("next", True)])

    assert found == [("daily", START_US + HOUR_US, None), ("hourly", None, None)]


def test_flows_are_counted_though_no_table_has_them(house: Store) -> None:
    flows = [("hello", "company.team", 1), ("bye", "company.team.deep", 3), ("x", "other", 2)]
    below = Term("namespace", "PREFIX", ("company.team",))

    found = of(house, "flows", COUNT, Column("r", "revision", "MAX"), where=[below], flows=flows)

    assert found == [(2, 3)]


def test_task_runs_are_found_by_their_own_fields_and_those_of_their_executions(
    house: Store,
) -> None:
    columns = (Column("id", "id"), Column("state", "state"))
    failed = Term("state", "EQUALS", ("CREATED",))
    labeled = Term("labels", "EQUALS", ("data",), "team")

    assert of(house, "taskRuns", *columns) == [("b-run", "CREATED"), ("a-run", "SUCCESS")]
    assert of(house, "taskRuns", *columns, where=[failed]) == [("b-run", "CREATED")]
    assert of(house, "taskRuns", *columns, where=[labeled]) == [("a-run", "SUCCESS")]
    by_flow = of(house, "taskRuns", Column("flow", "flowId"), COUNT)
    assert by_flow == [("hello", 2)]
    assert [row[0] for row in of(house, "taskRuns", Column("d", "duration"))] == [0, 2_100_000]


def test_what_takes_too_long_is_given_up(database_url: str) -> None:
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(600)",
    }
    engine = open_engine(database_url)

    with engine.connect() as connection:
        with (
            pytest.raises(QuestionTooLarge, match="shorter window"),
            connection.begin(),
            bounding_time(connection, 0.05),
        ):
            connection.exec_driver_sql(slow[engine.dialect.name])
        # then: the connection is as good as before
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()
