"""The peer's own flows, when a directory of them is given: `TIERCEL_CONFORMANCE=<dir> pytest ...`.

Without that only the matchers are tested.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.cases import Case, read_cases
from tests.conformance.door import Door
from tests.conformance.judging import NOT_RUN, PASS, judge
from tests.conformance.matching import Matcher
from tests.conformance.run_flows import known_settings, server_under_test


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("regex:^a\\d", "a1b"),
        ("contains: b", "abc"),
        ("startswith kestra://", "kestra:///x"),
        ("<kestra uri>", "kestra:///x"),
        ("<ISO zoned date-time>", "2024-01-01T00:00:00.001Z[UTC]"),
        ("contains: <execution id>", "it is E1."),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}),
        ([1, {"a": 1}], [1, {"a": 1, "b": 2}]),
    ],
)
def test_a_matcher_accepts_what_it_means(expected: Any, actual: Any) -> None:
    assert Matcher({"<execution id>": "E1"}).fits(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("abc", "abcd"),
        (True, 1),
        ("regex:^b", "ab"),
        ("<kestra uri>", "file:///x"),
        ("<sub id>", None),
        ({"a": 1}, {}),
        ([1], [1, 2]),
    ],
)
def test_a_matcher_refuses_what_differs(expected: Any, actual: Any) -> None:
    assert not Matcher().fits(expected, actual)


_DIRECTORY = os.environ.get("TIERCEL_CONFORMANCE", "")

if _DIRECTORY:
    _CASES = read_cases(Path(_DIRECTORY) / "flows.jsonl", Path(_DIRECTORY) / "flows")

    @pytest.fixture(scope="module")
    def door() -> Iterator[Door]:
        with server_under_test() as opened:
            yield opened

    @pytest.mark.parametrize("case", _CASES, ids=[case.name for case in _CASES])
    def test_a_flow_does_what_the_peer_does(door: Door, case: Case) -> None:
        outcome = judge(door, case, known_settings())

        assert outcome.verdict in (PASS, NOT_RUN), outcome.line()
