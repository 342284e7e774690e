"""Which services live: what processes say of themselves on the log, put together.

Whoever has not been heard of for `SILENT_S` is DISCONNECTED; what has ended, or been silent, for
`FORGOTTEN_S` is shown no more. Workers tell the executors about their slots, more often than
processes speak; here this is a part of the worker's service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from aiohttp import web

from tiercel_engine.clock import Clock, iso
from tiercel_engine.eventlog.base import EventLog, Record
from tiercel_engine.eventlog.table import Table
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.codec import UnreadableRecord, decode_as
from tiercel_schemas.jobs import WorkerHeartbeat
from tiercel_schemas.services import ServiceHeartbeat
from tiercel_schemas.topics import Topics

#: Three times the pause between two heartbeats of a process.
SILENT_S = 15.0
FORGOTTEN_S = 86_400.0
RUNNING = "RUNNING"
DISCONNECTED = "DISCONNECTED"
WORKER = "WORKER"
#: States of which nothing more is to be heard.
ENDED = frozenset({"TERMINATED_GRACEFULLY", "ERROR"})

R = TypeVar("R")

log = get_logger(component="fleet")


class Fleet:
    """The services as the log tells of them. `look` may be called from any thread."""

    def __init__(self, event_log: EventLog, topics: Topics, clock: Clock) -> None:
        self._clock = clock
        self._services = _table(event_log, topics.services.name, ServiceHeartbeat)
        self._workers = _table(event_log, topics.workers.name, WorkerHeartbeat)

    def look(self) -> list[JsonObject]:
        """All services as JSON objects, ordered by kind and id. Blocks.

        Raises:
            LogUnavailable: the log does not answer.
        """
        self._services.catch_up()
        self._workers.catch_up()
        found = sorted(self._seen(), key=lambda beat: (beat.kind, beat.service_id))
        return [self._document(beat) for beat in found]

    def close(self) -> None:
        self._services.close()
        self._workers.close()

    def _seen(self) -> Iterator[ServiceHeartbeat]:
        now_us = self._clock.now_us()
        for _, beat in self._services.items():
            if now_us - beat.sent_us < FORGOTTEN_S * 1_000_000:
                yield beat

    def _document(self, beat: ServiceHeartbeat) -> JsonObject:
        is_silent = self._clock.now_us() - beat.sent_us > SILENT_S * 1_000_000
        document: JsonObject = {
            "id": beat.service_id,
            "type": beat.kind,
            "state": DISCONNECTED if is_silent and beat.state not in ENDED else beat.state,
            "server": {
                "id": beat.instance,
                "type": "SERVER" if beat.is_alone else "STANDALONE",
                "version": beat.version,
                "hostname": beat.host,
            },
            "createdAt": iso(beat.started_us),
            "updatedAt": iso(beat.sent_us),
            "partitions": list(beat.partitions),
        }
        worker = self._workers.get(beat.instance) if beat.kind == WORKER else None
        if worker is not None:
            slots = {"slots": worker.slots, "freeSlots": worker.free_slots}
            document["worker"] = {"id": worker.worker_id, "group": worker.group, **slots}
        return document


def _table(event_log: EventLog, topic: str, kind: type[R]) -> Table[R]:
    return Table(event_log, topic, lambda value: decode_as(kind, value), on_poison=_note)


def _note(record: Record, error: UnreadableRecord) -> None:
    log.warning("heartbeat_unreadable", offset=record.offset, error=str(error))


FLEET = web.AppKey("fleet", Fleet)
