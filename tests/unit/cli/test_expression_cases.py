"""Files of expressions with known answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tiercel_cli.expression_cases import InvalidCase, check, read_cases, value_of


def outcome(**row: Any) -> tuple[bool, str, str]:
    """Whether a row holds, what it expects and what came."""
    (case,) = read_cases([json.dumps(row).encode()])
    found = check(case)
    return found.holds, found.expected, found.got


def test_a_text_holds_when_it_is_the_same() -> None:
    assert outcome(template="{{ a }}", vars={"a": 1}, expected="1") == (True, "1", "1")
    assert outcome(template="{{ a }}", vars={"a": 1}, expected="2") == (False, "2", "1")
    assert outcome(template="", expected=None)[0]


def test_json_holds_whatever_the_order_of_its_keys() -> None:
    row = {"template": "{{ a }}", "vars": {"a": {"x": 1, "y": [2]}}, "expected": None}

    assert outcome(**row, expected_json={"y": [2], "x": 1})[0]
    assert outcome(**row, expected_json={"y": [3], "x": 1}) == (
        False,
        '{"y":[3],"x":1}',
        '{"x":1,"y":[2]}',
    )
    assert not outcome(template="no json", expected_json={})[0]


def test_an_error_holds_when_its_message_has_the_part() -> None:
    assert outcome(template="{{ a }}", error=True, error_contains=None)[0]
    assert outcome(template="{{ a }}", error=True, error_contains="Unable to find `a`")[0]
    assert not outcome(template="{{ a }}", error=True, error_contains="something else")[0]
    assert outcome(template="{{ 1 }}", error=True) == (False, "an error", "1")
    assert outcome(template="{{ a }}", expected="1")[2].startswith("an error: Unable to find")


def test_marks_become_typed_date_times() -> None:
    raw = {"a": [{"$instant": "2013-09-08T16:19:12+02:00"}], "b": {"$local": "2013-09-08T16:19:12"}}

    assert value_of(raw) == {
        "a": [datetime(2013, 9, 8, 14, 19, 12, tzinfo=UTC)],
        "b": datetime(2013, 9, 8, 16, 19, 12),
    }
    assert outcome(
        template="{{ z | date(format='HH:mm', timeZone='UTC') }}",
        vars={"z": {"$zoned": "2013-09-08T16:19:12+02:00"}},
        expected="14:19",
    )[0]


def test_a_row_is_about_0_21_unless_it_says_since() -> None:
    row = {"template": "{{ 'a' < 'b' }}", "expected": "true"}

    assert not outcome(**row)[0]
    assert outcome(**row, since="1.0")[0]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"vars": {}}',
        b'{"template": 1}',
        b'{"template": "", "vars": [1]}',
        b'{"template": "", "vars": {"a": {"$zoned": "soon"}}}',
        b'{"template": "\xff"}',
    ],
)
def test_a_line_that_is_no_case_is_named(line: bytes) -> None:
    with pytest.raises(InvalidCase, match="line 3"):
        list(read_cases([b'{"template": ""}', b"\n", line]))
