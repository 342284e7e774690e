"""Query strings, in both spellings."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict

from tiercel_api import paging
from tiercel_engine.errors import InvalidInput, UserError
from tiercel_engine.repository.base import ExecutionFilter, LogFilter
from tiercel_schemas.flows import FlowRevision

NOW_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000


def query(*pairs: tuple[str, str]) -> MultiDict[str]:
    return MultiDict(pairs)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("q", "x")], {"q": "x"}),
        ([("namespace", "a.b")], {"namespace_prefix": "a.b"}),
        ([("filters[namespace][EQUALS]", "a.b")], {"namespace": "a.b"}),
        ([("filters[namespace][PREFIX]", "a.b")], {"namespace_prefix": "a.b"}),
        ([("filters[q][EQUALS]", "x")], {"q": "x"}),
        ([("state", "FAILED"), ("state", "KILLED")], {"states": ("FAILED", "KILLED")}),
        ([("filters[state][IN]", "FAILED,KILLED")], {"states": ("FAILED", "KILLED")}),
        ([("labels", "a:b:c")], {"labels": (("a", "b:c"),)}),
        ([("filters[labels][EQUALS][a.b]", "c")], {"labels": (("a.b", "c"),)}),
        ([("timeRange", "PT1H")], {"start_us": NOW_US - HOUR_US}),
        ([("startDate", "2023-11-14T22:13:20Z")], {"start_us": NOW_US}),
        ([("endDate", "2023-11-15T00:13:20 02:00")], {"end_us": NOW_US}),
        ([("filters[startDate][GREATER_THAN]", "2023-11-14T22:13:20Z")], {"start_us": NOW_US}),
        ([("childFilter", "MAIN")], {"child_filter": "MAIN"}),
        ([("triggerExecutionId", "abc")], {"trigger_execution_id": "abc"}),
        ([("filters[kind][IN]", "TEST,NORMAL")], {"kinds": ("TEST", "NORMAL")}),
        ([("scope", "USER"), ("page", "1"), ("size", "5"), ("q", "")], {}),
    ],
)
def test_a_filter_is_read(pairs: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert paging.execution_filter(query(*pairs), NOW_US) == ExecutionFilter(**expected)


@pytest.mark.parametrize(
    "pairs",
    [
        [("filters[namespace][REGEX]", "a")],
        [("filters[secret][EQUALS]", "a")],
        [("childFilter", "BOTH")],
        [("state", "DREAMING")],
        [("timeRange", "P1M")],
        [("timeRange", "PT1H"), ("startDate", "2023-11-14T22:13:20Z")],
        [("startDate", "2023-11-14T22:13:20")],
        [("labels", "novalue")],
        [("scope", "OTHER")],
    ],
)
def test_a_filter_that_is_not_understood_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(UserError):
        paging.execution_filter(query(*pairs), NOW_US)


def test_a_log_filter_is_read() -> None:
    asked = query(("minLevel", "warn"), ("taskId", "t"), ("attempt", "0"), ("namespace", "a"))

    where = paging.log_filter(asked, NOW_US, execution_id="e")

    assert where == LogFilter(
        execution_id="e", min_level="WARN", task_id="t", attempt=0, namespace="a"
    )


@pytest.mark.parametrize("pair", [("minLevel", "LOUD"), ("attempt", "x"), ("state", "FAILED")])
def test_a_log_filter_that_is_not_understood_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UserError):
        paging.log_filter(query(pair), NOW_US)


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
