"""The beginning of a file, as the outputs tab shows it: rows, text, or the whole of an image."""

from __future__ import annotations

import base64
import codecs
import io
from typing import Any, BinaryIO

from tiercel_api.errors import HttpError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.storage.rows import read_rows

ROWS_DEFAULT = 100
ROWS_MAX = 5_000
#: What a preview shows at most of a text, and of a picture (whole or not at all).
TEXT_BYTES_MAX = 4 << 20
PICTURE_BYTES_MAX = 10 << 20

_PICTURES = frozenset({"jpg", "jpeg", "png", "svg", "gif", "webp", "bmp"})
_ROWS = frozenset({"ion"})


def preview(source: BinaryIO, name: str, size_bytes: int, rows: int, encoding: str) -> JsonObject:
    """What a file begins with.

    Args:
        source: at its start; it can seek.
        rows: lines or rows at most.

    Raises:
        HttpError: nobody knows the encoding, or the text is not in it.
        UserError: a row cannot be read.
    """
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    shown: JsonObject = {"extension": extension, "maxLine": rows, "truncated": False}
    if extension in _PICTURES or extension == "pdf":
        kind = "PDF" if extension == "pdf" else "IMAGE"
        data = source.read(PICTURE_BYTES_MAX) if size_bytes <= PICTURE_BYTES_MAX else b""
        content = base64.b64encode(data).decode()
        return {**shown, "type": kind, "content": content, "truncated": not data}
    if extension in _ROWS:
        found: list[Any] = []
        for row in read_rows(source, name):
            if len(found) == rows:
                return {**shown, "type": "LIST", "content": found, "truncated": True}
            found.append(row.value)
        return {**shown, "type": "LIST", "content": found}
    text, is_whole = _text(source, size_bytes, rows, encoding)
    kind = "MARKDOWN" if extension == "md" else "TEXT"
    return {**shown, "type": kind, "content": text, "truncated": not is_whole}


def _text(source: BinaryIO, size_bytes: int, rows: int, encoding: str) -> tuple[str, bool]:
    """(the first lines, whether that is all)."""
    try:
        decode = codecs.getincrementaldecoder(encoding)("replace")
    except LookupError:
        message = f"using Invalid encoding {encoding[:50]}"
        raise HttpError(422, "Illegal argument", f"Unable to preview {message}") from None
    data = source.read(TEXT_BYTES_MAX)
    text = decode.decode(data, len(data) == size_bytes)
    lines = io.StringIO(text).readlines()
    return "".join(lines[:rows]), len(lines) <= rows and len(data) == size_bytes
