"""The renderer of places that must not block."""

from __future__ import annotations

from typing import Any

import pytest

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.quick import QuickRenderer

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
