"""Generated from avro/services.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class ServiceHeartbeat(msgspec.Struct, frozen=True, gc=False):
    """A service of a process lives, or has ended.

    Attributes:
        service_id: Which; a process that starts again under the same name has the same ones.
        kind: EXECUTOR, WORKER, SCHEDULER, INDEXER or WEBSERVER.
        state: CREATED, RUNNING, TERMINATING, TERMINATED_GRACEFULLY or ERROR.
        instance: Name of its process.
        is_alone: Whether it is the only service of its process.
        version: Of the software.
        host: Machine.
        started_us: When the process started.
        sent_us: When it said this.
        partitions: What it owns of the topic that its kind shares.
    """

    FINGERPRINT: ClassVar[str] = "ecba769c3873f3b2"

    service_id: str
    kind: str
    state: str
    instance: str
    is_alone: bool
    version: str
    host: str
    started_us: int
    sent_us: int
    partitions: tuple[int, ...] = ()
