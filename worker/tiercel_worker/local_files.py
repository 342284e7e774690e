"""Files of the worker's machine, at `file:///` addresses: below allowed folders alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from tiercel_engine.errors import TaskError
from tiercel_engine.storage.uri import LOCAL_SCHEME


class LocalFiles:
    """Reads files below `folders`; of none, nothing.

    Links are followed before a path is judged, so that one inside a folder leads nowhere else.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._roots = tuple(folder.resolve() for folder in folders)

    def path(self, uri: str) -> Path:
        """Where the file of an address lies.

        Raises:
            TaskError: it is below no allowed folder, or no file.
        """
        text = unquote(uri.removeprefix(LOCAL_SCHEME))
        if "\x00" in text:
            raise TaskError(f"Expected the address of a file, but it was {uri[:200]!r}.")
        path = Path("/", text).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            raise TaskError(
                f"Expected a file below an allowed folder, but it was {uri[:200]}. Start the worker"
                " with --local-paths and the folders whose files flows may read."
            )
        if not path.is_file():
            raise TaskError(f"Expected a file at {uri[:200]}, but there is none.")
        return path

    def fetch(self, uri: str, target: Path) -> int:
        """Copy a file; its size in bytes. Raises as `path`."""
        shutil.copyfile(self.path(uri), target)
        return target.stat().st_size
