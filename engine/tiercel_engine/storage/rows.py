"""Rows of a file, whichever way they are written: Ion, JSON lines or CSV, one at a time.

A file that is called .csv has a line of names, then one row a line. Any other is Ion, as binary or
as text with one value a line; a line of JSON is one of Ion, too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec
from amazon.ion import simpleion
from amazon.ion.exceptions import IonException

from tiercel_engine.errors import UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.ion import from_ion, ion_text

#: One row is no longer than this: it becomes a value in memory.
ROW_BYTES_MAX = 64 << 20

_BINARY_ION = b"\xe0\x01\x00\xea"
#: Texts, which are passed over, and names of members without quotes.
_NAMES = re.compile(rb'"(?:[^"\\]|\\.)*"|([A-Za-z_$][A-Za-z0-9_$]*):')


class Row(NamedTuple):
    """One row: its value, plain JSON-like save dates, and its line with the end of it."""

    value: Any
    line: bytes


def read_rows(source: BinaryIO, name: str) -> Iterator[Row]:
    """The rows of a file. `source` is at its start and can seek; `name`: of the file.

    Raises:
        UserError: a row cannot be read; the message tells which.
    """
    if name.lower().endswith(".csv"):
        return _csv_rows(source)
    is_binary = source.read(len(_BINARY_ION)) == _BINARY_ION
    source.seek(0)
    return _ion_rows(source) if is_binary else _text_rows(source)


def row_line(value: Any) -> bytes:
    """A value as a line of Ion. Raises UserError: it is too large or too deep."""
    try:
        return ion_text(value).encode("utf-8", "replace") + b"\n"
    except Fault as error:
        raise UserError(f"Expected a value that a row can hold, but {error}.") from None


def _text_rows(source: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := source.readline(ROW_BYTES_MAX):
        number += 1
        if len(line) == ROW_BYTES_MAX:
            raise UserError(f"Expected rows of at most {ROW_BYTES_MAX} bytes: row {number}.")
        if not line.isspace():
            yield Row(_value(line, number), line if line.endswith(b"\n") else line + b"\n")


def _value(line: bytes, number: int) -> Any:
    for text in (line, _NAMES.sub(_quoted, line)):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            continue
    try:
        return from_ion(line, all_rows=False)
    except Fault as error:
        raise UserError(
            f"Expected a line of Ion or JSON for each row, but row {number} is"
            f" {line[:100].decode('utf-8', 'replace')!r}: {error}"
        ) from None


def _quoted(match: re.Match[bytes]) -> bytes:
    name = match.group(1)
    return match.group() if name is None else b'"' + name + b'":'


def _ion_rows(source: BinaryIO) -> Iterator[Row]:
    try:
        for value in simpleion.load(source, single_value=False, parse_eagerly=False):
            line = simpleion.dumps(value, binary=False, omit_version_marker=True)
            yield Row(from_ion(line, all_rows=False), line.encode() + b"\n")
    except (IonException, Fault, ValueError, TypeError, EOFError) as error:
        raise UserError(f"Expected a file of Ion values, but {error}.") from None


def _csv_rows(source: BinaryIO) -> Iterator[Row]:
    text = io.TextIOWrapper(source, "utf-8-sig", "replace", newline="")
    try:
        for value in csv.DictReader(text, restkey="_rest"):
            yield Row(value, row_line(value))
    except csv.Error as error:
        raise UserError(f"Expected a file of comma-separated values, but {error}.") from None
    finally:
        text.detach()
