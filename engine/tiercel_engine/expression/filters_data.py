"""Filters between values and their texts: JSON, YAML, Ion and jq."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jq as libjq
import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.expression.arguments import as_text, text
from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.ion import ion_text
from tiercel_engine.expression.jq_cost import cost_of
from tiercel_engine.expression.limits import JQ_PROCESS_STEPS, JQ_RESULTS_MAX
from tiercel_engine.expression.table import filter_, parameter
from tiercel_engine.expression.text import json_text, output_text
from tiercel_engine.expression.values import class_name, narrow, shortest_float32
from tiercel_engine.expression.yamls import yaml_text


@filter_("toJson", also=("json",))
def to_json(frame: Frame, value: Any) -> str:
    """The value as compact JSON."""
    return json_text(value, nulls=frame.context.dialect.json_null_entries)


@filter_("toIon")
def to_ion(frame: Frame, value: Any) -> str:
    """The value as Ion text."""
    return ion_text(value)


@filter_("yaml")
def yaml(frame: Frame, value: Any) -> str:
    """The value as block YAML, ended by a new line."""
    return yaml_text(value)


#: The environment and the clock of the process are no business of a template.
_JQ_PRELUDE = "{} as $ENV | def env: {}; def now: %s; def input_filename: null; "


@filter_("jq", parameter("expression"))
def jq(frame: Frame, value: Any, expression: Any) -> Any:
    """The list of all results of a jq program over the value; a text is parsed as JSON first."""
    if value is None:
        return None
    program_text = text(expression, "The 'jq' filter")
    failed = (
        f"Unable to parse jq value '{output_text(value)[:200]}' with type '{class_name(value)}'"
    )
    source = as_text(value) if isinstance(value, str) else json_text(value)
    clock = frame.context.now
    seconds = 0.0 if clock is None else (clock() - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    program = (_JQ_PRELUDE % seconds) + program_text
    try:
        results = _results_of(frame, program, program_text, source)
    except (ValueError, StopIteration, UserError) as e:
        raise Fault(f"{failed}: {e}") from e
    return [_read(result) for result in results]


def _results_of(frame: Frame, program: str, program_text: str, source: str) -> list[Any]:
    """Run a program here when it ends soon, else where it can be stopped."""
    cost = cost_of(program_text)
    if cost is None or not cost.allows(len(source)):
        if frame.context.run_jq is None:
            raise LimitFault(
                "Expected a jq program that surely ends soon, but this one may run long: "
                "compute it in a task and use its output"
            )
        frame.budget.spend(JQ_PROCESS_STEPS)
        return frame.context.run_jq(program, source)
    results: list[Any] = []
    for result in libjq.compile(program).input_text(source):
        frame.budget.spend()
        if len(results) >= JQ_RESULTS_MAX:
            raise LimitFault(f"Expected at most {JQ_RESULTS_MAX} results of a jq program")
        results.append(result)
    return results


def _read(value: Any) -> Any:
    """jq's numbers as the peer types them: 32-bit floats where they hold the same decimal."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
        short = narrow(value)
        exact = short is not None and shortest_float32(short) == value
        return short if exact else value
    if isinstance(value, list):
        return [_read(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _read(item) for key, item in value.items()}
    return value


def decode_json(source: str) -> Any:
    """The value of JSON text; integers too large for 64 bits stay exact.

    Raises:
        Fault: it is not JSON.
    """
    try:
        return msgspec.json.decode(source)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as e:
        raise Fault(f"Invalid json: {e}") from e
