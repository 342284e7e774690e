"""The flows of docs/flows.md are what the page says they are."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.inputs import resolve_inputs
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.registry import GROUP, PluginRegistry

PAGE = (Path(__file__).parents[3] / "docs" / "flows.md").read_text()
MODULES = (
    "tiercel_worker.tasks",
    "tiercel_engine.plugin.flowables",
    "tiercel_engine.plugin.triggers",
    "tiercel_worker.triggers",
)
TYPES = PluginRegistry.load([EntryPoint(module, module, GROUP) for module in MODULES])


def blocks(fence: str) -> list[str]:
    """The code blocks that open with this fence."""
    return re.findall(rf"^```{fence}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("source", blocks("yaml"))
def test_a_flow_of_the_guide_is_valid(source: str) -> None:
    assert load_flow(source, TYPES).namespace == "docs.examples"


def test_the_refused_flow_of_the_guide_is_refused_as_it_says() -> None:
    (source,) = blocks("yaml refused")
    with pytest.raises(InvalidFlow) as caught:
        load_flow(source, TYPES)
    (shown,) = re.findall(r"^    (Unrecognized field .*)$", PAGE, re.MULTILINE)
    assert str(caught.value).startswith(shown)


def test_the_guide_has_examples_and_the_inputs_it_shows_resolve() -> None:
    assert len(blocks("yaml")) >= 4
    (source,) = [text for text in blocks("yaml") if text.startswith("id: sign-up")]
    inputs = resolve_inputs(load_flow(source, TYPES), {"age": "3", "address.email": "a@b.org"})
    assert inputs == {"age": 3, "newsletter": False, "address": {"email": "a@b.org"}}
