"""Tasks on files of internal storage. All of them stream: memory does not grow with a file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.splitting import (
    READ_BYTES,
    ROW_BYTES_MAX,
    size_of,
    split,
)
from tiercel_engine.storage.splitting import (
    Split as SplitBy,
)
from tiercel_engine.storage.uri import file_name
from tiercel_worker.tasks.properties import flag, text_list, whole

#: One split leaves at most so many files: each is an output.
PARTS_MAX = 100_000


class UriOutput(BaseModel):
    """`uri`: where the new file lies."""

    uri: str


class Concat(RunnableTask):
    """Join files into one.

    Properties: `files` (a list of addresses, or its JSON text), `separator` (a text after each
    file, the last one too), `extension` of the new file (.tmp). Outputs: `uri`.

    Example:
        ```yaml
        id: joined
        namespace: docs.tasks
        tasks:
          - id: first
            type: io.kestra.plugin.core.storage.Write
            content: "one\\n"
          - id: second
            type: io.kestra.plugin.core.storage.Write
            content: "two\\n"
          - id: both
            type: io.kestra.plugin.core.storage.Concat
            files: ["{{ outputs.first.uri }}", "{{ outputs.second.uri }}"]
            extension: .txt
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Concat"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.Concat",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = UriOutput

    files: list[Text] | str
    separator: str | None = None
    extension: Text = ".tmp"

    def run(self, context: RunContext) -> UriOutput:
        uris = text_list(context, self.files, "files")
        separator = (self.separator or "").encode()
        chunks = chain.from_iterable(
            chain(_chunks(context, uri), (separator,) if separator else ()) for uri in uris
        )
        return UriOutput(
            uri=context.store_stream(chunks, f"concat{context.render(self.extension)}")
        )


class SplitOutput(BaseModel):
    """`uris`: of the parts, in order."""

    uris: list[str]


class Split(RunnableTask):
    """Cut a file into parts, at the ends of its rows.

    Properties: `from` (an address), and one of `bytes` (a size such as 10MB that no part exceeds),
    `partitions` (so many parts; rows are dealt out in turn) and `rows` (per part); `separator`
    (a line's end). Outputs: `uris`.

    Example:
        ```yaml
        id: parts
        namespace: docs.tasks
        tasks:
          - id: rows
            type: io.kestra.plugin.core.storage.Write
            content: "1\\n2\\n3\\n"
          - id: cut
            type: io.kestra.plugin.core.storage.Split
            from: "{{ outputs.rows.uri }}"
            rows: 2
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Split"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.Split",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = SplitOutput

    from_: Text = Field(alias="from")
    size_bytes: int | str | None = Field(None, alias="bytes")
    partitions: int | str | None = None
    rows: int | str | None = None
    separator: str = "\n"

    def run(self, context: RunContext) -> SplitOutput:
        uri = context.render(self.from_)
        how = SplitBy(
            None if self.size_bytes is None else size_of(context.render(self.size_bytes)),
            whole(context, self.partitions),
            whole(context, self.rows),
            self.separator.encode(),
        )
        uris: list[str] = []
        with context.open_stored(uri) as source:
            for chunks in split(source, how):
                if len(uris) == PARTS_MAX:
                    raise TaskError(f"Expected at most {PARTS_MAX} parts: make them larger.")
                name = _numbered(uri, len(uris))
                uris.append(context.store_stream(_watched(context, chunks), name))
        return SplitOutput(uris=uris)


class SizeOutput(BaseModel):
    """`size`: in bytes."""

    size: int


