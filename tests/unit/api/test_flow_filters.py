"""Filters of flows, which no database answers."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from tiercel_api.paging import flow_filter
from tiercel_engine.errors import UserError
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
