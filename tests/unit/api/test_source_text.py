"""Texts looked for in sources, and replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiercel_api import source_text
from tiercel_api.source_text import BadSearch, Search, changed

SOURCE = (
    "id: say_hello\r\n"
    "namespace: house\n"
    "inputs:\n"
    "  - {id: hello, type: STRING}\n"
    "tasks:\n"
    "  - id: say\n"
    "    message: Hello, hello\n"
    "triggers: [{id: hello}]\n"
)


@pytest.mark.parametrize(
    ("text", "asked", "places"),
    [
        ("hello", {}, [(1, 8), (4, 9), (7, 13), (7, 20), (8, 16)]),
        ("hello", {"case_sensitive": True}, [(1, 8), (4, 9), (7, 20), (8, 16)]),
        ("hello", {"whole_word": True, "scope": "TASKS"}, [(7, 13), (7, 20)]),
        ("hello", {"scope": "INPUTS"}, [(4, 9)]),
        ("hello", {"scope": "TRIGGERS"}, [(8, 16)]),
        ("h.l+o,", {"is_regex": True}, [(4, 9), (7, 13)]),
        ("h.l+o", {}, []),
        ("z*", {"is_regex": True}, []),
    ],
)
def test_a_text_is_found_by_line_and_column(
    text: str, asked: dict[str, Any], places: list[tuple[int, int]]
) -> None:
    assert [(m.line, m.column) for m in Search(text, **asked).find(SOURCE)] == places


def test_a_replacement_keeps_all_else() -> None:
    search = Search("hello", case_sensitive=True)

    changes = list(search.changes(SOURCE, "$1"))

    assert [(c.line, c.count) for c in changes] == [(1, 1), (4, 1), (7, 1), (8, 1)]
    assert changed(SOURCE, changes) == SOURCE.replace("hello", "$1")


def test_groups_of_a_pattern_stand_in_its_replacement() -> None:
    search = Search(r"(\w+), (?<last>\w+)", is_regex=True, scope="TASKS")

    (change,) = search.changes(SOURCE, "${last} and $1")

    assert change.after == "    message: hello and Hello"


def test_one_match_of_a_line_is_replaced_by_its_column() -> None:
    (change,) = Search("hello").changes(SOURCE, "bye", line=7, column=20)

    assert change.after == "    message: Hello, bye"
    assert list(Search("hello").changes(SOURCE, "bye", line=7, column=1)) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Search(""),
        lambda: Search("x" * 201),
        lambda: Search("(", is_regex=True),
        lambda: Search("x", scope="SHOES"),
        lambda: list(Search("(h)ello", is_regex=True).changes(SOURCE, "$2")),
        lambda: list(Search("hello").changes(SOURCE, "x" * 2_001)),
        lambda: list(Search("(a+)+b", is_regex=True).find("a" * 5_000)),
    ],
)
def test_what_cannot_be_looked_for_is_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(BadSearch):
        ask()


def test_a_search_ends_in_time_however_many_lines_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source_text, "SEARCH_S_MAX", -1.0)

    with pytest.raises(BadSearch, match="narrow"):
        list(Search("a").find("a\n"))


def test_a_source_that_does_not_read_has_no_sections() -> None:
    assert list(Search("a", scope="TASKS").find("tasks: [a")) == []
    assert len(list(Search("a").find("tasks: [a"))) == 2
