"""Outputs in their types, and JSON inputs against their schemas."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tiercel_engine.errors import InvalidExpression, InvalidFlow, InvalidInput
from tiercel_engine.expression.values import Float32, Long
from tiercel_engine.flow.inputs import resolve
from tiercel_engine.flow.model import Flow, Output
from tiercel_engine.flow.outputs import typed_outputs
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.registry import PluginRegistry

TYPES = PluginRegistry.load()


def _output(kind: str, **more: Any) -> Output:
    return Output.model_validate({"id": "o", "type": kind, "value": "{{ x }}", **more})


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("STRING", {"value": "a"}, '{"value":"a"}'),
        ("STRING", 3, "3"),
        ("STRING", Long(3), "3"),
        ("STRING", Decimal("1.50"), "1.50"),
        ("INT", Long(3), 3),
        ("JSON", {"n": [Long(3), Float32(0.5)]}, {"n": [3, 0.5]}),
        ("INT", "42", 42),
        ("FLOAT", "1.5", 1.5),
        ("BOOL", "TRUE", True),
        ("JSON", '{"a": [1]}', {"a": [1]}),
        ("ARRAY", ["a", "b"], ["a", "b"]),
        ("DATETIME", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ("DURATION", "PT90S", "PT1M30S"),
        ("INT", None, None),
    ],
)
def test_an_output_has_its_type(kind: str, value: Any, typed: Any) -> None:
    (found,) = typed_outputs([_output(kind)], {"o": value}, None).values()

    assert found == typed
    assert type(found) is type(typed)


def test_elements_of_an_output_have_their_type() -> None:
    assert typed_outputs([_output("ARRAY", itemType="INT")], {"o": '["1", 2]'}, None) == {
        "o": [1, 2]
    }


def test_an_output_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidExpression, match=r"Invalid output for `o`, .*received `many`"):
        typed_outputs([_output("INT")], {"o": "many"}, None)


def test_a_secret_output_is_sealed_and_never_shown() -> None:
    sealed = typed_outputs([_output("SECRET")], {"o": "hush"}, lambda text: {"sealed": len(text)})
    assert sealed == {"o": {"sealed": 4}}
    with pytest.raises(InvalidExpression, match="encryption key") as refused:
        typed_outputs([_output("SECRET")], {"o": "hush"}, None)
    assert "hush" not in str(refused.value)


def _flow(schema: str) -> Flow:
    return load_flow(
        f"""id: f
namespace: acme
inputs:
  - id: order
    type: JSON
    jsonSchema: {schema}
tasks:
  - {{id: t, type: io.kestra.plugin.core.log.Log, message: hi}}
""",
        TYPES,
    )


PIECES = "{type: object, required: [pieces], properties: {pieces: {type: integer, minimum: 1}}}"


@pytest.mark.parametrize("schema", [PIECES, """'{"required": ["pieces"]}'"""])
def test_a_json_input_is_what_its_schema_describes(schema: str) -> None:
    inputs = _flow(schema).inputs
    assert resolve(inputs, {"order": '{"pieces": 2}'}) == {"order": {"pieces": 2}}
    with pytest.raises(InvalidInput, match=r"it must match its JSON schema: .*'pieces' is a requ"):
        resolve(inputs, {"order": "{}"})


def test_every_fault_of_a_json_input_is_placed() -> None:
    with pytest.raises(InvalidInput, match=r"\$.pieces: 0 is less than the minimum of 1"):
        resolve(_flow(PIECES).inputs, {"order": {"pieces": 0}})


def test_what_is_no_schema_is_refused_when_the_flow_is_saved() -> None:
    with pytest.raises(InvalidFlow, match="order: jsonSchema: Expected a JSON schema"):
        _flow("{type: nothing}")


def test_a_schema_elsewhere_is_not_fetched() -> None:
    inputs = _flow("{$ref: 'http://localhost:1/schema.json'}").inputs
    with pytest.raises(InvalidInput, match="cannot be compared with its JSON schema"):
        resolve(inputs, {"order": {}})


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        ("^a+$", "ab", "'ab' does not match '\\^a\\+\\$'"),
        ("^(a|aa)+$", "a" * 60 + "b", "takes too long to match"),
    ],
)
def test_a_pattern_of_a_schema_is_compared_but_not_for_long(
    pattern: str, text: str, told: str
) -> None:
    inputs = _flow(f"{{type: string, pattern: '{pattern}'}}").inputs
    with pytest.raises(InvalidInput, match=told):
        resolve(inputs, {"order": f'"{text}"'})
