"""The renderer: text, values, containers, truth, errors, laziness, rendering inside a render."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.expression.support import still_context

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.context import Dialect, RenderContext
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.values import Float32

renderer = Renderer()
PLUS_TWO = timezone(timedelta(hours=2))


class LazyVariables(Mapping[str, Any]):
    """Computes what it is asked for and remembers the names; refuses to be walked."""

    def __init__(self, **values: Any) -> None:
        self.values_by_name = values
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("variables must not be walked")

    def __len__(self) -> int:
        raise AssertionError("variables must not be counted")


def test_a_text_without_a_brace_is_returned_untouched() -> None:
    text = "plain %} }} # text"

    assert renderer.text(text, {}) is text


def test_variables_are_asked_for_single_names_only() -> None:
    variables = LazyVariables(outputs=LazyVariables(a={"value": 1}), inputs={"x": 2})

    assert renderer.text("{{ outputs.a.value }}{{ inputs.x }}", variables) == "12"
    assert variables.asked == ["outputs", "inputs"]
    assert variables.values_by_name["outputs"].asked == ["a"]


def test_what_is_missing_is_told_with_its_name_its_template_and_its_line() -> None:
    template = "first\nsecond {{ inputs.name }}"

    with pytest.raises(InvalidExpression) as caught:
        renderer.text(template, {"inputs": {}})

    assert (
        str(caught.value) == f"Unable to find `name` used in the expression `{template}` at line 2"
    )
    assert (caught.value.missing, caught.value.line) == ("name", 2)
    assert caught.value.expression == template


@pytest.mark.parametrize(
    ("template", "variables", "missing"),
    [
        ("{{ inputs.invalid }}", {}, "inputs"),
        ("{{ inputs.invalid }}", {"inputs": None}, "inputs"),
        ("{{ inputs.a.b }}", {"inputs": {"a": None}}, "b"),
        ("{{ inputs['a'] }}", {"inputs": {}}, "a"),
        ("{{ inputs[3] }}", {"inputs": [1]}, "3"),
        ("{{ inputs[key].x }}", {"inputs": {"q": {}}, "key": "q"}, "x"),
    ],
)
def test_the_missing_name_is_the_attribute_or_an_absent_root(
    template: str, variables: dict[str, Any], missing: str
) -> None:
    with pytest.raises(InvalidExpression) as caught:
        renderer.text(template, variables)

    assert caught.value.missing == missing


def test_other_errors_carry_the_peers_words_and_the_line() -> None:
    with pytest.raises(InvalidExpression) as caught:
        renderer.text("\n{{ 1 | nowhere }}", {})

    assert str(caught.value) == (
        "io.pebbletemplates.pebble.error.PebbleException: Filter [nowhere] does not exist. "
        "(\n{{ 1 | nowhere }}:2)"
    )
    assert caught.value.line == 2
    assert caught.value.missing is None


class State(Enum):
    """A state as the engine holds it."""

    RUNNING = "running"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (3, "3"),
        (1.0, "1.0"),
        (1e21, "1.0E21"),
        (1.5e-7, "1.5E-7"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Float32(0.10000000149011612), "0.1"),
        (Decimal("1E+3"), "1000"),
        (datetime(2019, 10, 6, 18, 27, 49, tzinfo=UTC), "2019-10-06T18:27:49Z"),
        (datetime(2019, 10, 6, 18, 27, 0, 120000, tzinfo=UTC), "2019-10-06T18:27:00.120Z"),
        (datetime(2019, 10, 6, 18, 27, 0, 123456, tzinfo=UTC), "2019-10-06T18:27:00.123456Z"),
        (datetime(2013, 9, 8, 16, 19, tzinfo=PLUS_TWO), "2013-09-08T16:19+02:00"),
        (
            datetime(2013, 9, 8, 16, 19, tzinfo=ZoneInfo("Europe/Paris")),
            "2013-09-08T16:19+02:00[Europe/Paris]",
        ),
        (datetime(2013, 9, 8, 16, 19), "2013-09-08T16:19"),
        (date(2013, 9, 8), "2013-09-08"),
        (time(18, 27, 49), "18:27:49"),
        (time(1), "01:00"),
        (timedelta(minutes=5, seconds=6), "PT5M6S"),
        (timedelta(days=1), "PT24H"),
        (timedelta(0), "PT0S"),
        (timedelta(seconds=-1.5), "PT-1.5S"),
        (State.RUNNING, "RUNNING"),
        ({"b": 1, "a": [1.0, None, "é/"]}, '{"b":1,"a":[1.0,null,"é/"]}'),
        ([timedelta(seconds=5), b"hi"], '[5.000000000,"aGk="]'),
        ([datetime(2013, 9, 8, 16, 19, tzinfo=PLUS_TWO)], '["2013-09-08T14:19:00Z"]'),
        ((1, 2), "[1,2]"),
        ({5: "x", None: 1}, '{"5":"x","null":1}'),
        ([1e300, float("inf")], '[1.0E300,"Infinity"]'),
    ],
)  # fmt: skip
def test_each_kind_of_value_has_the_peers_text(value: Any, text: str) -> None:
    assert renderer.text("{{ v }}", {"v": value}) == text


def test_a_state_equals_its_name() -> None:
    assert renderer.text("{{ s == 'RUNNING' }}{{ s != 'X' }}", {"s": State.RUNNING}) == "truetrue"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ n }}", 5),
        ("{{ l }}", [1, {"a": None}]),
        ("{{ none_ }}", None),
        ("{{ n > 3 }}", True),
        ("{{ 'a' }}-{{ 'b' }}", "a-b"),
        ("{{ none_ }}x", "x"),
        ("{{ n }} rows", "5 rows"),
        ("{{ n }}{{ n > 3 }}{{ 1.5 }}", "5true1.5"),
        ("{% for i in 1..3 %}{{ i }}{% endfor %}", "123"),
        ("plain", "plain"),
        (5, 5),
        (None, None),
        ({"k": "{{ n }}", "{{ 'x' }}": ["{{ l }}", True]}, {"k": 5, "x": [[1, {"a": None}], True]}),
        ("{% if n > 3 %}{{ l }}{% endif %}", [1, {"a": None}]),
    ],
)
def test_a_single_print_keeps_its_type(template: Any, value: Any) -> None:
    variables = {"n": 5, "l": [1, {"a": None}], "none_": None}

    assert renderer.value(template, variables) == value


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a{{ [1] }}", "Tried to add java.util.ArrayList to java.lang.String"),
        ("{{ [1] }}a", "Tried to add java.lang.String to java.util.ArrayList"),
        ("{{ 1 }}{{ {'a': 1} }}", "Tried to add java.util.LinkedHashMap to java.lang.Long"),
    ],
)
def test_values_that_cannot_be_added_are_refused(template: str, message: str) -> None:
    with pytest.raises(InvalidExpression, match=message):
        renderer.value(template, {})


def test_deep_renders_texts_and_keys_and_leaves_the_rest() -> None:
    value = {"{{ 'k' }}": ["{{ n }}", 7, None, {"m": "{{ n }}"}], "plain": 1.5}

    assert renderer.deep(value, {"n": 5}) == {"k": ["5", 7, None, {"m": "5"}], "plain": 1.5}


def test_keys_that_become_equal_are_refused() -> None:
    with pytest.raises(InvalidExpression, match="unique keys"):
        renderer.deep({"{{ 'k' }}": 1, "k": 2}, {})


@pytest.mark.parametrize(
    "text", ["", "0", "-0", "false", "{{ null }}", "{{ 1 == 2 }}", None, False]
)
def test_the_engines_falsehoods(text: Any) -> None:
    assert renderer.truthy(text, {}) is False


@pytest.mark.parametrize("text", ["1", "no", "null", "{{ 'x' }}", "{{ [] }}", "0.0", True])
def test_all_else_is_true_to_the_engine(text: Any) -> None:
    assert renderer.truthy(text, {}) is True


def test_a_render_that_calls_itself_ends_with_the_peers_words() -> None:
    with pytest.raises(InvalidExpression, match="Too many rendering attempts"):
        renderer.text("{{ render(a) }}", {"a": "{{ render(a) }}"})


def test_renders_may_nest_ninety_deep() -> None:
    variables = {f"v{n}": f"{{{{ renderOnce(v{n + 1}) }}}}." for n in range(90)} | {"v90": "end"}

    assert renderer.text("{{ renderOnce(v0) }}", variables) == "end" + "." * 90


def test_a_text_that_never_settles_ends_with_the_peers_words() -> None:
    flip = {"a": "{{ b }}", "b": "x{{ a }}"}

    with pytest.raises(InvalidExpression, match="Too many rendering attempts"):
        Renderer(RenderContext(dialect=Dialect(recursive=True))).text("{{ a }}", flip)


def test_the_recursive_dialect_renders_until_stable_and_keeps_raw() -> None:
    recursive = Renderer(RenderContext(dialect=Dialect(recursive=True)))

    assert recursive.text("{{ a }}", {"a": "{{ b }}", "b": "end"}) == "end"
    assert recursive.text("{% raw %}{{ a }}{% endraw %}", {"a": "no"}) == "{{ a }}"
    assert recursive.value("{{ a }}", {"a": "{{ n }}", "n": 5}) == 5


def test_the_dialect_decides_about_texts_nulls_and_micros() -> None:
    old = Renderer(RenderContext(dialect=Dialect(text_comparison=False)))
    kept = Renderer(RenderContext(dialect=Dialect(json_null_entries=True)))
    new = Renderer(RenderContext(dialect=Dialect(micro_timestamps=True)))

    with pytest.raises(InvalidExpression, match="greater than comparison"):
        old.text("{{ 'b' > 'a' }}", {})
    assert old.text("{{ {'a': null, 'b': [null]} }}", {}) == '{"b":[null]}'
    assert old.text("{{ {'a': null} | toJson }}", {}) == "{}"
    assert kept.text("{{ {'a': null} | toJson }}", {}) == '{"a":null}'
    assert new.text("{{ '1970-01-01T00:00:01.5Z' | timestampMicro }}", {}) == "1500000"


def test_clock_and_randomness_come_from_the_context() -> None:
    still = Renderer(still_context(zone="Europe/Paris"))

    assert still.text("{{ now('iso_sec') }}", {}) == "2024-05-06T09:08:09+02:00"
    assert still.text("{{ uuid() }}", {}).startswith("018f4c")
    assert Renderer(still_context()).text("{{ id() }}", {}) == Renderer(still_context()).text(
        "{{ id() }}", {}
    )


@pytest.mark.parametrize(
    "call", ["now()", "uuid()", "id()", "ksuid()", "nanoId()", "randomInt(1, 9)"]
)
def test_without_clock_or_randomness_such_functions_say_so(call: str) -> None:
    with pytest.raises(InvalidExpression, match=r"not available here"):
        renderer.text(f"{{{{ {call} }}}}", {})


def test_uuids_are_ordered_by_time_where_there_is_a_clock() -> None:
    early = Renderer(
        RenderContext(now=lambda: datetime(2024, 1, 1, tzinfo=UTC), rng=still_context().rng)
    )
    late = Renderer(
        RenderContext(now=lambda: datetime(2024, 1, 2, tzinfo=UTC), rng=still_context().rng)
    )

    assert early.text("{{ uuid() }}", {}) < late.text("{{ uuid() }}", {})


def test_a_macro_sees_its_arguments_only() -> None:
    with pytest.raises(InvalidExpression) as caught:
        renderer.text("{% macro m() %}{{ secret }}{% endmacro %}{{ m() }}", {"secret": 1})

    assert caught.value.missing == "secret"
