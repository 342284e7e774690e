"""Tables of templates with known answers: what the peer gave, and what its later versions give."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.expression.support import cases, still_context, value_of

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.parser import BINARY, UNARY
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.statements import TAG_NAMES
from tiercel_engine.expression.table import TABLE

TABLES = ("peer.jsonl", "later.jsonl", "dates.jsonl", "numbers.jsonl")
ROWS = [(name, row) for name in TABLES for row in cases(name)]
#: What needs the world is tested with a world, in `test_world.py`.
WORLDLY = {name for (_, name), row in TABLE.items() if row.needs_io}


@pytest.mark.parametrize(
    ("row"), [row for _, row in ROWS], ids=[f"{name}:{i}" for i, (name, _) in enumerate(ROWS)]
)
def test_a_template_gives_the_known_answer(row: dict[str, Any]) -> None:
    renderer = Renderer(still_context())
    variables = value_of(row.get("vars", {}))

    if row.get("error"):
        with pytest.raises(InvalidExpression) as caught:
            renderer.text(row["template"], variables)
        assert "missing" not in row or caught.value.missing == row["missing"]
        assert caught.value.line >= 1
    else:
        assert renderer.text(row["template"], variables) == row["expected"]


def test_the_tables_hold_at_least_four_hundred_cases() -> None:
    assert len(ROWS) >= 400


@pytest.mark.parametrize(("kind", "name"), sorted(TABLE))
def test_every_registered_name_has_a_case(kind: str, name: str) -> None:
    before = {"filter": r"\|\s*", "function": r"(?<![\w|.])", "test": r"\bis\s+(?:not\s+)?"}[kind]
    used = re.compile(before + re.escape(name) + (r"\(" if kind == "function" else r"\b"))

    assert name in WORLDLY or any(used.search(row["template"]) for _, row in ROWS)


@pytest.mark.parametrize("operator", [*BINARY, *UNARY, "?"])
def test_every_operator_has_a_case_that_renders(operator: str) -> None:
    edge = r"\b" if operator[0].isalpha() else ""
    used = re.compile(edge + re.escape(operator) + edge)

    assert any(used.search(row["template"]) for _, row in ROWS if "expected" in row)


@pytest.mark.parametrize("tag", TAG_NAMES)
def test_every_tag_has_a_case_that_renders(tag: str) -> None:
    used = re.compile(r"\{%-?\s*" + tag + r"\b")

    assert any(used.search(row["template"]) for _, row in ROWS if "expected" in row)
