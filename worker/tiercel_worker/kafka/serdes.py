"""Keys and values of records -> values of the language and back, by the peer's names."""

from __future__ import annotations

import io
import json
import struct
import uuid
from typing import Any

import fastavro
import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.eventlog.schema_registry import SchemaRegistry

_NUMBERS = {"INTEGER": ">i", "LONG": ">q", "SHORT": ">h", "FLOAT": ">f", "DOUBLE": ">d"}
_BYTES = ("BYTE_ARRAY", "BYTE_BUFFER", "BYTES")
NAMES = ("STRING", "JSON", "AVRO", "UUID", "VOID", *_NUMBERS, *_BYTES)
CONFLUENT_HEADER_BYTES = 5


def checked(name: str) -> str:
    """A name of a (de)serializer. Raises TaskError."""
    if name.upper() not in NAMES:
        raise TaskError(f"Expected one of {', '.join(NAMES)}, but it was {name!r}.")
    return name.upper()


def read(data: bytes | None, name: str, schemas: SchemaRegistry | None) -> Any:
    """The value in a record's key or value.

    Raises:
        TaskError: it is none of that kind.
    """
    if data is None or name == "VOID":
        return None
    try:
        if name in _NUMBERS:
            return struct.unpack(_NUMBERS[name], data)[0]
        if name == "JSON":
            return msgspec.json.decode(data)
        if name == "UUID":
            return str(uuid.UUID(data.decode()))
        if name == "AVRO":
            return _read_avro(data, schemas)
        return data.decode() if name == "STRING" else data.decode("latin-1")
    except (ValueError, struct.error, EOFError, IndexError, KeyError) as error:
        raise TaskError(f"Expected {name}, but the record has something else: {error}") from error


def _read_avro(data: bytes, schemas: SchemaRegistry | None) -> Any:
    if schemas is None:
        raise TaskError("Expected serdeProperties with schema.registry.url for AVRO.")
    if data[:1] != b"\x00" or len(data) < CONFLUENT_HEADER_BYTES:
        raise TaskError("Expected Avro in the Confluent wire format, but there is no schema id.")
    (schema_id,) = struct.unpack(">I", data[1:CONFLUENT_HEADER_BYTES])
    schema = schemas.schema(schema_id)
    if schema is None:
        raise TaskError(f"Expected the schema {schema_id} in the registry, but it is not there.")
    value = fastavro.schemaless_reader(io.BytesIO(data[CONFLUENT_HEADER_BYTES:]), schema, None)
    return json.loads(json.dumps(value, default=str))


def write(value: Any, name: str) -> bytes | None:
    """A key or value as bytes.

    Raises:
        TaskError: it is none of that kind.
    """
    if value is None or name == "VOID":
        return None
    try:
        if name in _NUMBERS:
            number = float(value) if name in ("FLOAT", "DOUBLE") else int(value)
            return struct.pack(_NUMBERS[name], number)
        if name == "JSON":
            return msgspec.json.encode(value)
        if name in _BYTES:
            return str(value).encode("latin-1")
        if name == "AVRO":
            raise TaskError("Writing Avro is not there yet: use JSON, or STRING with a text.")
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return str(uuid.UUID(text)).encode() if name == "UUID" else text.encode()
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise TaskError(f"Expected {name}, but the value is another: {error}") from error
