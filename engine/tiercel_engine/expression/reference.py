"""The reference page of the language, made from the table of registered names.

`python -m tiercel_engine.expression.reference > docs/expressions.md` writes it anew; a test holds
the file in the repository to what this says.
"""

from __future__ import annotations

from collections.abc import Iterator

from tiercel_engine.expression import library as _library
from tiercel_engine.expression.date_patterns import FORMAT_NAMES
from tiercel_engine.expression.moments import UNITS
from tiercel_engine.expression.parser import BINARY, UNARY
from tiercel_engine.expression.statements import TAG_NAMES
from tiercel_engine.expression.table import REQUIRED, TABLE, Kind, Registered
from tiercel_engine.expression.text import json_text

assert _library.LOADED, "importing the library fills the table of names"

_HEAD = """# Expressions

<!-- Made by tiercel_engine.expression.reference from the table of names. Do not edit. -->

`{{ expression }}` prints, `{% tag %}` steers, `{# #}` is a comment. A missing variable is an error
that names it; `a ?? b` gives `b` for a missing or null `a`, `a ??? b` only for a missing one.

Whoever renders where nothing may block refuses the functions marked *reads the world*; their
templates are rendered by a worker.
"""


def _signature(row: Registered) -> str:
    parts = []
    for parameter in row.parameters:
        text = parameter.name
        if parameter.default is not REQUIRED:
            text += f"={json_text(parameter.default)}"
        parts.append(text)
    inside = ", ".join(parts) + ("..." if row.variadic else "")
    if row.kind == "filter":
        return f"x | {row.name}({inside})" if parts else f"x | {row.name}"
    return f"{row.name}({inside})" if row.kind == "function" else f"x is {row.name}"


def _notes(row: Registered) -> str:
    notes = [f"since {row.since}"] if row.since != "0.13" else []
    if row.until:
        notes.append(f"removed in {row.until}, kept here")
    if row.needs_io:
        notes.append("reads the world")
    if row.alias_of:
        notes.append(f"same as `{row.alias_of}`")
    return f" *({', '.join(notes)})*" if notes else ""


def _section(title: str, kind: Kind) -> Iterator[str]:
    rows = sorted((row for row in TABLE.values() if row.kind == kind), key=lambda r: r.name.lower())
    yield f"\n## {title}\n\n| Name | What it gives |\n| --- | --- |\n"
    for row in rows:
        signature = _signature(row).replace("|", "\\|")
        yield f"| `{signature}` | {row.doc.replace('|', chr(92) + '|')}{_notes(row)} |\n"


def markdown() -> str:
    """The whole page."""
    out = [_HEAD, "\n## Operators\n\nFrom the weakest to the strongest; all bind to the left.\n\n"]
    levels: dict[int, list[str]] = {}
    for operator, precedence in {**BINARY}.items():
        levels.setdefault(precedence, []).append(operator)
    out.append("1. `condition ? then : otherwise`\n")
    for rank, precedence in enumerate(sorted(levels), 2):
        out.append(f"{rank}. {' '.join(f'`{operator}`' for operator in levels[precedence])}\n")
    unary = " ".join(f"`{operator}`" for operator in UNARY)
    out.append(f"{len(levels) + 2}. {unary} before their operand\n")
    out.append("\n## Tags\n\n" + ", ".join(f"`{tag}`" for tag in TAG_NAMES) + "\n")
    out.extend(_section("Functions", "function"))
    out.extend(_section("Filters", "filter"))
    out.extend(_section("Tests", "test"))
    out.append("\n## Dates\n\n`format` is a Java `DateTimeFormatter` pattern or one of ")
    out.append(", ".join(f"`{name}`" for name in FORMAT_NAMES) + ".\n\nUnits of `dateAdd`: ")
    out.append(", ".join(f"`{unit}`" for unit in UNITS) + ".\n")
    return "".join(out)


if __name__ == "__main__":
    print(markdown(), end="")
