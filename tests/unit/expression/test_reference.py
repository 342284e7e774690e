"""The reference page says what the table of names says."""

from __future__ import annotations

from pathlib import Path

from tiercel_engine.expression.reference import markdown
from tiercel_engine.expression.table import TABLE

PAGE = Path(__file__).parents[3] / "docs" / "expressions.md"


def test_the_page_in_the_repository_is_current() -> None:
    assert PAGE.read_text("utf-8") == markdown()


def test_every_name_stands_on_the_page_with_a_sentence() -> None:
    page = markdown()

    for (_, name), row in TABLE.items():
        assert name in page
        assert row.doc.endswith(".")
        assert len(row.doc) > 4
