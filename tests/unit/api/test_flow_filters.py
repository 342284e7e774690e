"""Filters of flows, which no database answers."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from tiercel_api.paging import FlowFilter, flow_filter
from tiercel_engine.errors import UserError
from tiercel_engine.repository.patterns import Patterns, SearchTooSlow
from tiercel_engine.repository.terms import Term
from tiercel_schemas.flows import FlowRevision

ENTRY = FlowRevision(namespace="a.b", flow_id="bread", revision=1, source="", updated_us=0)


def matches(name: str, value: str) -> bool:
    where = flow_filter(MultiDict([(name, value)]))
    return where.matches(ENTRY, lambda: {"team": "blue"})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("q", "BRE", True),
        ("namespace", "a", True),
        ("namespace", "a.bc", False),
        ("labels", "team:blue", True),
        ("labels", "team:red", False),
        ("filters[labels][NOT_EQUALS][team]", "red", True),
        ("filters[labels][EQUALS][size]", "xl", False),
        ("filters[flowId][STARTS_WITH]", "br", True),
        ("filters[flowId][ENDS_WITH]", "br", False),
        ("filters[flowId][NOT_CONTAINS]", "EA", False),
        ("filters[id][IN]", "cake,bread", True),
        ("filters[id][REGEX]", "^b.*d$", True),
        ("filters[id][REGEX]", "^r", False),
        ("filters[flowRevision][GREATER_THAN]", "0", True),
        ("filters[flowRevision][LESS_THAN]", "1", False),
        ("filters[labels][REGEX][team]", "^bl", True),
        ("filters[labels][IS_NULL][size]", "true", True),
        ("filters[labels][IS_NULL]", "team", False),
        ("filters[namespace][NOT_IN]", "a.b,c", False),
        ("filters[scope][EQUALS]", "USER", True),
        ("filters[or][0][flowId][EQUALS]", "cake", False),
    ],
)
def test_a_flow_is_found_by_its_texts(name: str, value: str, expected: bool) -> None:
    assert matches(name, value) is expected


@pytest.mark.parametrize("name", ["filters[state][EQUALS]", "filters[flowId][GREATER_THAN]"])
def test_what_flows_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        matches(name, "x")


def test_a_pattern_that_runs_away_ends_the_search_in_time() -> None:
    where = FlowFilter(terms=[Term("id", "REGEX", ("(a+)+b",))], patterns=Patterns(0.05))
    long = FlowRevision(namespace="a", flow_id="a" * 5_000, revision=1, source="", updated_us=0)

    with pytest.raises(SearchTooSlow, match="narrow it"):
        where.matches(long)
    # What is left of the search does not begin again.
    with pytest.raises(SearchTooSlow):
        where.matches(ENTRY)
