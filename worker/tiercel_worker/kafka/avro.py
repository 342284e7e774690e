"""Avro keys and values: plain, or in the Confluent wire format with a schema registry.

Values come from templates, so what JSON cannot say is written as text: instants and dates in ISO
8601, decimals and UUIDs by their digits, bytes by Latin-1, as Avro's own JSON encoding has them.
"""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException
from fastavro.validation import ValidationError, validate

from tiercel_engine.errors import TaskError, TransientError, UserError
from tiercel_engine.eventlog.schema_registry import SchemaRegistry

#: A zero byte and the schema's id, big-endian.
HEADER = struct.Struct(">bI")
#: Schemas inside schemas.
DEPTH_MAX = 100


class AvroSchema:
    """A parsed schema and the names in it. Raises TaskError: it is none."""

    def __init__(self, written: Any) -> None:
        self._named: dict[str, Any] = {}
        try:
            # A name such as `string` may stand without the quotes of JSON.
            is_json = isinstance(written, str) and written.strip()[:1] in ('"', "{", "[")
            found = json.loads(written) if is_json else written
            self.json: Any = found
            self.parsed = fastavro.parse_schema(found, named_schemas=self._named)
        except (ValueError, TypeError, KeyError, SchemaParseException) as error:
            raise TaskError(f"Expected an Avro schema, but {error}") from error

    def encode(self, value: Any) -> bytes:
        """The value in Avro's binary encoding. Raises TaskError: it does not fit."""
        out = io.BytesIO()
        try:
            fitted = self._fit(value, self.parsed, 0)
            validate(fitted, self.parsed, strict=False)
            fastavro.schemaless_writer(out, self.parsed, fitted)
        except (ValidationError, ValueError, TypeError, KeyError, InvalidOperation) as error:
            raise TaskError(f"Expected a value of the Avro schema, but {error}") from error
        return out.getvalue()

    def decode(self, data: bytes) -> Any:
        """The value in bytes without a header, as JSON knows it."""
        return decoded(data, self.parsed)

    def _fit(self, value: Any, schema: Any, depth: int) -> Any:
        """The value with texts turned into what the schema's logical types ask for."""
        if depth > DEPTH_MAX:
            raise ValueError(f"it is more than {DEPTH_MAX} deep")
        if isinstance(schema, list):
            return self._fit_union(value, schema, depth)
        if isinstance(schema, str):
            named = self._named.get(schema)
            if named is not None:
                return self._fit(value, named, depth + 1)
            return (
                value.encode("latin-1") if schema == "bytes" and isinstance(value, str) else value
            )
        match schema["type"]:
            case "record" if isinstance(value, Mapping):
                return {
                    field["name"]: self._fit(value[field["name"]], field["type"], depth + 1)
                    for field in schema["fields"]
                    if field["name"] in value
                }
            case "array" if isinstance(value, list):
                return [self._fit(one, schema["items"], depth + 1) for one in value]
            case "map" if isinstance(value, Mapping):
                return {k: self._fit(one, schema["values"], depth + 1) for k, one in value.items()}
            case _ if isinstance(value, str | int | float):
                return _scalar(value, schema)
        return value

    def _fit_union(self, value: Any, branches: list[Any], depth: int) -> Any:
        """The value as the first branch takes it."""
        for branch in branches:
            if (branch == "null") != (value is None):
                continue
            try:
                fitted = self._fit(value, branch, depth + 1)
                if validate(fitted, self._expanded(branch), raise_errors=False):
                    return fitted
            except (ValueError, TypeError, InvalidOperation):
                continue
        return value

    def _expanded(self, branch: Any) -> Any:
        return self._named.get(branch, branch) if isinstance(branch, str) else branch


def _scalar(value: Any, schema: Mapping[str, Any]) -> Any:
    kind, logical = schema["type"], schema.get("logicalType")
    if not isinstance(value, str):
        return Decimal(str(value)) if logical == "decimal" else value
    match logical:
        case "timestamp-millis" | "timestamp-micros":
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        case "local-timestamp-millis" | "local-timestamp-micros":
            return datetime.fromisoformat(value).replace(tzinfo=None)
        case "date":
            return date.fromisoformat(value)
        case "time-millis" | "time-micros":
            return time.fromisoformat(value)
        case "decimal":
            return Decimal(value)
        case "uuid":
            return uuid.UUID(value)
    return value.encode("latin-1") if kind in ("bytes", "fixed") else value


def decoded(data: bytes, schema: Any) -> Any:
    """The value in bytes without a header, as JSON knows it. Raises ValueError, EOFError …"""
    value = fastavro.schemaless_reader(io.BytesIO(data), schema, None)
    return json.loads(json.dumps(value, default=_as_json))


def _as_json(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value.isoformat() if isinstance(value, date | time) else str(value)


class AvroWriter:
    """Writes keys or values: plain, or with the id that a registry gives their schema.

    Args:
        part: key or value; with the topic it names the registry's subject.
        registers: whether a schema that the registry does not have is added.
    """

    def __init__(
        self, schema: Any, registry: SchemaRegistry | None, part: str, registers: bool = True
    ) -> None:
        if schema is None and registry is None:
            raise TaskError(
                f"Expected {part}AvroSchema, or serdeProperties with schema.registry.url, for AVRO."
            )
        self._schema = None if schema is None else AvroSchema(schema)
        self._registry = registry
        self._part = part
        self._registers = registers
        self._of_topic: dict[str, tuple[bytes, AvroSchema]] = {}

    def write(self, value: Any, topic: str) -> bytes:
        """The bytes of a value for a topic. Raises TaskError: it does not fit its schema."""
        if topic not in self._of_topic:
            self._of_topic[topic] = self._prepared(topic)
        header, schema = self._of_topic[topic]
        return header + schema.encode(value)

    def _prepared(self, topic: str) -> tuple[bytes, AvroSchema]:
        if self._registry is None:
            assert self._schema is not None
            return b"", self._schema
        subject = f"{topic}-{self._part}"
        try:
            if self._schema is None:
                schema_id, written = self._registry.latest(subject)
                return HEADER.pack(0, schema_id), AvroSchema(written)
            ask = self._registry.register if self._registers else self._registry.find
            return HEADER.pack(0, ask(subject, self._schema.json)), self._schema
        except (TransientError, UserError) as error:
            raise TaskError(str(error)) from error


class AvroReader:
    """Reads keys or values: of a given schema, or of the one that their header names.

    Args:
        schema: of plain values; None: they have the header of the Confluent wire format.
    """

    def __init__(self, schema: Any, registry: SchemaRegistry | None, part: str) -> None:
        if schema is None and registry is None:
            raise TaskError(
                f"Expected serdeProperties with schema.registry.url, or {part}AvroSchema, for AVRO."
            )
        self._schema = None if schema is None or registry is not None else AvroSchema(schema)
        self._registry = registry

    def read(self, data: bytes) -> Any:
        """The value.

        Raises:
            TaskError: the registry does not answer.
            ValueError, EOFError, IndexError, KeyError: it is none of the schema.
        """
        if self._schema is not None:
            return self._schema.decode(data)
        assert self._registry is not None
        if data[:1] != b"\x00" or len(data) < HEADER.size:
            raise ValueError("there is no schema id of the Confluent wire format")
        _, schema_id = HEADER.unpack_from(data)
        try:
            schema = self._registry.schema(schema_id)
        except TransientError as error:
            raise TaskError(str(error)) from error
        if schema is None:
            raise ValueError(f"the registry has no schema {schema_id}")
        return decoded(data[HEADER.size :], schema)
