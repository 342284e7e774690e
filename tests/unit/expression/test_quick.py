"""The renderer of places that must not block."""

from __future__ import annotations

from typing import Any

import pytest

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.quick import BlockingExpression, QuickRenderer

renderer = QuickRenderer()


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{ read('a') }}", "read"),
        ("{{ a ?? secret('k') }}", "secret"),
        ("{{ a | jq('repeat(1)') }}", "jq"),
        ("{{ a | split(b) }}", "split"),
        ({"k": ["{{ 'x' | regexMatch('.*a.*b') }}"]}, "regexMatch"),
        ("{{ render(inner) }}", "kv"),
    ],
)
def test_what_may_block_is_refused_by_name(template: Any, name: str) -> None:
    variables = {"a": "1", "b": ",", "inner": "{{ kv('k') }}"}

    with pytest.raises(InvalidExpression, match=rf"'{name}' may .*compute it in a task"):
        renderer.value(template, variables)


def test_all_else_renders_as_ever() -> None:
    assert renderer.text("{{ a | split(',') | jq('.[0]') | first }}", {"a": "1,2"}) == "1"
    assert renderer.value(["{{ n + 1 }}"], {"n": 1}) == [2]
    assert renderer.truthy("{{ n == 1 }}", {"n": 1})


@pytest.mark.timeout(20)
def test_a_match_that_takes_long_is_for_others_to_make() -> None:
    hasty = QuickRenderer(RenderContext(match_s=0.001))
    template = "{{ s | regexMatch('a.*b') }}"

    with pytest.raises(BlockingExpression, match="took longer"):
        hasty.text(template, {"s": "a" * 20_000})
    assert hasty.text(template, {"s": "ab"}) == "true"
