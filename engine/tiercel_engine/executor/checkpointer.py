"""When checkpoints are taken and where they lie. Uploading happens beside the loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from tiercel_engine.errors import TiercelError
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.executor import checkpoint as checkpoints
from tiercel_engine.executor.partition import Partition
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_engine.storage.objects import Storage

log = structlog.get_logger(__name__)

#: How long a clean stop waits for its last checkpoints.
CLOSE_TIMEOUT_S = 10.0


class Checkpointer:
    """Writes checkpoints of partitions to internal storage, one upload at a time."""

    def __init__(self, event_log: EventLog, topic: str, storage: Storage, every_s: float) -> None:
        self._log = event_log
        self._topic = topic
        self._storage = storage
        self._every_s = every_s
        self._due_s = time.monotonic() + every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._uploads: list[Future[None]] = []

    def _path(self, partition: int) -> str:
        return f"_checkpoints/{self._topic}/{partition}.msgpack"

    def load(self, partition: int) -> bytes | None:
        """The newest checkpoint's bytes, if there are any."""
        return self._storage.get_internal(self._path(partition))

    def take_due(self, partitions: Iterable[Partition], settings: ExecutorSettings) -> None:
        """Take checkpoints of partitions that have moved on enough since the last ones."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + self._every_s
        busy = [
            p
            for p in partitions
            if p.commands_since_checkpoint >= settings.checkpoint_after_records
        ]
        self.take_all(busy)

    def take_all(self, partitions: Iterable[Partition], final: bool = False) -> None:
        """Take checkpoints now; `final` waits for the uploads."""
        self._uploads = [upload for upload in self._uploads if not upload.done()]
        for partition in partitions:
            if partition.commands_since_checkpoint == 0:
                continue
            offset = self._log.end_offset(self._topic, partition.number)
            snapshot = checkpoints.take(partition, offset)
            partition.commands_since_checkpoint = 0
            self._uploads.append(self._thread.submit(self._upload, partition.number, snapshot))
        if final:
            for upload in self._uploads:
                upload.result(CLOSE_TIMEOUT_S)

    def _upload(self, partition: int, snapshot: checkpoints.Checkpoint) -> None:
        try:
            self._storage.put_internal(self._path(partition), checkpoints.encode(snapshot))
        except (TiercelError, OSError) as error:
            # The log has everything; only the next start takes longer.
            log.warning("checkpoint_failed", partition=partition, error=str(error))

    def close(self) -> None:
        self._thread.shutdown(wait=True)
