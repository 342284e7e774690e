"""Reading YAML text: what scalars mean, where things stand, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tiercel_engine.errors import InvalidFlow, Violation
from tiercel_engine.flow.source import NODES_MAX, SOURCE_BYTES_MAX, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("~", None),
        ("", None),
        ("null", None),
        ("nothing", "nothing"),
        ("42", 42),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("'42'", "42"),
        ('"true"', "true"),
        ("!!str 42", "42"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("-", "-"),
        ("+", "+"),
        (".", "."),
        ("'{{ x }}'", "{{ x }}"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    if text == "-":
        assert read("a: '-'").data == {"a": "-"}
        return
    data = read(f"a: {text}").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_keys_are_always_text() -> None:
    assert read("1: a\ntrue: b\n~: c").data == {"1": "a", "true": "b", "~": "c"}


def test_an_alias_stands_for_what_its_anchor_names() -> None:
    assert read("a: &x {k: [1]}\nb: *x\nc: &y text\nd: *y").data == {
        "a": {"k": [1]},
        "b": {"k": [1]},
        "c": "text",
        "d": "text",
    }


def test_positions_count_from_one_and_tell_keys_from_values() -> None:
    document = read("a: 1\nlist:\n  - x: 1\n    wrong: 2\n")

    assert document.position(["list", 0, "wrong"], of_key=True) == (4, 5)
    assert document.position(["list", 0, "wrong"]) == (4, 12)
    assert document.position(["list", 0, "missing"]) == (3, 5)
    assert document.start_of(document.data["list"]) == (3, 3)


def violation_of(source: str) -> Violation:
    started = time.perf_counter()
    with pytest.raises(InvalidFlow) as caught:
        read(source)
    assert time.perf_counter() - started < 2.0, "refusing took too long"
    (violation,) = caught.value.violations
    assert violation.path == "yaml"
    return violation


@pytest.mark.parametrize(
    ("source", "line", "column", "words"),
    [
        ("id: [", 2, 1, "node content"),
        ("a: b: c", 1, 5, "mapping values are not allowed"),
        ("a: 'x", 1, 6, "end of stream"),
        ("a:\n\t- b", 2, 1, "cannot start any token"),
        ("a: 1\nb: 2\na: 3", 3, 1, "Duplicate field 'a'"),
        ("l:\n- {a: 1, a: 2}", 2, 10, "Duplicate field 'a'"),
        ("? [a]\n: b", 1, 3, "Expected text as a key"),
        ("a: *nobody", 1, 4, "*nobody has none"),
        ("a: &x [*x]", 1, 8, "*x has none"),
        ("a: 1\n---\nb: 1", 2, 1, "Expected one document"),
        ("a: \x00", 1, 1, "Expected printable text"),
        ("a: ünï\nb: 2\nc: \x07", 3, 1, "Expected printable text"),
        ("a: 1\nb: \ud800", 2, 1, "surrogate"),
        ("%YAML 3.0\n---\na: 1", 1, 1, "incompatible YAML document"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    source: str, line: int, column: int, words: str
) -> None:
    violation = violation_of(source)
    assert words in violation.message
    assert (violation.line, violation.column) == (line, column)
    assert violation.message.endswith(f"line: {line}, column: {column}]")


def test_ten_megabytes_are_refused_at_once() -> None:
    violation = violation_of("a: " + "x" * 10_000_000)
    assert f"at most {SOURCE_BYTES_MAX} bytes, but it has 10000003" in violation.message


def test_aliases_that_multiply_are_refused_before_they_are_expanded() -> None:
    bomb = "a0: &a0 [" + ",".join("x" * 10) + "]\n"
    for level in range(1, 30):
        bomb += f"a{level}: &a{level} [" + ",".join([f"*a{level - 1}"] * 10) + "]\n"

    assert f"at most {NODES_MAX} values" in violation_of(bomb).message


@pytest.mark.parametrize(
    "source",
    [
        "[" * 500_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "".join(" " * depth + "a:\n" for depth in range(1_000)),
    ],
)
def test_deep_nesting_is_refused_before_it_costs_anything(source: str) -> None:
    assert "at most 100 levels of nesting" in violation_of(source).message


def test_tags_that_would_run_code_only_tag_text() -> None:
    assert read("a: !!python/object/apply:os.system [echo]").data == {"a": ["echo"]}
