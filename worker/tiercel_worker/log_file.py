"""The log of an attempt as a file of internal storage, for tasks with `logToFile`."""

from __future__ import annotations

import tempfile

from tiercel_engine.clock import iso
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import task_file
from tiercel_schemas.jobs import TaskJob
from tiercel_worker.attempt import files_of, run_files_of

#: Lines are kept in memory up to this size, then on disk.
MEMORY_BYTES_MAX = 256 * 1024


class LogFile:
    """Collects the lines of one attempt. Whoever uses it from several threads locks."""

    def __init__(self) -> None:
        self._lines = tempfile.SpooledTemporaryFile(MEMORY_BYTES_MAX)  # noqa: SIM115 - closed in store

    def add(self, at_us: int, level: str, message: str) -> None:
        """Add a line."""
        self._lines.write(f"{iso(at_us)} {level} {message}\n".encode())

    def store(self, storage: Storage, job: TaskJob) -> str:
        """Put it into storage and close it; returns its address.

        Raises:
            TiercelError, OSError: storage does not take it.
        """
        uri = task_file(
            job.namespace,
            job.flow_id,
            files_of(job),
            job.task_id,
            run_files_of(job),
            f"log-{job.attempt}-{job.epoch}.txt",
        )
        with self._lines:
            self._lines.seek(0)
            storage.put_stream(uri, self._lines)
        return uri
