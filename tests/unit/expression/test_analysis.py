"""What analysis says a template reads, compared with what rendering it really asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.unit.expression.support import cases, still_context, value_of

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.analysis import NOTHING, References, analyse, check
from tiercel_engine.expression.render import Renderer


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("plain", set()),
        ("{{ 1 + 2 }}", set()),
        ("{{ outputs.a.value }} {{ inputs.x }}", {("outputs", "a", "value"), ("inputs", "x")}),
        ("{{ vars }}", {("vars",)}),
        ("{{ outputs['my-task'].uri }}", {("outputs", "my-task", "uri")}),
        ("{{ outputs[taskrun.value].v }}", {("outputs",), ("taskrun", "value")}),
        ("{{ outputs.each[taskrun.value].v }}", {("outputs", "each"), ("taskrun", "value")}),
        ("{{ list[0].x }}", {("list",)}),
        ("{{ a.b.size() }}", {("a", "b")}),
        ("{{ (a.b).c }}", {("a", "b", "c")}),
        ("{{ a.b ?? c.d }}", {("a", "b"), ("c", "d")}),
        ("{{ a is defined ? b : c }}", {("a",), ("b",), ("c",)}),
        ("{{ a | default(b) | date(format=c) }}", {("a",), ("b",), ("c",)}),
        ('{{ "x#{a.b}y" }}', {("a", "b")}),
        ("{{ [a, {b: c}] }}", {("a",), ("b",), ("c",)}),
        ("{{ not a and -b > c }}", {("a",), ("b",), ("c",)}),
        ("{{ max(a.n, b) }}", {("a", "n"), ("b",)}),
        (
            "{% if a %}{{ b }}{% elseif c %}{{ d }}{% else %}{{ e }}{% endif %}",
            {(c,) for c in "abcde"},
        ),
        (
            "{% for x in a.b %}{{ x.y }}{{ loop.index }}{{ z }}{% else %}{{ w }}{% endfor %}",
            {("a", "b"), ("z",), ("w",)},
        ),
        ("{% for x in a %}{% endfor %}{{ x.y }}", {("a",), ("x", "y")}),
        ("{% set v = outputs.a %}{{ v.b }}", {("outputs", "a"), ("v", "b")}),
        ("{% macro m(p, q=d) %}{{ p }}{{ g }}{% endmacro %}{{ m(a.b) }}", {("a", "b")}),
        ("{% filter upper | default(a) %}{{ b }}{% endfilter %}", {("a",), ("b",)}),
        ("{% block n %}{{ a }}{% endblock %}", {("a",)}),
        ("{% raw %}{{ a }}{% endraw %}{% verbatim %}{{ b }}{% endverbatim %}{# {{ c }} #}", set()),
        ("{{ currentEachOutput(outputs.t) }}", {("outputs", "t"), ("parents",), ("taskrun",)}),
        ({"k": "{{ a.b }}", "{{ c }}": ["{{ d }}", 5, None]}, {("a", "b"), ("c",), ("d",)}),
        ("{{ broken", set()),
    ],
)  # fmt: skip
def test_paths_lead_to_what_is_read(template: Any, paths: set[tuple[str, ...]]) -> None:
    assert analyse(template).paths == frozenset(paths)
    assert not analyse(template).dynamic


@pytest.mark.parametrize(
    "template",
    [
        "{{ render(vars.a) }}",
        "{{ renderOnce(a) }}",
        "{{ printContext() }}",
        "{{ fetchContext().a }}",
    ],
)
def test_what_may_read_anything_is_dynamic(template: str) -> None:
    assert analyse(template).dynamic


@pytest.mark.parametrize(
    "template",
    [
        "{{ read('a') }}",
        "{{ a ?? secret('k') }}",
        "{% if kv('k') %}x{% endif %}",
        "{{ http('https://x').body }}",
        "{% macro m() %}{{ fileSize('x') }}{% endmacro %}{{ m() }}",
        "{{ a | jq(program) }}",
        "{{ a | jq('[range(1e9)]') }}",
        "{{ a | jq('def f: f; f') }}",
        "{{ a | split(b) }}",
        "{{ a | regexMatch('.*x.*') }}",
        "{{ a | replace({'a': 'b'}, regexp=true) }}",
        ["{{ x }}", {"k": "{{ secret('y') }}"}],
    ],
)
def test_what_reads_the_world_or_may_run_long_needs_io(template: Any) -> None:
    assert analyse(template).needs_io


@pytest.mark.parametrize(
    "template",
    [
        "{{ a | jq('.x.y') }}",
        "{{ a | split(',') }}",
        "{{ a | replace({'a': 'b'}) }}",
        "{{ now() }}",
    ],
)
def test_what_is_quick_and_pure_needs_no_io(template: str) -> None:
    assert analyse(template) | NOTHING == analyse(template)
    assert not analyse(template).needs_io


def test_functions_that_read_files_read_whose_execution_it_is() -> None:
    assert {"flow", "execution", "trigger"} <= analyse("{{ read('x') }}").roots


class Recorder(Mapping[str, Any]):
    """Variables that note which roots are asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _cut(value: Any, paths: set[tuple[str, ...]]) -> Any:
    """Only what the paths lead to."""
    if () in paths or not isinstance(value, dict):
        return value
    kept = {path[0]: {p[1:] for p in paths if p[0] == path[0]} for path in paths}
    return {key: _cut(item, kept[key]) for key, item in value.items() if key in kept}


def test_no_case_reads_a_root_that_analysis_did_not_name() -> None:
    for row in cases("peer.jsonl") + cases("later.jsonl"):
        references: References = analyse(row["template"])
        variables = Recorder(value_of(row.get("vars", {})))
        with contextlib.suppress(InvalidExpression):
            Renderer(still_context()).text(row["template"], variables)
        # Loop variables and `locale` are looked up as well before they are found elsewhere.
        extra = variables.asked - references.roots
        assert references.dynamic or not (extra & set(row.get("vars", {}))), row["template"]


def test_every_case_renders_alike_with_the_variables_cut_to_its_paths() -> None:
    compared = 0
    for row in cases("peer.jsonl") + cases("later.jsonl"):
        references = analyse(row["template"])
        if "expected" not in row or "vars" not in row or references.dynamic:
            continue
        variables = value_of(row["vars"])
        cut = _cut(variables, set(references.paths))
        rendered = Renderer(still_context()).text(row["template"], cut)
        assert rendered == row["expected"], row["template"]
        compared += 1
    assert compared > 100


def test_a_template_that_can_never_render_is_refused_before_it_runs() -> None:
    check("{{ a.b | upper }}")
    check("plain")
    for template in (
        "{{ a | nowhere }}",
        "{{ a",
        "{% if %}",
        "{{ a is nowhere }}",
        "{{ " + "(" * 999,
    ):
        with pytest.raises(InvalidExpression):
            check(template)
