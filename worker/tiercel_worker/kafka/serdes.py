"""Keys and values of records -> values of the language and back, by the peer's names."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_worker.kafka.avro import AvroReader, AvroWriter

_NUMBERS = {"INTEGER": ">i", "LONG": ">q", "SHORT": ">h", "FLOAT": ">f", "DOUBLE": ">d"}
_BYTES = ("BYTE_ARRAY", "BYTE_BUFFER", "BYTES")
NAMES = ("STRING", "JSON", "AVRO", "UUID", "VOID", *_NUMBERS, *_BYTES)


def checked(name: str) -> str:
    """A name of a (de)serializer. Raises TaskError."""
    if name.upper() not in NAMES:
        raise TaskError(f"Expected one of {', '.join(NAMES)}, but it was {name!r}.")
    return name.upper()


class Unreadable(TaskError):
    """A key or value that is not of its kind: reading it again will not help."""


def read(data: bytes | None, name: str, avro: AvroReader | None = None) -> Any:
    """The value in a record's key or value.

    Raises:
        Unreadable: it is none of that kind.
        TaskError: the schema registry does not answer.
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
            assert avro is not None
            return avro.read(data)
        return data.decode() if name == "STRING" else data.decode("latin-1")
    except (ValueError, struct.error, EOFError, IndexError, KeyError) as error:
        raise Unreadable(f"Expected {name}, but the record has something else: {error}") from error


def write(value: Any, name: str, topic: str = "", avro: AvroWriter | None = None) -> bytes | None:
    """A key or value as bytes; `topic` and `avro` are for AVRO.

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
            assert avro is not None
            return avro.write(value, topic)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return str(uuid.UUID(text)).encode() if name == "UUID" else text.encode()
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise TaskError(f"Expected {name}, but the value is another: {error}") from error
