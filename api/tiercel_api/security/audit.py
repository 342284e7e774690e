"""The audit log: one record per request that asked for a change, granted or not."""

from __future__ import annotations

import heapq

from aiohttp import web

from tiercel_api.errors import Handler
from tiercel_api.gateway import GATEWAY
from tiercel_api.security.guard import GUARD, PRINCIPAL, SAFE_METHODS
from tiercel_api.services import SERVICES
from tiercel_engine.errors import LogBusy
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.accounts import AuditEntry
from tiercel_schemas.codec import UnreadableRecord, decode

log = get_logger(component="api")

#: Calls by POST that only ask.
_ASKING = ("/validate", "/search", "/eval", "/graph", "/latest", "/missing", "/stats/", "/charts/")
#: Entries of one partition that one look goes through.
LOOK_BACK_MAX = 2_000


@web.middleware
async def record_changes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Append what a request asked for and how it was answered; never in its way.

    While nobody has to say who they are, there is nobody to name, and nothing is recorded.
    """
    response = await handler(request)
    if request.method in SAFE_METHODS or request.app[GUARD].is_open:
        return response
    if any(part in request.path for part in _ASKING):
        return response
    principal = request.get(PRINCIPAL)
    entry = AuditEntry(
        at_us=request.app[SERVICES].clock.now_us(),
        actor="" if principal is None else principal.username,
        method=request.method,
        path=request.path,
        status=response.status,
        remote=request.remote or "",
    )
    topic = request.app[SERVICES].topics.audit.name
    try:
        request.app[GATEWAY].append_soon(topic, entry.actor, entry)
    except LogBusy:
        log.error("audit_entry_lost", actor=entry.actor, method=entry.method, path=entry.path)
    return response


def newest_entries(event_log: EventLog, topic: str, count: int) -> list[AuditEntry]:
    """The newest entries, newest first. Reads the ends of the partitions; blocks."""
    entries = []
    for partition in range(event_log.partition_count(topic)):
        end = event_log.end_offset(topic, partition)
        for record in event_log.read(topic, partition, max(0, end - LOOK_BACK_MAX), end):
            try:
                entry = decode(record.value)
            except UnreadableRecord:
                continue
            if isinstance(entry, AuditEntry):
                entries.append(entry)
    return heapq.nlargest(count, entries, key=lambda entry: entry.at_us)
