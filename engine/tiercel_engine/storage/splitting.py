"""Cuts a stream of rows into parts, at the ends of rows, without holding it in memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tiercel_engine.errors import UserError

#: How much is read at once; a part comes in chunks of about this size.
READ_BYTES = 1 << 20
#: One row is no longer than this.
ROW_BYTES_MAX = 256 << 20
#: Each partition is a file that is open while the rows are dealt out.
PARTITIONS_MAX = 500

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(?:([KMGT]?)I?B?)", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

#: A part's number from 0, and one of its chunks.
_Cut = tuple[int, bytes]


class Split(NamedTuple):
    """How to cut. The first that is given counts: `size_bytes`, `partitions`, `rows`.

    Attributes:
        size_bytes: a part is no larger than this, save that a row is never cut.
        partitions: so many parts at most; rows are dealt out one by one.
        rows: a part has so many rows, the last one fewer.
        separator: what ends a row.
    """

    size_bytes: int | None = None
    partitions: int | None = None
    rows: int | None = None
    separator: bytes = b"\n"


def split(source: BinaryIO, how: Split) -> Iterator[Iterator[bytes]]:
    """The parts of a stream, each as its chunks; take the chunks of one before the next part.

    A last row without a separator gets one. No part is empty: there are none of an empty stream.

    Raises:
        UserError: nothing says how to cut, a number is below 1, or a row is too long.
    """
    limits = (how.size_bytes, how.partitions, how.rows)
    limit = next((number for number in limits if number is not None), None)
    if limit is None or limit < 1 or not how.separator:
        raise UserError(
            "Expected one of bytes, partitions and rows as a number above 0, and a separator, but"
            f" they were {how.size_bytes}, {how.partitions}, {how.rows} and {how.separator!r}."
        )
    blocks = _blocks(source, how.separator)
    if how.size_bytes is not None:
        return _parts(_by_size(blocks, how.separator, limit))
    if how.partitions is not None:
        return _dealt(blocks, how.separator, limit)
    return _parts(_by_rows(blocks, how.separator, limit))


def size_of(text: str | int) -> int:
    """Bytes of a size such as 500, "10KB" or "1 MiB"; a kilobyte has 1,024.

    Raises:
        UserError: it is none.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise UserError(f"Expected a size such as 10MB, but it was {text!r}.")
    return int(float(match.group(1)) * _FACTORS[match.group(2).upper()])


def _parts(cuts: Iterator[_Cut]) -> Iterator[Iterator[bytes]]:
    for _, chunks in groupby(cuts, itemgetter(0)):
        yield map(itemgetter(1), chunks)


def _blocks(source: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """The stream in pieces of whole rows, each with its separator."""
    rest = bytearray()
    while data := source.read(READ_BYTES):
        # A separator of several bytes may have begun in the rest.
        start = max(0, len(rest) - len(separator) + 1)
        rest += data
        end = rest.rfind(separator, start)
        if end >= 0:
            end += len(separator)
            yield bytes(rest[:end])
            del rest[:end]
        elif len(rest) > ROW_BYTES_MAX:
            raise UserError(
                f"Expected rows of at most {ROW_BYTES_MAX} bytes, each ended by {separator!r},"
                " but there is a longer one."
            )
    if rest:
        yield bytes(rest) + separator


def _by_rows(blocks: Iterator[bytes], separator: bytes, rows: int) -> Iterator[_Cut]:
    part, left = 0, rows
    for block in blocks:
        start = end = 0
        while end < len(block):
            end = block.index(separator, end) + len(separator)
            left -= 1
            if left == 0:
                yield part, block[start:end]
                part, left, start = part + 1, rows, end
        if start < end:
            yield part, block[start:end]


def _by_size(blocks: Iterator[bytes], separator: bytes, size_bytes: int) -> Iterator[_Cut]:
    part, left = 0, size_bytes
    for block in blocks:
        start = 0
        while start < len(block):
            end = block.rfind(separator, start, start + max(left, 0))
            if end < 0 and left < size_bytes:
                part, left = part + 1, size_bytes
                continue
            if end < 0:  # One row is larger than a part.
                end = block.index(separator, start)
            end += len(separator)
            yield part, block[start:end]
            left -= end - start
            start = end


def _dealt(blocks: Iterator[bytes], separator: bytes, partitions: int) -> Iterator[Iterator[bytes]]:
    if partitions > PARTITIONS_MAX:
        raise UserError(f"Expected at most {PARTITIONS_MAX} partitions, but it was {partitions}.")
    with tempfile.TemporaryDirectory(prefix="tiercel-split-") as folder, ExitStack() as stack:
        paths = [Path(folder) / str(number) for number in range(partitions)]
        files = [stack.enter_context(path.open("w+b")) for path in paths]
        first = 0
        for block in blocks:
            rows = block.split(separator)
            rows.pop()  # What follows the last separator: nothing.
            for number, file in enumerate(files):
                mine = rows[(number - first) % partitions :: partitions]
                if mine:
                    file.write(separator.join(mine) + separator)
            first = (first + len(rows)) % partitions
        for file in files:
            if file.tell():
                file.seek(0)
                yield iter(lambda file=file: file.read(READ_BYTES), b"")  # type: ignore[misc]
