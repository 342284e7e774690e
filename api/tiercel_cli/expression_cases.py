"""Files of expressions with known answers, one JSON object a line, and whether they hold.

A row has a `template`, its variables `vars`, and what must come of it: `expected` (the text),
`expected_json` (the text, compared as JSON) or `error: true`, with `error_contains` as part of the
message. JSON has no date-times: an object with one of the marks below stands for a typed value.
A row says with `since` that it is about a later version of the language than 0.21.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tiercel_engine.clock import SystemClock, to_datetime
from tiercel_engine.errors import InvalidExpression, UserError
from tiercel_engine.expression.context import Dialect, RenderContext
from tiercel_engine.expression.moments import parse_iso
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.values import narrow
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.sandbox.jq import JqSandbox

JsonObject = dict[str, Any]

#: The language of rows without `since`.
DIALECT_0_21 = Dialect(kv_error_on_missing=False, text_comparison=False)


def _moment(text: str) -> Any:
    moment = parse_iso(text)
    if moment is None:
        raise ValueError(f"expected an ISO date-time, but it was {text!r}")
    return moment


#: Mark -> what it makes of the value beside it.
MARKS: dict[str, Callable[[Any], Any]] = {
    "$zoned": _moment,
    "$instant": lambda text: _moment(text).astimezone(UTC),
    "$local": _moment,
    "$date": _moment,
    "$time": time.fromisoformat,
    "$date_epoch_ms": lambda ms: datetime.fromtimestamp(ms / 1000, UTC),
    "$float": lambda text: narrow(float(text)),
    "$dec": Decimal,
    "$dur": lambda text: timedelta(seconds=parse_duration_s(text)),
}


class InvalidCase(UserError):
    """A line is no case; the message names it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `line` counts from 1; `variables` have their marks resolved."""

    line: int
    template: str
    variables: Mapping[str, Any]
    row: JsonObject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case gave. `expected` and `got` are for people: a text, or an error's message."""

    case: Case
    holds: bool
    expected: str
    got: str


def value_of(raw: Any) -> Any:
    """A JSON value with its marks resolved.

    Raises:
        ValueError, TypeError, ArithmeticError: what stands beside a mark is not of its kind.
    """
    if isinstance(raw, list):
        return [value_of(item) for item in raw]
    if not isinstance(raw, dict):
        return raw
    if len(raw) == 1:
        ((mark, value),) = raw.items()
        if mark in MARKS:
            return MARKS[mark](value)
    return {key: value_of(item) for key, item in raw.items()}


def read_cases(lines: Iterable[bytes]) -> Iterator[Case]:
    """The cases of a file; empty lines are passed over.

    Raises:
        InvalidCase: a line is no JSON object, has no template or a mark does not read.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _case(number, line)


def _case(number: int, line: bytes) -> Case:
    try:
        row = json.loads(line)
        template, variables = row["template"], value_of(row.get("vars") or {})
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise InvalidCase(f"Expected a case in line {number}, but {error!r}.") from None
    if not isinstance(template, str) or not isinstance(variables, dict):
        raise InvalidCase(f"Expected a text as template and a map as vars in line {number}.")
    return Case(number, template, variables, row)


def context_of(row: JsonObject) -> RenderContext:
    """The context in which a row is rendered: offline, in the version that the row is about."""
    clock = SystemClock()
    return RenderContext(
        now=lambda: to_datetime(clock.now_us()),
        rng=random.SystemRandom(),
        run_jq=JqSandbox(),
        dialect=Dialect() if row.get("since") else DIALECT_0_21,
    )


def check(case: Case, context: RenderContext | None = None) -> Outcome:
    """Render a case and compare. `context`: instead of the one that the row asks for."""
    row, renderer = case.row, Renderer(context or context_of(case.row))
    part = row.get("error_contains") or ""
    expected = f"an error: {part}".removesuffix(": ") if row.get("error") else _expected(row)
    try:
        text = renderer.text(case.template, case.variables)
    except InvalidExpression as error:
        holds = bool(row.get("error")) and part in str(error)
        return Outcome(case, holds, expected, f"an error: {error}")
    return Outcome(case, not row.get("error") and _equal(row, text), expected, text)


def _expected(row: JsonObject) -> str:
    if "expected_json" in row:
        return json.dumps(row["expected_json"], ensure_ascii=False, separators=(",", ":"))
    return row.get("expected") or ""


def _equal(row: JsonObject, text: str) -> bool:
    if "expected_json" not in row:
        return text == (row.get("expected") or "")
    try:
        return bool(json.loads(text) == row["expected_json"])
    except ValueError:
        return False
