"""Which jq programs run in place, which where they can be stopped, and which nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.expression.support import still_context

from tiercel_engine.errors import InvalidExpression, UserError
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.jq_cost import cost_of
from tiercel_engine.expression.render import Renderer

LONG = [
    "last(range(1000000000))",
    "[range(30000000)] | length",
    "def f: f; f",
    "reduce .[] as $i (0; . + $i)",
    "..",
    "[recurse]",
    "[1, repeat(1), 2]",
    ". * .n",
    '"x" * 1000000000',
    ".[100000000] = 1",
    ".[] += 1",
    'test("(a+)+b")',
    'test("(a|a)*b")',
    "test(.pattern)",
    'sub("a?a?a?a?a?a?a?aaaaaaa"; "")',
    'split(", *"; null)',
    '"\\(.a)"',
    "[.[]+.[]]|[.[]+.[]]|[.[]+.[]]",
]
QUICK = [
    ".",
    ".a[].b[0].c?",
    ".a, .b",
    'map(select(.name | test("^prod"))) | length',
    '.[] | select(.a > 1 and .b != "x") | {id, name: .n}',
    'sub("a"; "b") | gsub("\\\\s"; "")',
    'if .a then "yes" else "no" end',
    "group_by(.k) | map({k: .[0].k, n: length})",
    "[.[] | . * 2] | add",
    'split(",") | join("; ") | @base64',
]


@pytest.mark.parametrize("program", LONG)
def test_a_program_that_may_run_long_is_not_quick(program: str) -> None:
    cost = cost_of(program)

    assert cost is None or not cost.allows(1_000)


@pytest.mark.parametrize("program", QUICK)
def test_a_program_of_everyday_words_is_quick(program: str) -> None:
    cost = cost_of(program)

    assert cost is not None
    assert cost.allows(1_000)


@pytest.mark.parametrize(
    ("program", "power"),
    [
        (".a[] | .b[] | length", 1),
        ("map(map(.[])) | .[0]", 1),
        ("[.[] + .]", 2),
        ("select(.[])", 2),
        ("if .a | .[] then . else 1 end", 2),
        (".[.[]]", 2),
        (". - .a", 2),
        ("[.[] + .[]]", 4),
        ("[select(.[])] | flatten | [select(.[])]", 4),
    ],
)
def test_what_may_multiply_counts_by_powers(program: str, power: int) -> None:
    cost = cost_of(program)

    assert cost is not None
    assert cost.power == power


def test_a_long_program_is_given_to_who_can_stop_it() -> None:
    asked: list[str] = []

    def run_jq(program: str, source: str) -> list[Any]:
        asked.append(program)
        return [source, 1.0]

    renderer = Renderer(still_context(run_jq=run_jq))

    assert renderer.value("{{ [1] | jq('last(range(1000000000))') }}", {}) == ["[1]", 1]
    assert renderer.value("{{ [1] | jq('.[0]') }}", {}) == [1]
    assert len(asked) == 1


def test_a_long_program_is_refused_where_nobody_can_stop_it() -> None:
    with pytest.raises(InvalidExpression, match="compute it in a task"):
        Renderer().text("{{ [1] | jq('last(range(1000000000))') }}", {})


def test_a_program_too_costly_for_its_input_is_refused_too() -> None:
    template = "{{ v | jq('[.[] + .[]] | length') }}"

    assert not analyse(template).needs_io
    assert Renderer().text(template, {"v": [1, 2]}) == "[4]"
    with pytest.raises(InvalidExpression, match="compute it in a task"):
        Renderer().text(template, {"v": [1] * 10_000})


def test_a_failure_elsewhere_is_one_of_the_expression() -> None:
    def run_jq(program: str, source: str) -> list[Any]:
        raise UserError("it took too long")

    with pytest.raises(InvalidExpression, match=r"jq value .* it took too long"):
        Renderer(still_context(run_jq=run_jq)).text("{{ [1] | jq('repeat(1)') }}", {})


def test_one_render_runs_few_programs_elsewhere() -> None:
    runs = 0

    def run_jq(program: str, source: str) -> list[Any]:
        nonlocal runs
        runs += 1
        return []

    with pytest.raises(InvalidExpression, match="at most"):
        Renderer(still_context(run_jq=run_jq)).text(
            "{% for i in 1..5000 %}{{ i | jq('repeat(1)') }}{% endfor %}", {}
        )

    assert runs <= 100
