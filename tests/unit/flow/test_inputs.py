"""Given values to the inputs of an execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.flow.flow_types import FLOW, load, refusal

from tiercel_engine.errors import InvalidExpression, InvalidInput
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.inputs import InputOutcome, examine, resolve_inputs, without_missing
from tiercel_engine.flow.model import Flow


def flow_with(*inputs: str) -> Flow:
    return load(FLOW + "inputs:\n" + "".join(f"  - {{{text}}}\n" for text in inputs))


def resolved(definition: str, value: Any, **options: Any) -> Any:
    """The value of the one input `x`."""
    return resolve_inputs(flow_with(f"id: x, {definition}"), {"x": value}, **options)["x"]


def reason(definition: str, value: Any, **options: Any) -> str:
    """Why the value of the one input `x` is refused."""
    with pytest.raises(InvalidInput) as caught:
        resolved(definition, value, **options)
    (violation,) = caught.value.violations
    assert violation.path == "x"
    assert violation.message == str(caught.value)
    return violation.message


@pytest.mark.parametrize(
    ("definition", "given", "value"),
    [
        ("type: STRING", "a", "a"),
        ("type: STRING", "", ""),
        ("type: STRING", 12, "12"),
        ("type: STRING", True, "true"),
        ("type: STRING, validator: 'A\\d+'", "A12", "A12"),
        ("type: INT", "42", 42),
        ("type: INT", -3, -3),
        ("type: INT, min: 1, max: 3", "3", 3),
        ("type: FLOAT", "42.42", 42.42),
        ("type: FLOAT", "1e3", 1000.0),
        ("type: FLOAT", 2, 2.0),
        ("type: BOOLEAN", "TRUE", True),
        ("type: BOOL", False, False),
        ("type: DATETIME", "2019-10-06T18:27:49Z", "2019-10-06T18:27:49Z"),
        ("type: DATETIME", "2019-10-06T18:27:49.5+02:00", "2019-10-06T16:27:49.500Z"),
        ("type: DATE", "2019-10-06", "2019-10-06"),
        ("type: TIME", "18:27", "18:27:00"),
        ("type: TIME", "18:27:01.500", "18:27:01.500"),
        ("type: DURATION", "PT90S", "PT1M30S"),
        ("type: DURATION", 2.5, "PT2.5S"),
        ("type: FILE", "kestra:///a/b.csv", "kestra:///a/b.csv"),
        ("type: FILE, allowedFileExtensions: [.CSV]", "kestra:///b.csv", "kestra:///b.csv"),
        ("type: JSON", '{"a": [1]}', {"a": [1]}),
        ("type: JSON", [1], [1]),
        ("type: YAML", "a: [on, 2024-01-01]", {"a": ["on", "2024-01-01"]}),
        ("type: URI", "https://example.org/a?b", "https://example.org/a?b"),
        ("type: EMAIL", "a.b@example.org", "a.b@example.org"),
        ("type: ARRAY, itemType: INT", '["1", 2]', [1, 2]),
        ("type: ARRAY, itemType: DATE", ["2024-01-01"], ["2024-01-01"]),
        ("type: SELECT, values: [a, 1]", "1", "1"),
        ("type: SELECT, values: [{label: A, value: a}]", "a", "a"),
        ("type: SELECT, values: [a], allowCustomValue: true", "b", "b"),
        ("type: ENUM, values: [a]", "a", "a"),
        ("type: MULTISELECT, values: [a, b, c]", '["a", "c"]', ["a", "c"]),
        ("type: MULTISELECT, options: [1, 2], itemType: INT", [2], [2]),
    ],
)
def test_a_value_gets_its_type(definition: str, given: Any, value: Any) -> None:
    result = resolved(definition, given)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("definition", "given", "why"),
    [
        ("type: STRING, validator: '(a|aa)+b'", "a" * 60, "it takes too long to match the pattern"),
        ("type: INT", "abc", 'For input string: "abc"'),
        ("type: INT", "1.5", 'For input string: "1.5"'),
        ("type: INT", "9" * 30, f'For input string: "{"9" * 30}"'),
        ("type: INT", True, 'For input string: "true"'),
        ("type: INT, min: 10", "9", "it must be more than `10`"),
        ("type: INT, max: 20", "21", "it must be less than `20`"),
        ("type: FLOAT, min: 0.1", "0.01", "it must be more than `0.1`"),
        ("type: FLOAT", "nan", 'For input string: "nan"'),
        ("type: FLOAT", "1e400", 'For input string: "1e400"'),
        ("type: BOOLEAN", "maybe", "Expected `true` or `false`"),
        ("type: STRING, validator: 'A\\d+'", "B1", "it must match the pattern `A\\d+`"),
        ("type: DATETIME", "2019-10-06", "Text '2019-10-06' could not be parsed"),
        ("type: DATETIME", "2019-10-06T10:00:00", "Text '2019-10-06T10:00:00' could not be parsed"),
        ("type: DATE", "2019-02-30", "Text '2019-02-30' could not be parsed"),
        ("type: DATE, after: 2023-01-01", "2022-12-31", "it must be after `2023-01-01`"),
        ("type: DATE, before: 2023-12-31", "2024-01-01", "it must be before `2023-12-31`"),
        ("type: TIME, after: '01:00:00'", "00:00:01", "it must be after `01:00`"),
        ("type: DURATION", "soon", "Text 'soon' cannot be parsed to a Duration"),
        ("type: DURATION, min: PT10S", "PT1S", "It must be more than `PT10S`"),
        ("type: DURATION, max: PT20S", "PT30S", "It must be less than `PT20S`"),
        ("type: URI", "http:/bla", "Expected `URI` but received `http:/bla`"),
        ("type: EMAIL", "a@b", "The input must be a valid email"),
        ("type: SELECT, values: [a, b]", "c", "it must match the values `[a, b]`"),
        ("type: MULTISELECT, values: [a, b]", '["a","c"]', "it must match the values `[a, b]`"),
        ("type: ARRAY, itemType: INT", "12", "Expected a list, or a list as JSON text"),
        (
            "type: ARRAY, itemType: INT",
            '["s1", "s2"]',
            "Unable to parse array element as `INT` on `s1`",
        ),
        ("type: FILE, allowedFileExtensions: [.csv]", "kestra:///a.txt", "it must have one of"),
        ("type: FILE", "/etc/passwd", "Expected the address of a stored file"),
        ("type: JSON", "{", "Expected JSON, but Input data was truncated"),
        ("type: JSON", "[" * 100_000, "Expected JSON, but"),
        ("type: YAML", "a: [", "Expected YAML, but"),
    ],
)
def test_a_value_that_its_type_does_not_accept_is_refused(
    definition: str, given: Any, why: str
) -> None:
    message = reason(definition, given)
    assert message.startswith(f"Invalid input for `x`, {why}")
    assert message.endswith("`")
    assert len(message) < 2_500


def test_a_required_input_without_a_value_is_refused() -> None:
    missing = "Invalid input for `x`, missing required input, but received `null`"
    assert reason("type: STRING", None) == missing
    assert reason("type: INT", "") == missing


def test_an_optional_input_without_a_value_is_null_and_unknown_ones_are_ignored() -> None:
    flow = flow_with("id: a, type: INT, required: false", "id: b, type: STRING, defaults: ''")
    assert resolve_inputs(flow, {"zzz": 1}) == {"a": None, "b": ""}


def test_all_problems_are_found_at_once() -> None:
    flow = flow_with("id: a, type: INT", "id: b, type: STRING", "id: c, type: STRING")
    with pytest.raises(InvalidInput) as caught:
        resolve_inputs(flow, {"a": "x", "c": "fine"})
    assert [violation.path for violation in caught.value.violations] == ["a", "b"]


def test_dotted_ids_nest_and_may_be_given_either_way() -> None:
    flow = flow_with("id: a.b.c, type: INT", "id: a.d, type: STRING")
    assert resolve_inputs(flow, {"a.b.c": "1", "a.d": "x"}) == {"a": {"b": {"c": 1}, "d": "x"}}
    assert resolve_inputs(flow, {"a": {"b": {"c": 1}, "d": "x"}})["a"]["b"] == {"c": 1}


def test_a_secret_is_encrypted_and_never_shown() -> None:
    assert resolved("type: SECRET", "hush", encrypt=lambda text: {"value": text[::-1]}) == {
        "value": "hsuh"
    }
    message = reason("type: SECRET, validator: '[0-9]+'", "hush", encrypt=str)
    assert "hush" not in message
    assert "********" in message


def test_a_secret_without_an_encryption_key_is_refused() -> None:
    assert "encryption key" in reason("type: SECRET", "hush")


def render(value: Any, variables: Mapping[str, Any]) -> Any:
    """Knows two templates: an input by its id, and a broken one."""
    if value == "{{ broken }}":
        raise InvalidExpression("It does not render", value)
    if isinstance(value, str) and value.startswith("{{"):
        return variables["inputs"].get(value.strip("{ }"))
    return value


def test_defaults_and_offered_values_see_the_inputs_they_depend_on() -> None:
    flow = flow_with(
        "id: copy, type: STRING, defaults: '{{ first }}', dependsOn: {inputs: [first]}",
        "id: pick, type: SELECT, expression: '{{ offered }}', dependsOn: {inputs: [offered]}",
        "id: first, type: STRING",
        "id: offered, type: JSON",
    )
    given = {"first": "1", "offered": '["a", "b"]', "pick": "b"}

    inputs = resolve_inputs(flow, given, render=render)

    assert inputs == {"copy": "1", "pick": "b", "first": "1", "offered": ["a", "b"]}
    assert list(inputs) == ["copy", "pick", "first", "offered"]
    with pytest.raises(InvalidInput, match="it must match the values `\\[a, b\\]`"):
        resolve_inputs(flow, {**given, "pick": "c"}, render=render)


def test_defaults_stay_as_written_without_a_renderer() -> None:
    assert resolved("type: STRING, defaults: '{{ x }}'", None) == "{{ x }}"


def test_an_input_whose_condition_does_not_hold_is_absent_even_when_required() -> None:
    flow = flow_with(
        "id: ask, type: BOOL",
        "id: more, type: STRING, dependsOn: {inputs: [ask], condition: '{{ ask }}'}",
        "id: most, type: STRING, dependsOn: {inputs: [more]}",
    )
    assert resolve_inputs(flow, {"ask": "false"}, render=render) == {"ask": False}
    given = {"ask": "true", "more": "a", "most": "b"}
    assert resolve_inputs(flow, given, render=render) == {"ask": True, "more": "a", "most": "b"}


def test_an_expression_that_does_not_render_refuses_its_input() -> None:
    message = reason("type: STRING, defaults: '{{ broken }}'", None, render=render)
    assert message.startswith("Invalid input for `x`, It does not render")


def test_the_first_offered_value_may_be_selected_by_itself() -> None:
    assert resolved("type: SELECT, values: [b, a], autoSelectFirst: true", None) == "b"


def test_examining_inputs_tells_what_becomes_of_each_and_raises_nothing() -> None:
    flow = flow_with(
        "id: a, type: INT",
        "id: b, type: STRING, dependsOn: {inputs: [a], condition: '{{ nothing }}'}",
        "id: c, type: INT",
    )
    a, b, c = flow.inputs

    assert examine(flow.inputs, {"a": "x", "c": "3"}, render=render) == [
        InputOutcome(a, problem='Invalid input for `a`, For input string: "x", but received `x`'),
        InputOutcome(b, enabled=False),
        InputOutcome(c, value=3),
    ]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("type: FOO", "Invalid type: FOO"),
        ("type: STRING, validator: '['", "must be a regular expression"),
        ("type: DATE, after: tomorrow", "could not be parsed"),
        ("type: DURATION, min: long", "cannot be parsed to a Duration"),
        ("type: ARRAY", "inputs[0].itemType: must not be null"),
        ("type: ARRAY, itemType: ARRAY", "itemType must be one of"),
        ("type: SELECT", "either `values` or `expression` must be set"),
        ("type: SELECT, values: [a], expression: b", "either `values` or `expression`"),
        ("type: INT, min: low", "java.lang.Integer"),
        ("type: INT, validator: a", 'Unrecognized field "validator"'),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused_when_the_flow_is_saved(
    definition: str, words: str
) -> None:
    assert words in str(refusal(FLOW + f"inputs:\n  - {{id: x, {definition}}}"))


def test_a_stored_flow_with_a_cycle_among_its_inputs_still_resolves() -> None:
    flow = load(FLOW + "inputs: [{id: a, type: INT, dependsOn: {inputs: [a]}}]", lenient=True)
    assert resolve_inputs(flow, {"a": "1"}) == {"a": 1}


FORMS = """\
inputs:
  - id: kind
    type: SELECT
    values: [small, large]
    defaults: small
  - id: place
    type: FORM
    displayName: Where
    inputs:
      - {id: region, type: SELECT, values: [EU, US]}
      - id: zone
        type: STRING
        defaults: "{{ inputs.place.region }}-1"
        dependsOn: {inputs: [place.region]}
  - id: disk
    type: FORM
    dependsOn: {inputs: [kind], condition: "{{ inputs.kind == 'large' }}"}
    inputs:
      - {id: gigabytes, type: INT, min: 1}
