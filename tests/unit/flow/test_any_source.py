"""Whatever somebody sends, it is a flow or it is refused as one; nothing else comes out."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.flow.flow_types import HEAD, TYPES, load

from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.inputs import examine
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.validate import notices

KEYS = st.sampled_from(
    [*Flow.known_properties(), "id", "type", "values", "cases", "conditions", "name", "retry", "x"]
)
TYPE_NAMES = st.sampled_from(
    ["test.Say", "io.kestra.plugin.core.trigger.Flow", "INT", "SELECT", "DATE", "constant"]
    + [f"io.kestra.plugin.core.flow.{name}" for name in ("Switch", "Dag", "ForEachItem", "Pause")]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | TYPE_NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TASK = {"id": "a", "type": "test.Say", "message": "m"}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_any_properties_give_a_flow_or_a_refusal(extra: dict[str, Any], lenient: bool) -> None:
    source = yaml.safe_dump({"id": "greet", "namespace": "team", "tasks": [TASK], **extra})
    with contextlib.suppress(InvalidFlow):
        flow = load(source, lenient=lenient)
        msgspec.json.encode(flow.properties)
        notices(flow, TYPES.replacement)
        examine(flow.inputs, dict.fromkeys((each.id for each in flow.inputs), "x"))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_a_flow_or_a_refusal(text: str) -> None:
    for source in (text, HEAD + text, HEAD + "description: " + text):
        with contextlib.suppress(InvalidFlow):
            load(source)
