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

#: The variables: name, when there is one, what it holds.
_VARIABLES = (
    ("`flow`", "always", "id, namespace, revision, tenantId"),
    (
        "`execution`",
        "in an execution",
        "id, startDate, originalId, state; its end: endDate, outputs",
    ),
    ("`task`", "in a task", "id, type"),
    ("`taskrun`", "in a task", "id, startDate, attemptsCount, parentId, value, iteration"),
    ("`inputs`", "if there are any", "the typed inputs; dotted ids are nested"),
    ("`outputs`", "in an execution", "task id, in eaches each value around it, the task's outputs"),
    ("`tasks`", "in an execution", "task id, in eaches the value, then `state`"),
    ("`parent`, `parents`", "inside flowables", "nearest first: taskrun.value, outputs"),
    ("`item`", "inside a Loop", "value, index, key, parent, parents"),
    ("`trigger`", "if one started it", "its variables; `schedule` is the same after a schedule"),
    ("`labels`", "if there are any", "labels by key"),
    ("`vars`", "if there are any", "the flow's variables as written: use `render()`"),
    ("`error`", "after a failure", "taskId, message, stackTrace of the last failed task"),
    ("`envs`", "always", "environment variables `KESTRA_…`, `ENV_…`: the rest in lower case"),
    ("`globals`", "always", "the server's setting `variables_globals`"),
    ("`kestra`", "always", "environment, url: settings `environment_name` and `url`"),
)

assert _library.LOADED, "importing the library fills the table of names"

_HEAD = """# Expressions

<!-- Made by tiercel_engine.expression.reference from the table of names. Do not edit. -->

`{{ expression }}` prints, `{% tag %}` steers, `{# #}` is a comment. A missing variable is an error
that names it; `a ?? b` gives `b` for a missing or null `a`, `a ??? b` only for a missing one.

Where text is wanted, maps and lists print as compact JSON (entries that are null are left out),
numbers and dates as in Java. Where a value is wanted (inputs of subflows, outputs of flows, values
of eaches) a template of one print keeps its type; several prints become text.

The executor never waits: what may block there, such as the functions marked *reads the world*, is
rendered by a worker first, and the execution goes on with the answer (at most 60,000 characters).
Every render is bounded in output (10 MB), steps, depth and time; a regular expression in processor
time (1 s). Nothing of the server's own objects can be reached.

`tiercel expression eval '{{ … }}'` tries an expression: offline, with `--variables FILE.json`, or
with `--execution ID` (and `--task-run ID`) as an execution of a live server sees it. It shows the
value, its type and the variables in reach. An evaluation on the server shows no secrets and sends
no requests.
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
    out = [_HEAD, "\n## Variables\n\n| Name | When | What it holds |\n| --- | --- | --- |\n"]
    out += [f"| {' | '.join(row)} |\n" for row in _VARIABLES]
    out += ["\n## Operators\n\nFrom the weakest to the strongest; all bind to the left.\n\n"]
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
