"""Filters in a JSON body."""

from __future__ import annotations

import pytest

from tiercel_api import paging
from tiercel_api.body_filters import in_query
from tiercel_engine.errors import UserError
from tiercel_engine.repository.terms import Group, Term

NOW_US = 1_700_000_000_000_000


def test_filters_of_a_body_are_those_of_a_query() -> None:
    asked = in_query(
        [
            {"field": "namespace", "operation": "IN", "value": ["a", "b"]},
            {
                "logical": "OR",
                "children": [
                    {"field": "QUERY", "operation": "EQUALS", "value": "x"},
                    {"field": "locked", "operation": "EQUALS", "value": True},
                ],
            },
        ]
    )

    either = [
        Group([Term("q", "EQUALS", ("x",))]),
        Group([Term("locked", "EQUALS", (1,))]),
    ]
    assert paging.trigger_filter(asked, NOW_US).terms == [
        Group([Group([Term("namespace", "IN", ("a", "b"))]), Group([Group(either, is_any=True)])])
    ]


@pytest.mark.parametrize("body", ["x", [1], [{}], [{"field": "q"}], [{"logical": "OR"}, "x"]])
def test_filters_of_a_body_that_are_none_are_refused(body: object) -> None:
    with pytest.raises(UserError):
        paging.trigger_filter(in_query(body), NOW_US)
