"""The cache of a WorkingDirectory: files that the next execution finds in its folder again.

One archive per task and value in internal storage, replaced when any of its files has changed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tiercel_engine.errors import NotFound, TaskError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.storage.globs import matcher
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import cache_file
from tiercel_schemas.jobs import TaskJob
from tiercel_worker.task_runner.files import OWN_PREFIX

ARCHIVE = "cache.zip"
#: Files of one cache.
FILES_MAX = 200_000


class FolderCache:
    """The cache of one WorkingDirectory.

    Args:
        uri: where the archive lies.
        patterns: globs of the files that belong into it.
        ttl_s: an older archive is not used; None: it never gets too old.
    """

    def __init__(
        self, storage: Storage, uri: str, patterns: Iterable[str], ttl_s: float | None
    ) -> None:
        self._storage = storage
        self._uri = uri
        self._matches = matcher(patterns)
        self._ttl_s = ttl_s
        self._restored: dict[str, int] = {}

    @classmethod
    def of(
        cls, properties: Mapping[str, Any], job: TaskJob, storage: Storage
    ) -> FolderCache | None:
        """The cache that the properties of a WorkingDirectory ask for."""
        cache = properties.get("cache")
        if not cache:
            return None
        uri = cache_file(job.namespace, job.flow_id, job.task_id, job.value)
        ttl = cache.get("ttl")
        return cls(storage, uri, cache["patterns"], None if ttl is None else parse_duration_s(ttl))

    def restore(self, folder: Path, now_us: int) -> bool:
        """Put the files into the folder; False when there are none that may be used.

        Raises:
            TaskError: what is there is no archive.
        """
        try:
            age_s = (now_us - self._storage.stored(self._uri).modified_us) / 1_000_000
            if self._ttl_s is not None and age_s > self._ttl_s:
                return False
            with TemporaryDirectory(prefix="tiercel-cache-") as place:
                self._storage.download(self._uri, Path(place) / ARCHIVE)
                with zipfile.ZipFile(Path(place) / ARCHIVE) as archive:
                    for member in archive.infolist()[:FILES_MAX]:
                        # `extract` keeps every member below the folder, whatever its name.
                        path = Path(archive.extract(member, folder))
                        path.chmod(path.stat().st_mode | (member.external_attr >> 16 & 0o111))
        except NotFound:
            return False
        except zipfile.BadZipFile as error:
            raise TaskError(f"Expected an archive at {self._uri}, but {error}.") from error
        self._restored = self._files(folder)
        return True

    def save(self, folder: Path) -> bool:
        """Keep the files of the folder; False when they are those that were put there.

        Raises:
            TaskError: there are too many.
        """
        files = self._files(folder)
        if files == self._restored:
            return False
        if len(files) > FILES_MAX:
            raise TaskError(f"Expected at most {FILES_MAX} files in a cache, but {len(files)}.")
        with TemporaryDirectory(prefix="tiercel-cache-") as place:
            path = Path(place) / ARCHIVE
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as new:
                for name in files:
                    new.write(folder / name, name)
            self._storage.put_file(self._uri, path)
        return True

    def _files(self, folder: Path) -> dict[str, int]:
        """Name -> when it changed last (nanoseconds), of the files that belong into the cache."""
        found = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if name.startswith(OWN_PREFIX) or path.is_symlink() or not path.is_file():
                continue
            if self._matches(name):
                found[name] = path.stat().st_mtime_ns
        return found
