"""Evaluating one expression for a person: its value and type, or where and why it fails.

Owns what an expression playground shows, on a server and offline. Pure: the clock, randomness and
the time that is left come in with the `RenderContext`. Follows the eval endpoint of Kestra 0.21.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tiercel_api.eval_variables import Deferred, LazyMap
from tiercel_engine.errors import InvalidExpression, TaskError, UserError
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.values import is_map, is_sequence

#: Rows that `reach` gives at most, members that it shows of one map, and how deep it looks.
REACH_ROWS_MAX = 100
REACH_MEMBERS_MAX = 20
REACH_DEPTH_MAX = 4
#: The part of a long line that an excerpt shows.
EXCERPT_CHARS_MAX = 100

_NAME = re.compile(r"[^\W\d]\w*")
_QUOTED = re.compile(r"[\"'`\[]([^\"'`\[\]\s]+)[\"'`\]]")
_OPENING = re.compile(r"\{[{%]-?\s*")

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "decimal"),
    (Decimal, "decimal"),
    (datetime, "date-time"),
    (date, "date"),
    (time, "time"),
    (timedelta, "duration"),
    (bytes, "bytes"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an expression has no value.

    Attributes:
        line: where in the template, from 1; 0: it is not about one place of it.
        column: from 1; the best guess of what in the line is meant; 0 with `line` 0.
        excerpt: the line with a caret below; empty with `line` 0.
    """

    message: str
    line: int = 0
    column: int = 0
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What became of an expression: `value` and `type`, or `problem`.

    Attributes:
        value: the text that the expression gives where text is wanted.
        type: what it is before it becomes text: string, integer, map, ...
    """

    value: str = ""
    type: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Reachable:
    """One variable: how an expression names it, and what it is."""

    name: str
    type: str


def evaluate(template: str, variables: Mapping[str, Any], context: RenderContext) -> Evaluation:
    """The text and type of what a template gives, or why it gives nothing."""
    renderer = Renderer(context)
    try:
        return _value(renderer, template, variables)
    except InvalidExpression as error:
        return Evaluation(problem=_problem(error, template))
    except (UserError, TaskError) as error:
        return Evaluation(problem=Problem(str(error)))


def _value(renderer: Renderer, template: str, variables: Mapping[str, Any]) -> Evaluation:
    try:
        value = renderer.value(template, variables)
    except InvalidExpression:
        # Several pieces may have no sum as values and yet a text; else this says why not.
        return Evaluation(renderer.text(template, variables), "string")
    if isinstance(value, str):
        return Evaluation(value, "string")
    return Evaluation(renderer.text("{{ value }}", {"value": value}), type_name(value))


def answer_of(evaluation: Evaluation) -> dict[str, Any]:
    """`{result}`, or `{error, stackTrace}` with the line that is meant as the trace."""
    problem = evaluation.problem
    if problem is None:
        return {"result": evaluation.value}
    return {"error": problem.message, "stackTrace": problem.excerpt}


def explained(evaluation: Evaluation, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The same with `type`, or `line` and `column`, and `variables`: name and type of each."""
    answer, problem = answer_of(evaluation), evaluation.problem
    if problem is None:
        answer["type"] = evaluation.type
    else:
        answer |= {"line": problem.line, "column": problem.column}
    answer["variables"] = [{"name": row.name, "type": row.type} for row in reach(variables)]
    return answer


def type_name(value: Any) -> str:
    """What a value is, in the words of the language."""
    if value is None:
        return "null"
    if isinstance(value, Deferred):
        return f"{value.size_bytes} bytes in storage"
    if is_map(value):
        return f"map of {len(value)}"
    if is_sequence(value):
        return f"list of {len(value)}"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "value")


def reach(variables: Mapping[str, Any]) -> list[Reachable]:
    """What an expression can name, members of maps first shown, large maps and depth cut."""
    rows: list[Reachable] = []
    for row in _walk(variables, "", 1):
        if len(rows) == REACH_ROWS_MAX:
            rows.append(Reachable("…", "more"))
            break
        rows.append(row)
    return rows


def _walk(variables: Mapping[str, Any], prefix: str, depth: int) -> Iterator[Reachable]:
    names = list(variables)
    for name in names[:REACH_MEMBERS_MAX]:
        # What lies in storage is named, not fetched.
        value = variables.peek(name) if isinstance(variables, LazyMap) else variables[name]
        path = _path(prefix, name)
        if is_map(value) and len(value) and depth < REACH_DEPTH_MAX:
            yield from _walk(value, path, depth + 1)
        else:
            yield Reachable(path, type_name(value))
    if len(names) > REACH_MEMBERS_MAX:
        name = f"{prefix}.…" if prefix else "…"
        yield Reachable(name, f"{len(names) - REACH_MEMBERS_MAX} more")


def _path(prefix: str, name: Any) -> str:
    if not prefix:
        return str(name)
    if isinstance(name, str) and _NAME.fullmatch(name):
        return f"{prefix}.{name}"
    quote = '"' if "'" in str(name) else "'"
    return f"{prefix}[{quote}{name}{quote}]" if isinstance(name, str) else f"{prefix}[{name}]"


def _problem(error: InvalidExpression, template: str) -> Problem:
    # What a template renders may fail in its turn: then the error is about that text.
    lines = (error.expression or template).split("\n")
    if not 1 <= error.line <= len(lines):
        return Problem(str(error))
    line = lines[error.line - 1].rstrip("\r")
    column = _column(line, error)
    return Problem(str(error), error.line, column, _excerpt(line, error.line, column))


def _column(line: str, error: InvalidExpression) -> int:
    """Where in the line the words of the error stand; else where its first expression begins."""
    words = [error.missing] if error.missing else _QUOTED.findall(str(error))
    for word in words:
        found = re.search(rf"(?<!\w){re.escape(str(word).split('.')[-1])}(?!\w)", line)
        if found is not None:
            return found.start() + 1
    opening = _OPENING.search(line)
    return min(opening.end(), max(len(line) - 1, 0)) + 1 if opening else 1


def _excerpt(line: str, number: int, column: int) -> str:
    start = max(0, min(column - 1 - EXCERPT_CHARS_MAX // 2, len(line) - EXCERPT_CHARS_MAX))
    shown = line[start : start + EXCERPT_CHARS_MAX].replace("\t", " ")
    before, after = "…" if start else "", "…" if start + len(shown) < len(line) else ""
    label = f"line {number}: {before}"
    return f"{label}{shown}{after}\n{' ' * (len(label) + column - 1 - start)}^"
