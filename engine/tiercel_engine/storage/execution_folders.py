"""The folders of executions in internal storage: which there are, how old, how to delete one.

`/<namespace>/<flow>/executions/<id>/…` is read back from the objects below it. Where an address can
be read in two ways, because a flow or a file bears such a name, it counts as none: nothing is
deleted that may be something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import SCHEME, execution_root, namespace_folder, slugify
from tiercel_schemas.ids import ID_LENGTH

#: A name with a leading dash below is a room of a namespace; that of a flow never has one but
#: where it has no letters at all. What lies right below the folder of an execution.
_ROOMS = "tasks|inputs|trigger|values"
_FOLDER = re.compile(
    rf"(?=/(?P<flow>[^/_][^/]*|_)/executions/(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})(?P<end>/)(?:{_ROOMS})/)"
)
_ANY_ID = "x"


class Folder(NamedTuple):
    """The folder of an execution. `uri` has no slash at its end."""

    uri: str
    execution_id: str


class Content(NamedTuple):
    """How many files a folder has, and when the newest was written, in microseconds."""

    files: int
    newest_us: int


class ExecutionFolders:
    """The folders of the executions of a flow, of a namespace and those below it, or of all."""

    def __init__(
        self, storage: Storage, namespace: str | None = None, flow_id: str | None = None
    ) -> None:
        self._storage = storage
        self._flow = None if flow_id is None else slugify(flow_id)
        if namespace is None:
            self._root = f"{SCHEME}/"
        elif flow_id is None:
            self._root = namespace_folder(namespace, _ANY_ID).removesuffix(f"/{_ANY_ID}")
        else:
            root = execution_root(namespace, flow_id, _ANY_ID)
            self._root = root.removesuffix(f"/{_ANY_ID}")

    def __iter__(self) -> Iterator[Folder]:
        """Folder by folder; one whose files the store does not list together comes again."""
        last = ""
        for file in self._storage.list(self._root):
            folder = folder_of(file.uri, self._flow)
            if folder is not None and folder.uri != last:
                last = folder.uri
                yield folder

    def content(self, folder: Folder) -> Content:
        """What lies in a folder now."""
        files, newest_us = 0, 0
        for file in self._storage.list(folder.uri):
            files, newest_us = files + 1, max(newest_us, file.modified_us)
        return Content(files, newest_us)

    def delete(self, folder: Folder) -> int:
        """Delete a folder with its files; how many there were."""
        return self._storage.delete_prefix(folder.uri)


def folder_of(uri: str, flow: str | None = None) -> Folder | None:
    """The folder of the execution that a file belongs to; None: of none, or maybe of another.

    `flow`: only if it is of a flow of this name, as addresses have it.
    """
    path = uri.removeprefix(SCHEME)
    found = list(_FOLDER.finditer(path))
    if len(found) != 1 or flow not in (None, found[0]["flow"]):
        return None
    return Folder(SCHEME + path[: found[0].start("end")], found[0]["id"])
