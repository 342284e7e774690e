"""Earlier contents of the files and pairs of a namespace, by the number of their revision.

An object is copied to `/<namespace>/<room>/<hash of its path>/<number>` before another content is
written over it, so it is never missing from its place. A pair carries its number. A file's own one
follows: one more than the newest that was kept; where that is purged, an empty mark stays, so that
no number is given twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from tiercel_engine.errors import NotFound
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import file_name, namespace_folder

_GONE = ".gone"


class Revision(NamedTuple):
    """An earlier content. `modified_us`: when it was written, or put aside on an object store."""

    number: int
    uri: str
    modified_us: int


class Revisions:
    """Earlier contents of objects of one namespace.

    Args:
        room: the folder of the namespace that they lie in.
        is_numbered: whether the objects carry the numbers of their revisions.
    """

    def __init__(
        self, storage: Storage, namespace: str, room: str, *, is_numbered: bool = False
    ) -> None:
        self._storage = storage
        self._root = namespace_folder(namespace, room)
        self._is_numbered = is_numbered

    def keep(self, path: str, uri: str, number: int | None = None) -> None:
        """Put the content that an object has now aside; nothing happens without one.

        Of one object `Storage.revisions_max` are kept; the oldest go. `number`: of its revision,
        when it carries one.
        """
        kept_max = self._storage.revisions_max
        kept, following = self._look(path)
        number = following if number is None else number
        try:
            if kept and self._storage.is_copy(kept[-1].uri, uri):
                return  # A write that failed has put it aside before.
            self._storage.copy(uri, f"{self._folder(path)}/{number}")
        except NotFound:
            return
        for old in kept[: max(0, len(kept) + 1 - kept_max)]:
            self._storage.delete(old.uri)

    def kept(self, path: str) -> list[Revision]:
        """What is kept, oldest first."""
        return self._look(path)[0]

    def current(self, path: str) -> int:
        """The number of the content that the file has now."""
        return self._look(path)[1]

    def purge(self, path: str, before_us: int | None, kept_max: int) -> int:
        """Delete what is kept beyond the newest `kept_max`, if older than a date; how many went."""
        kept, current = self._look(path)
        for number, mark in list(self._numbered(path)):
            if mark.uri.endswith(_GONE) and number < current - 1:
                self._storage.delete(mark.uri)
        old = kept[: max(0, len(kept) - kept_max)]
        doomed = [r for r in old if before_us is None or r.modified_us < before_us]
        for revision in doomed:
            if revision.number == current - 1 and not self._is_numbered:
                self._storage.put(revision.uri + _GONE, b"")
            self._storage.delete(revision.uri)
        return len(doomed)

    def move(self, source: str, target: str) -> None:
        """Let what is kept of one path be kept of another."""
        for file in list(self._storage.list(self._folder(source))):
            self._storage.move(file.uri, f"{self._folder(target)}/{file_name(file.uri)}")

    def forget(self, path: str) -> None:
        """Delete all that is kept of a path."""
        self._storage.delete_prefix(self._folder(path))

    def _look(self, path: str) -> tuple[list[Revision], int]:
        """What is kept, oldest first, and the number of the content that the file has now."""
        kept, newest = [], 0
        for number, revision in self._numbered(path):
            newest = max(newest, number)
            if not revision.uri.endswith(_GONE):
                kept.append(revision)
        return sorted(kept), newest + 1

    def _numbered(self, path: str) -> Iterator[tuple[int, Revision]]:
        for file in self._storage.list(self._folder(path)):
            number = int(file_name(file.uri).removesuffix(_GONE))
            yield number, Revision(number, file.uri, file.modified_us)

    def _folder(self, path: str) -> str:
        return f"{self._root}/{sha256(path.encode()).hexdigest()[:32]}"
