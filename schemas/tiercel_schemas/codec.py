"""Avro bytes <-> records.

Internal topics use Avro's single-object encoding: two marker bytes, the CRC-64-AVRO fingerprint of
the writer's schema (little endian), then the value. `avro/history/` holds every schema that ever
wrote, under its fingerprint, so old bytes are read with the schema that wrote them and resolved to
today's. See the Avro specification, "Single-object encoding".
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import fastavro

from tiercel_schemas import commands, events, flows, jobs, logs, triggers

MARKER = b"\xc3\x01"
HEADER_BYTES = 10
HISTORY = Path(__file__).parent / "avro" / "history"


class AvroRecord(Protocol):
    """What the generated records have in common."""

    AVRO_NAME: ClassVar[str]

    def to_avro(self) -> dict[str, Any]: ...

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Any: ...


R = TypeVar("R")


class UnreadableRecord(Exception):
    """Bytes that are no record of ours: not single-object encoded, unknown schema, or torn."""


#: Every record that travels in a topic on its own.
ROOTS: tuple[Any, ...] = tuple(
    record
    for module in (events, commands, jobs, logs, flows, triggers)
    for record in vars(module).values()
    if hasattr(record, "FINGERPRINT")
)


class _Version:
    """One schema that wrote, and how its values become a record of today."""

    __slots__ = ("from_avro", "reader_schema", "writer_schema")

    def __init__(self, from_avro: Any, writer_schema: Any, reader_schema: Any | None) -> None:
        self.from_avro = from_avro
        self.writer_schema = writer_schema
        self.reader_schema = reader_schema


def _parsed(name: str, fingerprint: str) -> Any:
    text = (HISTORY / f"{name}-{fingerprint}.avsc").read_text()
    return fastavro.parse_schema(json.loads(text), named_schemas={})


def _header(fingerprint: str) -> bytes:
    return MARKER + bytes.fromhex(fingerprint)


@cache
def _writers() -> dict[str, tuple[bytes, Any]]:
    """Full name -> header and schema to write with."""
    return {
        root.AVRO_NAME: (
            _header(root.FINGERPRINT),
            _parsed(root.__name__, root.FINGERPRINT),
        )
        for root in ROOTS
    }


@cache
def _versions() -> dict[bytes, _Version]:
    """Header -> how to read what stands behind it."""
    roots = {root.__name__: root for root in ROOTS}
    versions: dict[bytes, _Version] = {}
    for path in HISTORY.glob("*.avsc"):
        name, fingerprint = path.stem.rsplit("-", 1)
        root = roots[name]
        is_current = fingerprint == root.FINGERPRINT
        reader = None if is_current else _writers()[root.AVRO_NAME][1]
        versions[_header(fingerprint)] = _Version(
            root.from_avro, _parsed(name, fingerprint), reader
        )
    return versions


def encode(record: AvroRecord) -> bytes:
    """The record as single-object encoded Avro."""
    header, schema = _writers()[record.AVRO_NAME]
    out = io.BytesIO()
    out.write(header)
    fastavro.schemaless_writer(out, schema, record.to_avro())
    return out.getvalue()


def decode(data: bytes | None) -> Any:
    """The record in `data`.

    Raises:
        UnreadableRecord: it is no record of ours.
    """
    if data is None or len(data) < HEADER_BYTES or data[:2] != MARKER:
        raise UnreadableRecord(
            "Expected a single-object encoded Avro record, but the value has no such header."
        )
    version = _versions().get(data[:HEADER_BYTES])
    if version is None:
        raise UnreadableRecord(
            f"Expected a schema that this version knows, but its fingerprint is "
            f"{data[2:HEADER_BYTES].hex()}. Was it written by a newer version?"
        )
    stream = io.BytesIO(data)
    stream.seek(HEADER_BYTES)
    try:
        value = fastavro.schemaless_reader(
            stream,
            version.writer_schema,
            version.reader_schema,
            return_record_name=True,
            return_record_name_override=True,
        )
        return version.from_avro(value)
    except (EOFError, IndexError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise UnreadableRecord(f"Expected a whole record, but it is torn: {error!r}") from error


def decode_as(kind: type[R], data: bytes | None) -> R:
    """The record in `data`, which must be a `kind`.

    Raises:
        UnreadableRecord: it is not.
    """
    record = decode(data)
    if not isinstance(record, kind):
        raise UnreadableRecord(f"Expected a {kind.__name__}, but it is a {type(record).__name__}.")
    return record
