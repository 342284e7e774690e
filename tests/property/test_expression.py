"""Any template ends in text or `InvalidExpression`, soon, and never shows a piece of Python."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.expression.support import still_context

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.access import METHODS
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.parser import BINARY, UNARY
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.table import TABLE
from tiercel_engine.expression.values import Float32, MapEntry

VARIABLES: dict[str, Any] = {
    "a": {"b": 1, "c": [1, "x", None]},
    "s": "text {{ n }}",
    "n": 5,
    "f": 1.5,
    "l": [3, 1, 2],
    "z": None,
}
NAMES = st.sampled_from([*VARIABLES, "missing", "loop", "__class__", "_private"])
ATTRIBUTES = st.sampled_from(["b", "c", "__class__", "__init__", "size", "mro", "format", "key"])
FILTERS = st.sampled_from(sorted(name for kind, name in TABLE if kind == "filter"))
FUNCTIONS = st.sampled_from(sorted(name for kind, name in TABLE if kind == "function"))
TESTS = st.sampled_from(sorted(name for kind, name in TABLE if kind == "test"))
LITERALS = st.sampled_from(
    [
        "1",
        "0",
        "2.5",
        "'x'",
        '"y#{n}"',
        "true",
        "null",
        "[]",
        "[1, 'a']",
        "{'k': 1}",
        "'2024-05-06'",
    ]
)
OPERATORS = st.sampled_from([op for op in BINARY if op not in ("|", "is", "is not")])


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    args = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, OPERATORS, inner).map(" ".join),
        st.tuples(inner, FILTERS, args).map(lambda p: f"({p[0]}) | {p[1]}({p[2]})"),
        st.tuples(inner, FILTERS).map(lambda p: f"({p[0]}) | {p[1]}"),
        st.tuples(FUNCTIONS, args).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, TESTS).map(lambda p: f"({p[0]}) is {p[1]}"),
        st.tuples(inner, ATTRIBUTES).map(lambda p: f"({p[0]}).{p[1]}"),
        st.tuples(inner, ATTRIBUTES, args).map(lambda p: f"({p[0]}).{p[1]}({p[2]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}]"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]}) ? {p[1]} : {p[2]}"),
        st.tuples(st.sampled_from(sorted(UNARY)), inner).map(" ".join),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, LITERALS), _expressions, max_leaves=12)
STATEMENTS = st.one_of(
    st.text(string.printable, max_size=10),
    EXPRESSIONS.map(lambda e: f"{{{{ {e} }}}}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda p: f"{{% if {p[0]} %}}{{{{ {p[1]} }}}}{{% endif %}}"
    ),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda p: f"{{% for x in {p[0]} %}}{{{{ {p[1]} }}}}{{% endfor %}}"
    ),
    EXPRESSIONS.map(lambda e: f"{{% set a = {e} %}}"),
)
TEMPLATES = st.lists(STATEMENTS, max_size=4).map("".join)
NOISE = st.text(st.sampled_from("{}%#-|.'\"[]()?:~ ab1\n\\" + "é"), max_size=60)
PIECES = "{{ }} {% %} {# #} a if endif for x in ' \" #{ ?? | raw -"
SOUP = st.lists(st.sampled_from(PIECES.split()), max_size=20).map(" ".join)


def _rendered(template: str, variables: dict[str, Any]) -> str:
    try:
        return Renderer(still_context()).text(template, variables)
    except InvalidExpression as e:
        return str(e).removesuffix(f"({template}:{e.line})").replace(template, "")


def _shows_python(text: str) -> bool:
    marks = ("<class", "<function", "<bound", "object at 0x", "Traceback", "tiercel_engine")
    return any(mark in text for mark in marks)


RELAXED = settings(
    deadline=2_000, max_examples=300, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@RELAXED
@given(TEMPLATES)
def test_a_well_formed_template_gives_text_or_a_refusal(template: str) -> None:
    assert not _shows_python(_rendered(template, VARIABLES))


@RELAXED
@given(st.one_of(NOISE, SOUP))
def test_noise_gives_text_or_a_refusal(template: str) -> None:
    assert not _shows_python(_rendered(template, VARIABLES))


@RELAXED
@given(TEMPLATES)
def test_analysis_never_fails_and_says_the_same_twice(template: str) -> None:
    assert analyse(template) == analyse(template)


@RELAXED
@given(TEMPLATES)
def test_the_typed_value_never_fails_otherwise(template: str) -> None:
    try:
        Renderer(still_context()).value(template, VARIABLES)
    except InvalidExpression:
        return


#: One of each kind, at its edges.
ODD: dict[str, Any] = {
    "o0": None,
    "o1": True,
    "o2": -1,
    "o3": 2**70,
    "o4": 10**1500,
    "o5": float("nan"),
    "o6": float("-inf"),
    "o7": 1e308,
    "o8": Decimal("1E+400"),
    "o9": Decimal("NaN"),
    "o10": "",
    "o11": "a\ud800b\x00",
    "o12": "[1, {'a': 2}]",
    "o13": "2024-02-30T99:00:00Z",
    "o14": [],
    "o15": [None, 1, "a", [1], {"k": None}],
    "o16": {},
    "o17": {1: "one", None: 2, "k": [1], (1, 2): 3},
    "o18": {1, 2},
    "o19": MapEntry("k", [1]),
    "o20": datetime.min,
    "o21": datetime.max.replace(tzinfo=UTC),
    "o22": date.max,
    "o23": time(1, 2, 3),
    "o24": timedelta.max,
    "o25": b"\xff\x00",
    "o26": object(),
    "o27": Float32(1.5),
    "o28": "yyyy-MM-dd'T",
    "o29": "9999-12-31T23:59:59.999999-18:00",
}


def _takes_anything(template: str) -> None:
    assert not _shows_python(_rendered(template, ODD))


@pytest.mark.parametrize(("kind", "name"), sorted(TABLE))
def test_every_name_takes_any_value_or_refuses_it(kind: str, name: str) -> None:
    names = list(ODD)
    most = min(len(TABLE[kind, name].parameters), 3)  # type: ignore[index]
    for index, first in enumerate(names):
        for step in (0, 1, 7, 11) if most else (0,):
            given = [names[(index + step * k) % len(names)] for k in range(1, most + 1)]
            for args in (", ".join(given[:count]) for count in range(most + 1)):
                if kind == "function":
                    _takes_anything(f"{{{{ {name}({args}) }}}}")
                elif kind == "filter":
                    _takes_anything(f"{{{{ {first} | {name}({args}) }}}}")
                else:
                    _takes_anything(f"{{{{ {first} is {name} }}}}")


@pytest.mark.parametrize("operator", [op for op in BINARY if op not in ("|", "is", "is not")])
def test_every_operator_takes_any_two_values_or_refuses_them(operator: str) -> None:
    for left in ODD:
        for right in ODD:
            _takes_anything(f"{{{{ {left} {operator} {right} }}}}")


def test_every_value_takes_any_key_or_refuses_it() -> None:
    for target in ODD:
        _takes_anything(f"{{{{ {target}.k }}}}{{{{ -{target} }}}}{{{{ +{target} }}}}")
        _takes_anything(f"{{% for x in {target} %}}{{{{ x }}}}{{% endfor %}}")
        for key in ODD:
            _takes_anything(f"{{{{ {target}[{key}] }}}}")


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_every_method_takes_any_value_or_refuses_it(kind: str) -> None:
    for name in METHODS[kind]:
        for target in ODD:
            _takes_anything(f"{{{{ {target}.{name}() }}}}")
            for arg in ODD:
                _takes_anything(f"{{{{ {target}.{name}({arg}) }}}}")
                _takes_anything(f"{{{{ {target}.{name}({arg}, {arg}) }}}}")


@RELAXED
@given(st.text(max_size=80).filter(lambda text: "{" not in text))
def test_a_text_without_a_brace_is_itself(text: str) -> None:
    assert Renderer().text(text, {}) is text


@RELAXED
@given(st.text(max_size=40))
def test_any_text_survives_as_a_variable(text: str) -> None:
    assert Renderer().text("<{{ t }}>", {"t": text}) == f"<{text}>"