"""


def _rendered(template: Any, variables: Mapping[str, Any]) -> Any:
    return Renderer().value(template, variables)


def test_the_inputs_of_a_form_are_values_under_its_id() -> None:
    flow = load(FLOW + FORMS)

    def given(**values: Any) -> Any:
        named = {name.replace("__", "."): value for name, value in values.items()}
        return resolve_inputs(flow, named, render=_rendered)

    assert given(place__region="EU") == {
        "kind": "small",
        "place": {"region": "EU", "zone": "EU-1"},
    }
    nested = given(kind="large", place={"region": "US"}, disk={"gigabytes": "7"})
    assert nested["disk"] == {"gigabytes": 7}
    with pytest.raises(InvalidInput) as caught:
        given(kind="large", place__region="AU", disk__gigabytes=0)
    assert [violation.path for violation in caught.value.violations] == [
        "place.region",
        "disk.gigabytes",
    ]


def test_a_form_is_shown_as_it_was_written() -> None:
    flow = load(FLOW + FORMS)
    assert [each.id for each in flow.inputs] == [
        "kind",
        "place.region",
        "place.zone",
        "disk.gigabytes",
    ]
    shown = flow.properties["inputs"][1]
    assert (shown["id"], shown["type"], shown["displayName"]) == ("place", "FORM", "Where")
    assert [each["id"] for each in shown["inputs"]] == ["region", "zone"]
    assert flow.dialect.name == "2.0"


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("{id: f, type: FORM, inputs: []}", "place: forms cannot be nested"),
        ("{id: a, type: STRING, dependsOn: {inputs: [b]}}", "non-existent input [b]"),
        ("{id: a, type: NUMBER}", "Invalid type: NUMBER"),
    ],
)
def test_what_a_form_cannot_hold_is_refused(inner: str, message: str) -> None:
    source = f"inputs:\n  - id: place\n    type: FORM\n    inputs: [{inner}]\n"
    assert message in str(refusal(FLOW + source))


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("type: SELECT, values: [a, b]", "a"),
        ("type: SELECT, values: [{label: One, value: a}, b]", "a"),
        ("type: SELECT, expression: \"{{ [{'label': 'One', 'value': 'a'}, 'b'] }}\"", "a"),
        ("type: MULTISELECT, values: [a, b]", ["a"]),
        ("type: MULTISELECT, values: ['1', '2'], itemType: INT", [1]),
    ],
)
def test_the_first_of_the_offered_values_may_be_chosen(definition: str, value: Any) -> None:
    flow = flow_with(f"id: x, {definition}, autoSelectFirst: true")
    assert resolve_inputs(flow, {}, render=_rendered) == {"x": value}
    assert resolve_inputs(flow, {"x": value}, render=_rendered) == {"x": value}


def test_what_is_missing_may_be_left_out_but_nothing_that_is_nested() -> None:
    inputs = load(FLOW + FORMS).inputs

    def asked(given: dict[str, Any]) -> list[str]:
        return [each.id for each in without_missing(inputs, given)]

    assert asked({}) == ["kind", "place.zone"]
    assert asked({"place": {"region": "EU"}}) == ["kind", "place.region", "place.zone"]
    assert asked({"place.region": None}) == ["kind", "place.region", "place.zone"]
    assert asked({"place": "EU", "disk": {"gigabytes": 1}}) == [
        "kind",
        "place.zone",
        "disk.gigabytes",
    ]
