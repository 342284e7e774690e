"""What a person is told about an expression."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiercel_api.evaluation import (
    EXCERPT_CHARS_MAX,
    REACH_MEMBERS_MAX,
    REACH_ROWS_MAX,
    Problem,
    evaluate,
    explained,
    reach,
)
from tiercel_engine.expression.context import RenderContext

MOMENT = datetime(2024, 5, 6, tzinfo=UTC)


def problem_of(template: str) -> Problem:
    problem = evaluate(template, {}, RenderContext()).problem
    assert problem is not None
    return problem


@pytest.mark.parametrize(
    ("template", "value", "kind"),
    [
        ("{{ v }}", "", "null"),
        ("{{ 1 + 2 }}", "3", "integer"),
        ("{{ 1 + 2 }}!", "3!", "string"),
        ("{{ 1.5 }}", "1.5", "decimal"),
        ("{{ 1 == 1 }}", "true", "boolean"),
        ("{{ [1, 2] }}", "[1,2]", "list of 2"),
        ("{{ {'a': 1} }}", '{"a":1}', "map of 1"),
        ("{{ [1] }}{{ [2] }}", "[1][2]", "string"),
        ("{{ moment }}", "2024-05-06T00:00:00Z", "date-time"),
        ("no expression", "no expression", "string"),
    ],
)
def test_a_value_is_told_with_its_type(template: str, value: str, kind: str) -> None:
    found = evaluate(template, {"v": None, "moment": MOMENT}, RenderContext())

    assert (found.value, found.type, found.problem) == (value, kind, None)


@pytest.mark.parametrize(
    ("template", "line", "meant"),
    [
        ("{{ a.b }}", 1, "a"),
        ("first\n  {{ nothing }}", 2, "nothing"),
        ("{{ 'x' | shout }}", 1, "shout"),
        ("{{ 1 + }}", 1, "}"),
        ("{{ nothing_more ~ nothing }}", 1, "nothing_more"),
    ],
)
def test_an_error_points_at_what_is_meant(template: str, line: int, meant: str) -> None:
    problem = problem_of(template)

    assert problem.line == line
    assert template.split("\n")[line - 1][problem.column - 1 :].startswith(meant)
    shown, caret = problem.excerpt.split("\n")
    assert shown[caret.index("^") :].startswith(meant)


def test_the_excerpt_of_a_long_line_is_short_and_still_points() -> None:
    problem = problem_of("x" * 500 + "{{ nothing }}" + "y" * 500)

    shown, caret = problem.excerpt.split("\n")
    assert len(shown) < EXCERPT_CHARS_MAX + 20
    assert shown[caret.index("^") :].startswith("nothing }}")


def test_a_render_whose_time_is_over_says_so() -> None:
    context = RenderContext(expired=lambda: True)

    problem = evaluate("{% for x in 1..9 %}{{ x }}{% endfor %}", {}, context).problem

    assert problem is not None
    assert "The time to render this expression is over" in problem.message


def test_variables_in_reach_are_named_as_an_expression_names_them() -> None:
    variables: dict[str, Any] = {
        "inputs": {"name": "Ada", "my-list": [1, 2], "it's": True, "none": {}},
        "n": 1,
    }

    assert [(row.name, row.type) for row in reach(variables)] == [
        ("inputs.name", "string"),
        ("inputs['my-list']", "list of 2"),
        ('inputs["it\'s"]', "boolean"),
        ("inputs.none", "map of 0"),
        ("n", "integer"),
    ]


def test_variables_in_reach_are_bounded_in_width_depth_and_number() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(500):
        inner["d"] = {}
        inner = inner["d"]
    wide = {f"k{n}": {f"m{m}": m for m in range(REACH_MEMBERS_MAX)} for n in range(1_000)}

    assert reach({"deep": deep}) == [reach({"deep": deep})[0]]
    rows = reach({"wide": wide})
    assert len(rows) == REACH_ROWS_MAX + 1
    assert reach(wide["k0"] | {"one": 1, "more": 2})[-1].type == "2 more"


def test_an_explained_answer_holds_the_peers_fields_and_ours() -> None:
    good = explained(evaluate("{{ n }}", {"n": 1}, RenderContext()), {"n": 1})
    bad = explained(evaluate("{{ m }}", {"n": 1}, RenderContext()), {"n": 1})

    variables = [{"name": "n", "type": "integer"}]
    assert good == {"result": "1", "type": "integer", "variables": variables}
    assert bad == {
        "error": "Unable to find `m` used in the expression `{{ m }}` at line 1",
        "stackTrace": "line 1: {{ m }}\n           ^",
        "line": 1,
        "column": 4,
        "variables": variables,
    }
