"""Avro bytes <-> records.

Internal topics use Avro's single-object encoding: two marker bytes, the CRC-64-AVRO fingerprint of
the writer's schema (little endian), then the value. `avro/history/` holds every schema that ever
wrote, under its fingerprint, so old bytes are read with the schema that wrote them and resolved to
today's. See the Avro specification, "Single-object encoding"; `compiler.py` makes the functions.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from tiercel_schemas import (
    accounts,
    commands,
    common,
    concurrency,
    events,
    flows,
    jobs,
    logs,
    services,
    triggers,
)
from tiercel_schemas.compiler import Compiler, Read, Write

MARKER = b"\xc3\x01"
HEADER_BYTES = 10
HISTORY = Path(__file__).parent / "avro" / "history"


class AvroRecord(Protocol):
    """What the generated records that travel on their own have in common."""

    FINGERPRINT: ClassVar[str]


R = TypeVar("R")


class UnreadableRecord(Exception):
    """Bytes that are no record of ours: not single-object encoded, unknown schema, or torn."""


_MODULES = (
    common, events, commands, concurrency, jobs, logs, flows, triggers, accounts, services,
)  # fmt: skip
#: Every record there is, by name.
RECORDS: dict[str, type[msgspec.Struct]] = {
    name: record
    for module in _MODULES
    for name, record in vars(module).items()
    if isinstance(record, type) and issubclass(record, msgspec.Struct)
}
#: Those that travel in a topic on their own.
ROOTS: tuple[Any, ...] = tuple(r for r in RECORDS.values() if hasattr(r, "FINGERPRINT"))


def header_of(fingerprint: str) -> bytes:
    """What stands in front of every record of this schema."""
    return MARKER + bytes.fromhex(fingerprint)


def schema_of(name: str, fingerprint: str) -> Any:
    """A schema that writes, or once wrote: every record in it at its first mention."""
    return json.loads((HISTORY / f"{name}-{fingerprint}.avsc").read_text())


@cache
def _names() -> dict[bytes, tuple[str, str]]:
    """Header -> name and fingerprint of every schema that ever wrote."""
    pairs = [path.stem.rsplit("-", 1) for path in HISTORY.glob("*.avsc")]
    return {header_of(fingerprint): (name, fingerprint) for name, fingerprint in pairs}


class _Writers(dict[type[Any], Write]):
    """Record -> how to write it, made at its first use."""

    def __missing__(self, kind: type[Any]) -> Write:
        header = header_of(kind.FINGERPRINT)
        schema = schema_of(kind.__name__, kind.FINGERPRINT)
        write = self[kind] = Compiler(schema, RECORDS).writer(header)
        return write


class _Readers(dict[bytes, Read]):
    """Header -> how to read what stands behind it, made at its first use."""

    def __missing__(self, header: bytes) -> Read:
        if len(header) < HEADER_BYTES or not header.startswith(MARKER):
            raise UnreadableRecord(
                "Expected a single-object encoded Avro record, but the value has no such header."
            )
        found = _names().get(header)
        if found is None:
            raise UnreadableRecord(
                f"Expected a schema that this version knows, but its fingerprint is "
                f"{header[len(MARKER) :].hex()}. Was it written by a newer version?"
            )
        read = self[header] = Compiler(schema_of(*found), RECORDS).reader()
        return read


_WRITERS = _Writers()
_READERS = _Readers()


def encode(record: AvroRecord) -> bytes:
    """The record as single-object encoded Avro."""
    return _WRITERS[type(record)](record)


def decode(data: bytes | None) -> Any:
    """The record in `data`.

    Raises:
        UnreadableRecord: it is no record of ours.
    """
    data = data or b""
    read = _READERS[data[:HEADER_BYTES]]
    try:
        return read(data, HEADER_BYTES)
    except (IndexError, ValueError, TypeError, KeyError, OverflowError, struct.error) as error:
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
