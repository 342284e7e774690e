"""Trigger messages, the public inbound contract: a record asks for an execution.

A value is one of three things: Avro in single-object encoding (`TriggerMessage` of triggers.avsc),
Avro in the Confluent wire format (when a schema registry is set), or a JSON object of the same
shape. In JSON, `inputs` and `body` may stand as values instead of texts, `labels` as a map, names
in camel case. What is none of these, or asks for what cannot start, is refused with a reason.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import fastavro
import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.eventlog.schema_registry import SchemaRegistry
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.model import read_labels
from tiercel_schemas.codec import MARKER, UnreadableRecord, decode_as
from tiercel_schemas.common import Label
from tiercel_schemas.triggers import TriggerMessage

#: First byte of the Confluent wire format; four of the schema's id follow.
CONFLUENT = b"\x00"
CONFLUENT_HEADER_BYTES = 5
TEXT_CHARS_MAX = 500
NAMES = {
    "messageId": "message_id",
    "flowId": "flow_id",
    "inputsJson": "inputs_json",
    "bodyJson": "body_json",
}
KNOWN = frozenset(TriggerMessage.__struct_fields__) | {"inputs", "body"}
TORN = (EOFError, IndexError, ValueError, TypeError, KeyError, OverflowError, struct.error)


class BadMessage(UserError):
    """A record that asks for nothing that can be started; the message says why."""


def read_message(value: bytes | None, registry: SchemaRegistry | None) -> TriggerMessage:
    """The message in a record's value.

    Raises:
        BadMessage: it is none.
        RegistryUnavailable: the schema registry does not answer; try again.
    """
    if not value:
        raise BadMessage("Expected a trigger message, but the record is empty.")
    if value.startswith(MARKER):
        try:
            return _checked(decode_as(TriggerMessage, value))
        except UnreadableRecord as error:
            raise BadMessage(str(error)) from error
    if value.startswith(CONFLUENT) and len(value) > CONFLUENT_HEADER_BYTES:
        return _message(_confluent(value, registry))
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(f"Expected Avro or a JSON object, but {error}.") from error
    if not isinstance(found, dict):
        raise BadMessage(f"Expected a JSON object, but it is a {type(found).__name__}.")
    return _message(found)


def _confluent(value: bytes, registry: SchemaRegistry | None) -> Mapping[str, Any]:
    if registry is None:
        raise BadMessage(
            "Expected a schema registry for a value in the Confluent wire format, but none is set: "
            "--schema-registry http://host:8081."
        )
    (schema_id,) = struct.unpack(">I", value[1:CONFLUENT_HEADER_BYTES])
    schema = registry.schema(schema_id)
    if schema is None:
        raise BadMessage(f"Expected the schema {schema_id} in the registry, but it is not there.")
    try:
        found = fastavro.schemaless_reader(io.BytesIO(value[CONFLUENT_HEADER_BYTES:]), schema, None)
    except TORN as error:
        raise BadMessage(f"Expected a whole record of schema {schema_id}, but {error!r}") from error
    if not isinstance(found, dict):
        raise BadMessage(f"Expected schema {schema_id} to be a record.")
    return found


def _message(found: Mapping[str, Any]) -> TriggerMessage:
    """An object of whatever spelling as a message."""
    parts = {NAMES.get(name, name): value for name, value in found.items() if value is not None}
    unknown = sorted(set(parts) - KNOWN)
    if unknown:
        raise BadMessage(f"Expected only {', '.join(sorted(KNOWN))}, but there is {unknown[0]!r}.")
    for name in ("inputs", "body"):
        if name in parts:
            parts[f"{name}_json"] = json.dumps(parts.pop(name))
    try:
        labels = read_labels(parts.pop("labels", []))
        parts["labels"] = tuple(Label(key, value) for key, value in labels)
        parts["headers"] = {str(k): str(v) for k, v in dict(parts.get("headers", {})).items()}
        return _checked(msgspec.convert(parts, TriggerMessage))
    except (Rule, msgspec.ValidationError, TypeError, ValueError) as error:
        raise BadMessage(f"Expected a trigger message, but {error}") from error


def _checked(message: TriggerMessage) -> TriggerMessage:
    for name in ("message_id", "tenant", "namespace", "flow_id"):
        text = getattr(message, name)
        if not text or len(text) > TEXT_CHARS_MAX or ("/" in text and name != "message_id"):
            raise BadMessage(
                f"Expected {name} to have 1 to {TEXT_CHARS_MAX} characters, but it was "
                f"{text[:TEXT_CHARS_MAX]!r}."
            )
    return message


def inputs_of(message: TriggerMessage) -> dict[str, Any]:
    """The inputs that a message gives. Raises BadMessage."""
    found = _json(message.inputs_json, "inputs")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadMessage("Expected inputs to be a JSON object.")
    return found


def variables_of(message: TriggerMessage) -> dict[str, Any]:
    """What `{{ trigger }}` gives: `body`, `headers`, `messageId`. Raises BadMessage."""
    variables: dict[str, Any] = {"messageId": message.message_id, "headers": message.headers}
    if message.body_json is not None:
        variables["body"] = _json(message.body_json, "body")
    return variables


def _json(text: str | None, name: str) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(f"Expected {name} to be JSON text, but {error}.") from error
