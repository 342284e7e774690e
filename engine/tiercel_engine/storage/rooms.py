"""Which namespaces have something in one of their rooms: pairs in `_kv`, files in `_files`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import SCHEME, file_name, namespace_folder, parse

#: A namespace has no more parts, since it has no more characters.
NAMESPACE_DEPTH_MAX = 75
#: Folders beside those of namespaces, and in those of flows.
_NO_NAMESPACES = frozenset(
    {"_kv", "_files", "_revisions", "_kv_revisions", "_namespaces", "executions", "cache"}
)


def namespaces_with(storage: Storage, room: str, root: str) -> Iterator[str]:
    """The namespace `root` ("": all) and those below it that have this room.

    It looks at folders alone, and not into those of executions.
    """
    level = [namespace_folder(root, room).removesuffix(room) if root else f"{SCHEME}/"]
    for _ in range(NAMESPACE_DEPTH_MAX):
        below: list[str] = []
        for folder in level:
            folders, _files = storage.list_folder(folder)
            names = {file_name(uri): uri for uri in folders}
            if room in names:
                yield ".".join(unquote(part) for part in parse(folder).split("/"))
            below += [uri for name, uri in names.items() if name not in _NO_NAMESPACES]
        level = below
