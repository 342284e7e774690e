"""Forms with files, as HTTP carries them: streamed, never held in memory."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE_CHUNK_BYTES = 256 * 1024


class Multipart:
    """A form with files that is streamed, not held in memory. Truthy when it has parts.

    Args:
        files: by their file names.
        part: what the part of each file is called.
    """

    def __init__(
        self, fields: Mapping[str, str], files: Mapping[str, Path], part: str = "files"
    ) -> None:
        self._boundary = secrets.token_hex(16)
        self._parts: list[bytes | Path] = []
        for name, value in fields.items():
            self._parts += [self._head(f'name="{_quoted(name)}"'), value.encode(), b"\r\n"]
        for name, path in files.items():
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            disposition = f'name="{part}"; filename="{_quoted(name)}"'
            self._parts += [self._head(disposition, kind), path, b"\r\n"]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def headers(self) -> dict[str, str]:
        sizes = (p.stat().st_size if isinstance(p, Path) else len(p) for p in self._parts)
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(sum(sizes) + len(self._end())),
        }

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Path):
                with part.open("rb") as source:
                    while chunk := source.read(FILE_CHUNK_BYTES):
                        yield chunk
            else:
                yield part
        yield self._end()

    def _head(self, disposition: str, kind: str | None = None) -> bytes:
        content_type = f"Content-Type: {kind}\r\n" if kind else ""
        return (
            f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
            f"{content_type}\r\n"
        ).encode()

    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "").replace("\n", "")
