"""/logs of executions: read, follow, delete."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tiercel_api import filters
from tiercel_api.answers import encode_json, json_response
from tiercel_api.documents import log_text
from tiercel_api.errors import HttpError
from tiercel_api.follow import FOLLOWERS, LogLines
from tiercel_api.gateway import GATEWAY
from tiercel_api.line_deletions import (
    all_indexed,
    deletion_of,
    levels_of,
    purge_of,
    say_deleted,
)
from tiercel_api.paging import is_set, log_filter, page_of, sort_of
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import JsonObject, LogFilter
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import Facts, Term, holds
from tiercel_schemas.logs import LogsDeleted
from tiercel_schemas.topics import partition_for

#: How often a stream of log lines looks whether its reader is still there.
IDLE_S = 1.0
#: How long a stream waits for the read model to hold what was written before it began.
INDEXED_TIMEOUT_S = 2.0


async def search_logs(request: web.Request) -> web.Response:
    """GET /logs/search; with `indexed=true` no line of an execution named is left out so far."""
    services = request.app[SERVICES]
    where = log_filter(request.query, services.clock.now_us())
    page, size = page_of(request.query)
    if is_set(request.query, "indexed"):
        for term in where.terms:
            if isinstance(term, Term) and (term.field, term.operator) == ("executionId", "EQUALS"):
                await _await_indexed(request, str(term.values[0]))
    sort = sort_of(request.query)
    found = await request.app[READS].call(services.models.search_logs, where, page, size, sort)
    return json_response(found)


async def get_logs(request: web.Request) -> web.Response:
    """GET /logs/{executionId}."""
    return json_response(await _stored(request, _filter(request)))


async def download_logs(request: web.Request) -> web.Response:
    """GET /logs/{executionId}/download: the log as plain text."""
    execution_id = request.match_info["executionId"]
    text = log_text(await _stored(request, _filter(request)))
    headers = {"Content-Disposition": f'attachment; filename="{_safe(execution_id)}.log"'}
    return web.Response(text=text, headers=headers)


async def follow_logs(request: web.Request) -> web.StreamResponse:
    """GET /logs/{executionId}/follow: the stored lines, then those that come. Does not end."""
    where = _filter(request)
    lines = LogLines()
    gateway = request.app[GATEWAY]
    async with (
        gateway.logs.following(request.match_info["executionId"], lines),
        request.app[FOLLOWERS].stream(request) as stream,
    ):
        await _await_indexed(request, request.match_info["executionId"])
        stored = await _stored(request, where)
        lines.forget(stored)
        for line in stored:
            await stream.send("progress", encode_json(line))
        while stream.is_open and not lines.is_overrun:
            for line in await lines.next(IDLE_S):
                if _is_wanted(line, where):
                    await stream.send("progress", encode_json(line))
            await stream.keep_alive()
    return stream.response


async def _await_indexed(request: web.Request, execution_id: str) -> None:
    """Wait for the lines written before the live ones began to come: no stream brings them."""
    services = request.app[SERVICES]
    topic = services.topics.logs.name
    partition = partition_for(
        execution_id,
        await asyncio.to_thread(services.log.partition_count, topic),
    )
    end = await asyncio.to_thread(services.log.end_offset, topic, partition)
    await request.app[READS].indexed_up_to(topic, partition, end, INDEXED_TIMEOUT_S)


async def delete_logs(request: web.Request) -> web.Response:
    """DELETE /logs/{executionId}?minLevel&taskRunId&taskId&attempt: the lines that match go."""
    parts = deletion_of(request)
    if not parts.keys() <= {"task_run_id", "task_id", "attempt", "min_level"}:
        raise HttpError(
            422, "Illegal argument", "Expected minLevel, taskRunId, taskId and attempt alone."
        )
    execution_id = request.match_info["executionId"]
    at_us = request.app[SERVICES].clock.now_us()
    deletion = LogsDeleted(execution_id=execution_id, at_us=at_us, **parts)
    await say_deleted(request, request.app[SERVICES].topics.logs, deletion, execution_id)
    return web.Response()


async def delete_flow_logs(request: web.Request) -> web.Response:
    """DELETE /logs/{namespace}/{flowId}?triggerId: the lines of a flow, or of one trigger."""
    info = request.match_info
    deletion = LogsDeleted(
        namespace=info["namespace"],
        flow_id=info["flowId"],
        trigger_id=request.query.get("triggerId") or None,
        at_us=request.app[SERVICES].clock.now_us(),
    )
    await say_deleted(request, request.app[SERVICES].topics.logs, deletion)
    return web.Response()


async def purge_logs(request: web.Request) -> web.Response:
    """DELETE /logs/by-query?endDate&startDate&namespace&flowId&logLevels: how many lines went."""
    services = request.app[SERVICES]
    asked = purge_of(request)
    levels = levels_of(request.query.getall("logLevels", []))
    deletion = LogsDeleted(
        namespace=asked.exact_namespace,
        namespace_prefix=asked.namespace,
        flow_id=asked.flow_id,
        levels=levels,
        start_us=asked.start_us,
        end_us=asked.end_us,
        at_us=services.clock.now_us(),
    )
    where = LogFilter(
        namespace=asked.namespace,
        exact_namespace=asked.exact_namespace,
        flow_id=asked.flow_id,
        levels=levels,
        start_us=asked.start_us,
        end_us=asked.end_us,
    )
    await all_indexed(request, services.topics.logs)
    found = await request.app[READS].call(services.models.search_logs, where, 1, 1)
    if found.total:
        await say_deleted(request, services.topics.logs, deletion)
    return json_response({"count": found.total})


def _filter(request: web.Request) -> LogFilter:
    now_us = request.app[SERVICES].clock.now_us()
    return log_filter(request.query, now_us, execution_id=request.match_info["executionId"])


async def _stored(request: web.Request, where: LogFilter) -> list[JsonObject]:
    return await request.app[READS].call(request.app[SERVICES].models.logs, where)


def _is_wanted(line: JsonObject, where: LogFilter) -> bool:
    """Whether a live line matches what the request asked for. Raises SearchTooSlow."""
    if not where.terms:
        return True
    fields = {
        **line,
        "attempt": line.get("attemptNumber"),
        "level": LEVELS.index(line["level"]) if line["level"] in LEVELS else len(LEVELS),
        "timestamp": filters.instant_us(line["timestamp"]),
    }
    facts = Facts(fields, (line["message"],))
    return all(holds(term, facts) for term in where.terms)


def _safe(name: str) -> str:
    """A name as part of a header: what could end it is left out."""
    return "".join(c for c in name if c.isalnum() or c in "-_.")[:100]


ROUTES = (
    ("GET", "/logs/search", search_logs),
    ("GET", "/logs/{executionId}/download", download_logs),
    ("GET", "/logs/{executionId}/follow", follow_logs),
    ("GET", "/logs/{executionId}", get_logs),
    ("DELETE", "/logs/by-query", purge_logs),
    ("DELETE", "/logs/{executionId}", delete_logs),
    ("DELETE", "/logs/{namespace}/{flowId}", delete_flow_logs),
)
