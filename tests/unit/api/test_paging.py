"""Query strings, in both spellings."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from tiercel_api import paging
from tiercel_engine.errors import InvalidInput, UserError
from tiercel_engine.repository.base import LogFilter
from tiercel_engine.repository.terms import Condition, Group, Term
from tiercel_schemas.flows import FlowRevision

NOW_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
SINCE = "GREATER_THAN_OR_EQUAL_TO"


def query(*pairs: tuple[str, str]) -> MultiDict[str]:
    return MultiDict(pairs)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("q", "x")], [Term("q", "EQUALS", ("x",))]),
        ([("namespace", "a.b")], [Term("namespace", "PREFIX", ("a.b",))]),
        ([("filters[namespace][EQUALS]", "a.b")], [Term("namespace", "EQUALS", ("a.b",))]),
        ([("filters[namespace][NOT_IN]", "a,b")], [Term("namespace", "NOT_IN", ("a", "b"))]),
        ([("filters[flowId][CONTAINS]", "a,b")], [Term("flowId", "CONTAINS", ("a,b",))]),
        ([("state", "FAILED"), ("state", "KILLED")], [Term("state", "IN", ("FAILED", "KILLED"))]),
        ([("filters[state][IN]", "FAILED,KILLED")], [Term("state", "IN", ("FAILED", "KILLED"))]),
        ([("labels", "a:b:c")], [Term("labels", "EQUALS", ("b:c",), "a")]),
        ([("filters[labels][EQUALS][a.b]", "c")], [Term("labels", "EQUALS", ("c",), "a.b")]),
        ([("timeRange", "PT1H")], [Term("startDate", SINCE, (NOW_US - HOUR_US,))]),
        ([("startDate", "2023-11-14T22:13:20Z")], [Term("startDate", SINCE, (NOW_US,))]),
        (
            [("endDate", "2023-11-15T00:13:20 02:00")],
            [Term("startDate", "LESS_THAN_OR_EQUAL_TO", (NOW_US,))],
        ),
        (
            [("filters[endDate][LESS_THAN]", "2023-11-14T22:13:20Z")],
            [Term("endDate", "LESS_THAN", (NOW_US,))],
        ),
        ([("childFilter", "MAIN")], [Term("triggerExecutionId", "IS_NULL")]),
        ([("triggerExecutionId", "abc")], [Term("triggerExecutionId", "EQUALS", ("abc",))]),
        ([("filters[kind][IN]", "TEST,NORMAL")], [Term("kind", "IN", ("TEST", "NORMAL"))]),
        ([("scope", "SYSTEM")], [Term("namespace", "EQUALS", ("system",))]),
        ([("scope", "USER,SYSTEM"), ("page", "1"), ("size", "5"), ("q", "")], [Group(())]),
        (
            [("filters[or][0][flowId][EQUALS]", "a"), ("filters[or][1][state][EQUALS]", "FAILED")],
            [
                Group(
                    [
                        Group([Term("flowId", "EQUALS", ("a",))]),
                        Group([Term("state", "EQUALS", ("FAILED",))]),
                    ],
                    is_any=True,
                )
            ],
        ),
    ],
)
def test_a_filter_is_read(pairs: list[tuple[str, str]], expected: list[Condition]) -> None:
    assert paging.execution_filter(query(*pairs), NOW_US).terms == expected


@pytest.mark.parametrize(
    ("pairs", "kinds"),
    [
        ([], ("NORMAL",)),
        ([("flowId", "a"), ("childFilter", "CHILD")], ("NORMAL",)),
        ([("triggerExecutionId", "abc")], ()),
        ([("filters[kind][IN]", "LOOP")], ()),
    ],
)
def test_parts_of_executions_are_listed_to_who_asks_for_them(
    pairs: list[tuple[str, str]], kinds: tuple[str, ...]
) -> None:
    assert paging.execution_filter(query(*pairs), NOW_US).kinds == kinds


@pytest.mark.parametrize(
    "pairs",
    [
        [("filters[namespace][REGEX]", "(a")],
        [("filters[namespace][REGEX]", "a" * 201)],
        [("filters[namespace][LIKE]", "a")],
        [("filters[flowRevision][GREATER_THAN]", "one")],
        [("taskId", "t")],
        [("filters[secret][EQUALS]", "a")],
        [("childFilter", "BOTH")],
        [("state", "DREAMING")],
        [("timeRange", "P1M")],
        [("timeRange", "PT1H"), ("startDate", "2023-11-14T22:13:20Z")],
        [("startDate", "2023-11-14T22:13:20")],
        [("labels", "novalue")],
        [("scope", "OTHER")],
        [("filters[state][CONTAINS]", "FAIL")],
        [("filters[labels]", "a")],
        [("filters[or][0][or][0][or][0][or][0][flowId][EQUALS]", "a")],
        [("startDate", "2023-11-14T22:13:20Z"), ("endDate", "2020-11-14T22:13:20Z")],
    ],
)
def test_a_filter_that_is_not_understood_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(UserError):
        paging.execution_filter(query(*pairs), NOW_US)


@pytest.mark.parametrize(
    ("pair", "term"),
    [
        (("minLevel", "warn"), Term("level", SINCE, (3,))),
        (("filters[level][EQUALS]", "WARN"), Term("level", SINCE, (3,))),
        (("filters[level][IN]", "INFO,ERROR"), Term("level", "IN", (2, 4))),
        (("taskId", "t"), Term("taskId", "EQUALS", ("t",))),
        (("filters[taskId][REGEX]", "^t+$"), Term("taskId", "REGEX", ("^t+$",))),
        (("attempt", "0"), Term("attempt", "EQUALS", (0,))),
        (("filters[attemptNumber][IN]", "0,1"), Term("attempt", "IN", (0, 1))),
        (("namespace", "a"), Term("namespace", "PREFIX", ("a",))),
        (("filters[namespace][EQUALS]", "a"), Term("namespace", "EQUALS", ("a",))),
        (("q", "x"), Term("q", "EQUALS", ("x",))),
        (("timeRange", "PT1H"), Term("timestamp", SINCE, (NOW_US - HOUR_US,))),
        (("startDate", "2023-11-14T22:13:20Z"), Term("timestamp", SINCE, (NOW_US,))),
        (
            ("filters[endDate][LESS_THAN]", "2023-11-14T22:13:20Z"),
            Term("timestamp", "LESS_THAN", (NOW_US,)),
        ),
        (("filters[executionKind][IS_NULL]", "true"), Term("kind", "EQUALS", ("NORMAL",))),
    ],
)
def test_a_log_filter_is_read(pair: tuple[str, str], term: Term) -> None:
    where = paging.log_filter(query(pair), NOW_US, execution_id="e")

    assert where == LogFilter(execution_id="e", terms=[term])


@pytest.mark.parametrize(
    "pair",
    [
        ("minLevel", "LOUD"),
        ("attempt", "x"),
        ("state", "FAILED"),
        ("labels", "a:b"),
        ("filters[level][IS_NULL]", "true"),
        ("filters[state][EQUALS]", "FAILED"),
    ],
)
def test_a_log_filter_that_is_not_understood_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UserError):
        paging.log_filter(query(pair), NOW_US)


@pytest.mark.parametrize(
    ("pair", "term"),
    [
        (("q", "x"), Term("q", "EQUALS", ("x",))),
        (("workerId", "w"), Term("workerId", "EQUALS", ("w",))),
        (("filters[triggerState][EQUALS]", "DISABLED"), Term("disabled", "EQUALS", (1,))),
        (("filters[locked][EQUALS]", "false"), Term("locked", "EQUALS", (0,))),
        (("filters[timeRange][EQUALS]", "PT1H"), Term("updatedAt", SINCE, (NOW_US - HOUR_US,))),
        (
            ("filters[nextExecutionDate][IS_NULL]", "true"),
            Term("nextEvaluationDate", "IS_NULL"),
        ),
    ],
)
def test_a_trigger_filter_is_read(pair: tuple[str, str], term: Term) -> None:
    assert paging.trigger_filter(query(pair), NOW_US).terms == [term]


def test_the_date_of_a_trigger_that_a_window_bounds_is_named() -> None:
    asked = query(
        ("dateFilter", "NEXT_EXECUTION_DATE"),
        ("filters[startDate][EQUALS]", "2023-11-14T22:13:20Z"),
    )

    assert paging.trigger_filter(asked, NOW_US).terms == [
        Term("nextEvaluationDate", SINCE, (NOW_US,))
    ]
    with pytest.raises(UserError):
        paging.trigger_filter(query(("dateFilter", "BIRTHDAY")), NOW_US)


def test_a_page_has_defaults_and_bounds() -> None:
    assert paging.page_of(query()) == (1, 10)
    assert paging.page_of(query(("page", "3"), ("size", "50"))) == (3, 50)
    for wrong in (("page", "-1"), ("size", "1e9"), ("size", "10001"), ("page", "9" * 30)):
        with pytest.raises(UserError):
            paging.page_of(query(wrong))
    with pytest.raises(UserError):
        paging.page_of(query(("page", "999999999"), ("size", "10000")))
    # Out of bounds is the client's wrong value; only what is no number is a bad request.
    for wrong in (("page", "0"), ("page", "-1"), ("size", "-1")):
        with pytest.raises(InvalidInput):
            paging.page_of(query(wrong))


def test_several_sorts_keep_their_order() -> None:
    asked = query(("sort", "id:asc"), ("sort", "state.startDate:desc"))

    assert paging.sort_of(asked) == (("id", True), ("state.startDate", False))


@pytest.mark.parametrize(
    ("namespace", "matches"),
    [("a.b", True), ("a.b.c", True), ("a.bc", False), ("a", False)],
)
def test_a_namespace_prefix_ends_at_a_dot(namespace: str, matches: bool) -> None:
    from_prefix = paging.FlowFilter(namespace_prefix="a.b")
    entry = FlowRevision(namespace=namespace, flow_id="f", revision=1, source="", updated_us=0)

    assert from_prefix.matches(entry) is matches
