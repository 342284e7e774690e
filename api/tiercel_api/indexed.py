"""Whether the read model holds what the log did when it was asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from aiohttp import web

from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.eventlog.base import EventLog
from tiercel_schemas.topics import Topic

#: After so long without the last record, the last offsets may hold none: commits have some, too.
LOOK_S = 0.1


async def is_indexed(
    request: web.Request, topic: Topic, partitions: Iterable[int] | None, timeout_s: float
) -> bool:
    """Wait until the read model holds what partitions (None: all) hold now; False: not in time."""
    log = request.app[SERVICES].log
    if partitions is None:
        partitions = range(await asyncio.to_thread(log.partition_count, topic.name))
    waits = (_is_indexed(request, topic.name, number, timeout_s) for number in partitions)
    return all(await asyncio.gather(*waits))


async def _is_indexed(request: web.Request, topic: str, partition: int, timeout_s: float) -> bool:
    services, reads = request.app[SERVICES], request.app[READS]
    deadline = time.monotonic() + timeout_s
    end = await asyncio.to_thread(services.log.end_offset, topic, partition)
    look_s = min(LOOK_S, timeout_s)
    while not await reads.indexed_up_to(topic, partition, end, look_s):
        offsets = await reads.call(services.models.indexed_offsets)
        start = offsets.get((topic, partition), 0)
        if not await asyncio.to_thread(_has_records, services.log, topic, partition, start, end):
            return True
        if time.monotonic() >= deadline:
            return False
        look_s = max(0.0, min(2 * look_s, deadline - time.monotonic()))
    return True


def _has_records(log: EventLog, topic: str, partition: int, start: int, end: int) -> bool:
    return any(True for _ in log.read(topic, partition, start, end))
