"""The files of a namespace, with folders: `/<namespace>/_files/…` in internal storage.

Object stores know no folders: one is there when something lies below it. A folder that was made
while it is empty holds a marker, which no listing shows. Paths are given with or without a leading
slash, and returned with one, as the peer's clients send and expect them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from tiercel_engine.errors import Conflict, NotFound
from tiercel_engine.storage.objects import Storage, StoredFile
from tiercel_engine.storage.revisions import Revisions
from tiercel_engine.storage.rooms import namespaces_with
from tiercel_engine.storage.uri import namespace_file, namespace_folder

#: Lies in folders that were made by name.
MARKER = ".tiercel-folder"


class Entry(NamedTuple):
    """A file or a folder. `path` starts with a slash; a folder has no size and no time."""

    path: str
    is_folder: bool
    size_bytes: int = 0
    modified_us: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class NamespaceFiles:
    """The files of one namespace. Thread-safe.

    Every method raises UserError for a path that leaves the namespace.
    """

    def __init__(self, storage: Storage, namespace: str) -> None:
        self._storage = storage
        self._namespace = namespace
        self._root = namespace_folder(namespace, "_files")
        self._revisions = Revisions(storage, namespace, "_revisions")

    # ---- files

    def uri(self, path: str) -> str:
        """Where a file lies."""
        return namespace_file(self._namespace, path)

    def put(self, path: str, source: BinaryIO | Iterable[bytes]) -> int:
        """Write a file; return its size in bytes. What was there is kept as a revision.

        Raises:
            Conflict: there is a folder of that name.
        """
        if self.is_folder(path):
            raise Conflict(f"Expected a file at {_slashed(path)}, but there is a folder.")
        self.keep(path)
        return self._storage.put_stream(self.uri(path), source)

    def keep(self, path: str) -> None:
        """Keep what a file holds as a revision, before something is written over it."""
        self._revisions.keep(_slashed(path), self.uri(path))

    def revisions(self, path: str) -> list[int]:
        """The numbers of a file's contents that can be read, oldest first. Raises NotFound."""
        self._storage.size(self.uri(path))
        path = _slashed(path)
        kept = [revision.number for revision in self._revisions.kept(path)]
        return [*kept, self._revisions.current(path)]

    def revision_uri(self, path: str, number: int) -> str:
        """Where a content of a file lies. Raises NotFound: it is not kept."""
        self._storage.size(self.uri(path))
        if number == self._revisions.current(_slashed(path)):
            return self.uri(path)
        for revision in self._revisions.kept(_slashed(path)):
            if revision.number == number:
                return revision.uri
        raise NotFound(f"Expected revision {number} of {_slashed(path)}, but it is not kept.")

    def purge_revisions(self, path: str, before_us: int | None, kept_max: int) -> int:
        """Delete earlier contents of a file; as `Revisions.purge`."""
        return self._revisions.purge(_slashed(path), before_us, kept_max)

    def open(self, path: str) -> BinaryIO:
        """The file as a stream; close it. Raises NotFound."""
        return self._storage.open(self.uri(path))

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        return self._storage.exists(self.uri(path))

    # ---- files and folders

    def entry(self, path: str) -> Entry:
        """What lies at a path. Raises NotFound."""
        path = _slashed(path)
        if path == "/":
            return Entry(path, is_folder=True)
        parent = path.rpartition("/")[0]
        for entry in self._children(parent):
            if entry.path == path:
                return entry
        raise NotFound(f"Expected a file or folder at {path}, but there is none.")

    def children(self, path: str = "/") -> list[Entry]:
        """What lies in a folder, folders first.

        Raises:
            NotFound: there is no such folder; the root is always there.
        """
        found = self._children(path)
        if not found and _slashed(path) != "/" and not self.is_folder(path):
            raise NotFound(f"Expected a folder at {_slashed(path)}, but there is none.")
        return sorted(found, key=lambda entry: (not entry.is_folder, entry.path))

    def all(self, matches: Callable[[str], bool] = lambda path: True) -> Iterator[Entry]:
        """Every file whose path (without its leading slash) matches, in no promised order."""
        for file in self._storage.list(self._root):
            path = self._path(file)
            if not path.endswith("/" + MARKER) and matches(path[1:]):
                yield Entry(path, False, file.size_bytes, file.modified_us)

    def search(self, text: str) -> list[str]:
        """The paths of the files with this text in them, whatever its case."""
        wanted = text.casefold()
        return sorted(e.path for e in self.all(lambda path: wanted in path.casefold()))

    def namespaces(self, root: str) -> Iterator[str]:
        """The namespace `root` ("": all) and those below it that have files."""
        return namespaces_with(self._storage, "_files", root)

    def make_folder(self, path: str) -> None:
        """Make a folder; nothing happens when there is one.

        Raises:
            Conflict: there is a file of that name.
        """
        if _slashed(path) == "/":
            return
        if self.exists(path):
            raise Conflict(f"Expected a folder at {_slashed(path)}, but there is a file.")
        self._storage.put(self.uri(f"{path.strip('/')}/{MARKER}"), b"")

    def move(self, source: str, target: str) -> None:
        """Move a file, or a folder with all below it.

        Raises:
            NotFound: there is nothing at `source`.
            Conflict: something lies at `target` already, or it is inside `source`.
        """
        source, target = _slashed(source), _slashed(target)
        entry = self.entry(source)
        if f"{target}/".startswith(f"{source}/") or self.is_folder(target) or self.exists(target):
            raise Conflict(
                f"Expected a free place for {source}, but it was {target}: move or delete what is"
                " there, and do not move a folder into itself."
            )
        if not entry.is_folder:
            self._move(source, target)
        else:
            for path in [self._path(f) for f in self._storage.list(self.uri(source))]:
                self._move(path, target + path.removeprefix(source))
        self._drop_empty(source)

    def delete(self, path: str) -> bool:
        """Delete a file, or a folder with all below it, and folders that become empty by it.

        Earlier contents go, too.
        """
        for file in list(self._storage.list(self.uri(path))):
            self._revisions.forget(self._path(file))
        self._revisions.forget(_slashed(path))
        deleted = self._storage.delete(self.uri(path)) or (
            self._storage.delete_prefix(self.uri(path)) > 0
        )
        self._drop_empty(path)
        return deleted

    # ----

    def _move(self, source: str, target: str) -> None:
        self._revisions.move(source, target)
        self._storage.move(self.uri(source), self.uri(target))

    def _children(self, path: str) -> list[Entry]:
        folder = self._root if _slashed(path) == "/" else self.uri(path)
        folders, files = self._storage.list_folder(folder)
        found = [Entry(self._decoded(uri), is_folder=True) for uri in folders]
        found += [Entry(self._path(f), False, f.size_bytes, f.modified_us) for f in files]
        return [entry for entry in found if entry.name != MARKER]

    def is_folder(self, path: str) -> bool:
        """Whether anything lies below a path."""
        return next(iter(self._storage.list(self.uri(path))), None) is not None

    def _drop_empty(self, path: str) -> None:
        """Delete the markers of parents in which nothing else is left."""
        parent = _slashed(path).rpartition("/")[0]
        while parent and not self._children(parent):
            self._storage.delete(self.uri(f"{parent}/{MARKER}"))
            parent = parent.rpartition("/")[0]

    def _path(self, file: StoredFile) -> str:
        return self._decoded(file.uri)

    def _decoded(self, uri: str) -> str:
        return unquote(uri.removeprefix(self._root))


def _slashed(path: str) -> str:
    return "/" + path.strip("/")