class Size(RunnableTask):
    """Tell the size of a file.

    Properties: `uri`. Outputs: `size` in bytes.

    Example:
        ```yaml
        id: sizes
        namespace: docs.tasks
        tasks:
          - id: file
            type: io.kestra.plugin.core.storage.Write
            content: "12345"
          - id: measure
            type: io.kestra.plugin.core.storage.Size
            uri: "{{ outputs.file.uri }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Size"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.Size",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = SizeOutput

    uri: Text

    def run(self, context: RunContext) -> SizeOutput:
        return SizeOutput(size=context.stored_size(context.render(self.uri)))


class Reverse(RunnableTask):
    """Write a file's rows in the opposite order.

    Properties: `from` (an address), `separator` (a line's end), `charset` (UTF-8). Outputs: `uri`.

    Example:
        ```yaml
        id: backwards
        namespace: docs.tasks
        tasks:
          - id: rows
            type: io.kestra.plugin.core.storage.Write
            content: "1\\n2\\n3\\n"
          - id: turn
            type: io.kestra.plugin.core.storage.Reverse
            from: "{{ outputs.rows.uri }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Reverse"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.Reverse",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = UriOutput

    from_: Text = Field(alias="from")
    separator: str = "\n"
    charset: Text = "UTF-8"

    def run(self, context: RunContext) -> UriOutput:
        uri = context.render(self.from_)
        try:
            separator = self.separator.encode(self.charset)
        except (LookupError, UnicodeEncodeError) as error:
            raise TaskError(f"Expected a charset that has the separator, but {error}.") from None
        if not separator:
            raise TaskError("Expected a separator, but it was empty.")
        with context.open_stored(uri) as source:
            rows = _watched(context, _backwards(source, context.stored_size(uri), separator))
            return UriOutput(uri=context.store_stream(rows, f"reversed{_extension(uri)}"))


class DeleteOutput(BaseModel):
    """`uri`: as given; `deleted`: whether there was a file."""

    uri: str
    deleted: bool


class Delete(RunnableTask):
    """Delete a file.

    Properties: `uri`, `errorOnMissing` (false). Outputs: `uri` and `deleted`.

    Example:
        ```yaml
        id: cleaning
        namespace: docs.tasks
        tasks:
          - id: file
            type: io.kestra.plugin.core.storage.Write
            content: "temporary"
          - id: remove
            type: io.kestra.plugin.core.storage.Delete
            uri: "{{ outputs.file.uri }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Delete"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.Delete",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = DeleteOutput

    uri: Text
    error_on_missing: bool | str = Field(False, alias="errorOnMissing")

    def run(self, context: RunContext) -> DeleteOutput:
        uri = context.render(self.uri)
        deleted = context.delete_stored(uri)
        if not deleted and flag(context, self.error_on_missing):
            raise TaskError(f"Expected a file at {uri}, but there is none.")
        return DeleteOutput(uri=uri, deleted=deleted)


class Write(RunnableTask):
    """Write a text into a new file.

    Properties: `content`, `extension` of the file (.tmp). Outputs: `uri`.

    Example:
        ```yaml
        id: note
        namespace: docs.tasks
        tasks:
          - id: file
            type: io.kestra.plugin.core.storage.Write
            content: "Written on {{ execution.startDate | date('yyyy-MM-dd') }}"
            extension: .txt
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.Write"
    OUTPUTS: ClassVar[type[BaseModel] | None] = UriOutput

    content: Text
    extension: Text = ".tmp"

    def run(self, context: RunContext) -> UriOutput:
        text = context.render(self.content).encode()
        name = f"content{context.render(self.extension)}"
        return UriOutput(uri=context.store_stream((text,), name))


def _chunks(context: RunContext, uri: str) -> Iterator[bytes]:
    with context.open_stored(uri) as source:
        yield from _watched(context, iter(lambda: source.read(READ_BYTES), b""))


def _watched(context: RunContext, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks until the attempt is cancelled."""
    for chunk in chunks:
        if context.is_cancelled():
            raise TaskError("The task was stopped.")
        yield chunk


def _backwards(source: BinaryIO, size_bytes: int, separator: bytes) -> Iterator[bytes]:
    """The rows from the last to the first, each with its separator, a block of them at a time."""
    rest, end, is_last = b"", size_bytes, True
    while end > 0:
        start = max(0, end - READ_BYTES)
        source.seek(start)
        first, *rows = (source.read(end - start) + rest).split(separator)
        if is_last and rows:
            is_last = False
            if not rows[-1]:
                rows.pop()  # What follows the last separator: nothing.
        if rows:
            yield separator.join(reversed(rows)) + separator
        if len(first) > ROW_BYTES_MAX:
            raise TaskError(f"Expected rows of at most {ROW_BYTES_MAX} bytes, but one is longer.")
        rest, end = first, start
    if size_bytes:
        yield rest + separator


def _numbered(uri: str, number: int) -> str:
    path = PurePosixPath(file_name(uri))
    return f"{path.stem}-{number:05d}{path.suffix}"


def _extension(uri: str) -> str:
    return PurePosixPath(file_name(uri)).suffix or ".tmp"


PLUGINS = (
    Concat,
    Split,
    Size,
    Reverse,
    Delete,
    Write,
)
