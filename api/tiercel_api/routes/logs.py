"""/logs of executions: read, follow, delete."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.answers import encode_json, json_response
from tiercel_api.documents import log_text
from tiercel_api.errors import HttpError
from tiercel_api.follow import FOLLOWERS, LogLines, log_document
from tiercel_api.gateway import GATEWAY
from tiercel_api.line_deletions import (
    all_indexed,
    deletion_of,
    levels_of,
    purges_of,
    say_deleted,
)
from tiercel_api.log_places import LogPlace, lines_wanted
from tiercel_api.paging import is_set, log_filter, page_of, sort_of
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import JsonObject, LogFilter, MeasureFilter
from tiercel_engine.repository.terms import Term
from tiercel_schemas.logs import LogsDeleted

#: How long a search waits for the read model to hold what was written before it.
INDEXED_TIMEOUT_S = 2.0


@narrows
async def search_logs(request: web.Request) -> web.Response:
    """GET /logs/search; with `indexed=true` no line of an execution named is left out so far."""
    services = request.app[SERVICES]
    now_us = services.clock.now_us()
    where = log_filter(request.query, now_us, within=narrowing(request))
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
    return json_response(await _stored(request, lines_wanted(request)))


async def download_logs(request: web.Request) -> web.Response:
    """GET /logs/{executionId}/download: the log as plain text."""
    execution_id = request.match_info["executionId"]
    text = log_text(await _stored(request, lines_wanted(request)))
    headers = {"Content-Disposition": f'attachment; filename="{_safe(execution_id)}.log"'}
    return web.Response(text=text, headers=headers)


async def follow_logs(request: web.Request) -> web.StreamResponse:
    """GET /logs/{executionId}/follow: the stored lines, then those that come. Does not end.

    Ids of events are offsets of lines; `Last-Event-ID` goes on behind one.
    """
    where = lines_wanted(request)
    place = await LogPlace.of(request, request.match_info["executionId"], where)
    lines = LogLines()
    async with (
        request.app[GATEWAY].logs.following(place.execution_id, lines),
        request.app[FOLLOWERS].stream(request, lines.wake) as stream,
    ):
        missed: int | None = await place.end()
        sent = -1 if stream.position is None else stream.position
        while stream.is_open:
            if missed is not None:
                async for offset, line in place.stored(sent, missed):
                    await stream.send(offset, encode_json(line))
                    sent = offset
                    if not stream.is_open:
                        break
            for offset, entry in await lines.next(stream.silence_s):
                line = log_document(entry)
                if offset > sent and place.is_wanted(line):
                    await stream.send(offset, encode_json(line))
                    sent = offset
            missed = lines.take_missed()
            await stream.keep_alive()
    return stream.response


async def _await_indexed(request: web.Request, execution_id: str) -> None:
    """Wait until the read model holds the lines that were written so far."""
    place = await LogPlace.of(request, execution_id, LogFilter())
    await request.app[READS].indexed_up_to(
        place.topic, place.partition, await place.end(), INDEXED_TIMEOUT_S
    )


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


@narrows
async def purge_logs(request: web.Request) -> web.Response:
    """DELETE /logs/by-query?endDate&startDate&namespace&flowId&logLevels: how many lines went."""
    levels = levels_of(request.query.getall("logLevels", []))
    purges = purges_of(request)
    await all_indexed(request, request.app[SERVICES].topics.logs)
    return json_response({"count": sum([await _purge(request, one, levels) for one in purges])})


async def _purge(request: web.Request, asked: MeasureFilter, levels: tuple[str, ...]) -> int:
    services = request.app[SERVICES]
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
    found = await request.app[READS].call(services.models.search_logs, where, 1, 1)
    if found.total:
        await say_deleted(request, services.topics.logs, deletion)
    return found.total


async def _stored(request: web.Request, where: LogFilter) -> list[JsonObject]:
    return await request.app[READS].call(request.app[SERVICES].models.logs, where)


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
