"""Internal storage: files at kestra:/// addresses, in a local folder, S3, GCS or Azure.

Everything is streamed: memory stays bounded whatever a file's size. Writes are atomic: a reader
sees the whole object or none. Thread-safe.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from tiercel_engine.errors import Conflict, NotFound, TransientError
from tiercel_engine.storage.uri import SCHEME, parse

#: How much is read at once.
CHUNK_BYTES = 1 << 20
#: Parts that an upload to a cloud is made of, and how many are in flight. S3 takes none below 5 MiB
#: but the last, and 10,000 of them: an object has at most 60 GiB.
PART_BYTES = 6 << 20
UPLOADS_MAX = 2
#: Earlier contents that are kept of a pair or a file of a namespace, unless the settings differ.
REVISIONS_MAX = 20
#: How many objects one round of deleting names.
DELETE_BATCH_MAX = 500


class StoredFile(NamedTuple):
    """An object as `list` tells it. `modified_us`: microseconds since the epoch."""

    uri: str
    size_bytes: int
    modified_us: int


class Storage:
    """Internal storage.

    Args:
        url: a folder, `file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://…`. Credentials
            of the clouds come from their usual environment variables.
        revisions_max: earlier contents that are kept of each pair and each file of a namespace.
    """

    def __init__(self, url: str | Path, revisions_max: int = REVISIONS_MAX) -> None:
        self.revisions_max = revisions_max
        text = str(url)
        if text.startswith("file://"):
            text = text.removeprefix("file://")
        if "://" in text:
            self._store: Any = from_url(text)
            self._part_bytes = PART_BYTES
        else:
            self._part_bytes = CHUNK_BYTES
            self._store = LocalStore(Path(text).absolute(), automatic_cleanup=True, mkdir=True)

    # ---- writing

    def put(self, uri: str, data: bytes) -> None:
        """Write an object, over the one that is there."""
        with _explained(uri):
            obstore.put(self._store, parse(uri), data, use_multipart=False)

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object where there is none; False, and nothing written, when there is one."""
        try:
            with _explained(uri):
                obstore.put(self._store, parse(uri), data, mode="create")
        except Conflict:
            return False
        return True

    def put_file(self, uri: str, path: Path) -> int:
        """Write a local file's content; return its size in bytes."""
        with path.open("rb") as source:
            return self.put_stream(uri, source)

    def put_stream(self, uri: str, source: BinaryIO | Iterable[bytes]) -> int:
        """Write what a stream or the chunks give; return the size in bytes.

        When `source` raises, nothing is written.
        """
        chunks = _chunks(source) if hasattr(source, "read") else source
        size_bytes = 0
        with (
            _explained(uri),
            obstore.open_writer(
                self._store, parse(uri), buffer_size=self._part_bytes, max_concurrency=UPLOADS_MAX
            ) as writer,
        ):
            for chunk in chunks:
                writer.write(chunk)
                size_bytes += len(chunk)
        return size_bytes

    # ---- reading

    def get(self, uri: str) -> bytes:
        """The whole object, for small ones. Raises NotFound."""
        with _explained(uri):
            return bytes(obstore.get(self._store, parse(uri)).bytes())

    def open(self, uri: str) -> BinaryIO:
        """The object as a seekable stream, read piece by piece; close it. Raises NotFound."""
        with _explained(uri):
            reader = obstore.open_reader(self._store, parse(uri), buffer_size=CHUNK_BYTES)
        return io.BufferedReader(_ObjectReader(uri, reader), CHUNK_BYTES)

    def download(self, uri: str, path: Path) -> int:
        """Copy an object into a local file; return its size in bytes. Raises NotFound."""
        size_bytes = 0
        with _explained(uri):
            stream = obstore.get(self._store, parse(uri)).stream(min_chunk_size=CHUNK_BYTES)
            with path.open("wb") as target:
                for chunk in stream:
                    target.write(chunk)
                    size_bytes += len(chunk)
        return size_bytes

    def exists(self, uri: str) -> bool:
        """Whether there is an object."""
        try:
            self.size(uri)
        except NotFound:
            return False
        return True

    def size(self, uri: str) -> int:
        """The object's size in bytes. Raises NotFound."""
        with _explained(uri):
            return int(obstore.head(self._store, parse(uri))["size"])

    def stored(self, uri: str) -> StoredFile:
        """What is known of an object. Raises NotFound."""
        with _explained(uri):
            return _stored(obstore.head(self._store, parse(uri)))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every object below a folder's address (or `kestra:///`), in no promised order."""
        key = _folder_key(prefix)
        with _explained(prefix):
            for batch in obstore.list(self._store, key):
                for meta in batch:
                    # On a local folder an object is told as lying below itself, too.
                    if meta["path"] != key:
                        yield _stored(meta)

    def list_folder(self, folder: str) -> tuple[Sequence[str], Sequence[StoredFile]]:
        """The addresses of the folders right below a folder, and the objects there.

        `folder`: an address, or `kestra:///` for the root.
        """
        key = _folder_key(folder)
        with _explained(folder):
            found = obstore.list_with_delimiter(self._store, key)
        # On a local folder an object is told as lying below itself, too.
        files = [_stored(meta) for meta in found["objects"] if meta["path"] != key]
        return [f"{SCHEME}/{path}" for path in found["common_prefixes"]], files

    def is_copy(self, uri: str, of: str) -> bool:
        """Whether two objects have one tag, which what a store has copied has. Raises NotFound."""
        with _explained(uri):
            one = obstore.head(self._store, parse(uri))
        with _explained(of):
            other = obstore.head(self._store, parse(of))
        return one["e_tag"] is not None and one["e_tag"] == other["e_tag"]

    # ---- moving and deleting

    def copy(self, source: str, target: str) -> None:
        """Copy an object, over the one that is there. Raises NotFound."""
        with _explained(source):
            obstore.copy(self._store, parse(source), parse(target))

    def move(self, source: str, target: str) -> None:
        """Move an object, over the one that is there. Raises NotFound."""
        with _explained(source):
            # A rename would leave the empty folders of a local store behind.
            obstore.copy(self._store, parse(source), parse(target))
            obstore.delete(self._store, parse(source))

    def delete(self, uri: str) -> bool:
        """Delete an object; False when there was none."""
        if not self.exists(uri):
            return False
        try:
            with _explained(uri):
                obstore.delete(self._store, parse(uri))
        except NotFound:
            return False  # Somebody else deleted it in between.
        return True

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object below a folder's address; return how many."""
        deleted = 0
        batch: list[str] = []
        for file in self.list(prefix):
            batch.append(parse(file.uri))
            if len(batch) == DELETE_BATCH_MAX:
                deleted += self._delete_all(prefix, batch)
                batch = []
        return deleted + self._delete_all(prefix, batch)

    def _delete_all(self, prefix: str, keys: Sequence[str]) -> int:
        if keys:
            with _explained(prefix):
                obstore.delete(self._store, [*keys])
        return len(keys)

    # ---- the engine's own files, outside every namespace

    def get_internal(self, path: str) -> bytes | None:
        """The engine's own file at `path` (segments of plain ASCII), None when there is none."""
        try:
            return self.get(f"{SCHEME}/{path}")
        except NotFound:
            return None

    def put_internal(self, path: str, data: bytes) -> None:
        """Write the engine's own file at `path`, over the one that is there."""
        self.put(f"{SCHEME}/{path}", data)


class _ObjectReader(io.RawIOBase):
    """An obstore reader as the raw stream below `io.BufferedReader`."""

    def __init__(self, uri: str, reader: Any) -> None:
        self._uri = uri
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _explained(self._uri):
            data = self._reader.read(len(buffer))
        count = len(data)
        buffer[:count] = data
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


def _folder_key(folder: str) -> str | None:
    """The key of a folder; None for the root."""
    return None if folder == f"{SCHEME}/" else parse(folder)


def _stored(meta: Any) -> StoredFile:
    modified_us = int(meta["last_modified"].timestamp() * 1_000_000)
    return StoredFile(f"{SCHEME}/{meta['path']}", meta["size"], modified_us)


def _chunks(source: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    stream = cast("BinaryIO", source)
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """The store's errors as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"Expected a file at {uri}, but there is none.") from error
    except AlreadyExistsError as error:
        raise Conflict(f"Expected no file at {uri}, but there is one.") from error
    except BaseError as error:
        raise TransientError(
            f"Expected {uri} to be reachable, but storage says: {error}"
        ) from error
