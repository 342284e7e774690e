"""JSON schemas of inputs: read once, checked without reaching outside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import exceptions
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from tiercel_engine.flow.patterns import matches
from tiercel_engine.flow.values import BadValue

#: How many of a value's faults are told.
FAULTS_SHOWN_MAX = 5
FAULT_CHARS_MAX = 300


def schema_validator(schema: Any) -> Any:
    """What checks values; of the draft that the schema names, the newest when it names none.

    References to other documents are not followed.

    Raises:
        BadValue: it is no JSON schema.
    """
    if not isinstance(schema, dict | bool):
        raise BadValue("Expected a JSON schema as a map")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except exceptions.SchemaError as error:
        raise BadValue(f"Expected a JSON schema, but {error.message}") from None
    return _bounded(kind)(schema, registry=Registry())


@cache
def _bounded(kind: Any) -> Any:
    """The validator of a draft, whose patterns do not take for ever."""
    return extend(kind, {"pattern": _pattern})


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(value, "string") and not matches(pattern, value, whole=False):
        yield exceptions.ValidationError(f"{value!r} does not match {pattern!r}")


def check_schema(validator: Any, value: Any) -> None:
    """Raise BadValue when the value is not what the schema describes."""
    try:
        faults = [
            _told(fault)
            for fault, _ in zip(validator.iter_errors(value), range(FAULTS_SHOWN_MAX), strict=False)
        ]
    except (Unresolvable, RecursionError, ValueError) as error:
        raise BadValue(f"it cannot be compared with its JSON schema: {error}") from None
    if faults:
        raise BadValue(f"it must match its JSON schema: {'; '.join(faults)}")


def _told(fault: exceptions.ValidationError) -> str:
    message = fault.message[:FAULT_CHARS_MAX]
    return f"{fault.json_path}: {message}"
