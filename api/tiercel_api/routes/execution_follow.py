"""/executions/{executionId}/follow: an execution, live."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from tiercel_api.answers import encode_execution
from tiercel_api.follow import END, FOLLOWERS, LAST_EVENT_ID, EventStream
from tiercel_api.gateway import GATEWAY, ExecutionWatch
from tiercel_api.lookup import execution_of, progress_of
from tiercel_schemas.state import is_terminated

#: Least time between two events of a stream, and how many times the time that one took.
PROGRESS_GAP_S = 0.02
PROGRESS_SHARE = 5.0


async def follow_execution(request: web.Request) -> web.StreamResponse:
    """GET /executions/{executionId}/follow: its document at every change, until it has ended.

    Ids of events are numbers of events of the execution. `Last-Event-ID` goes on behind one; after
    the last event, `end`, there is nothing more (204).
    """
    execution_id = request.match_info["executionId"]
    async with request.app[GATEWAY].watching(execution_id) as watch:
        await execution_of(request)
        if request.headers.get(LAST_EVENT_ID) == END:
            return web.Response(status=204)
        async with request.app[FOLLOWERS].stream(request, watch.wake) as stream:
            await _follow(request, stream, watch, execution_id)
        return stream.response


async def _follow(
    request: web.Request, stream: EventStream, watch: ExecutionWatch, execution_id: str
) -> None:
    sent, idle_s = stream.position or 0, 0.0
    while stream.is_open:
        started = time.monotonic()
        shown = await _shown(request, execution_id, watch.last_seq)
        if shown is not None:
            data, sequence, has_ended = shown
            if has_ended or sequence > sent:
                await stream.send(END if has_ended else sequence, data)
                sent = sequence
            if has_ended:
                return
        # A document that is dear to make is made less often.
        gap_s = max(PROGRESS_GAP_S, PROGRESS_SHARE * (time.monotonic() - started))
        idle_s = await _until_changed(stream, watch, idle_s)
        await asyncio.sleep(gap_s)


async def _shown(
    request: web.Request, execution_id: str, sequence: int
) -> tuple[bytes, int, bool] | None:
    """The document once it holds this event, as text; its newest event; whether it has ended.

    Readers of the same execution, who are woken by the same event, share it.
    """

    async def read() -> tuple[bytes, int, bool] | None:
        found = await progress_of(request, execution_id, sequence)
        if found is None:
            return None
        document, newest = found
        data = await encode_execution(request, document)
        return data, newest, is_terminated(document["state"]["current"])

    key = (execution_id, sequence, "tenant" in request.match_info)
    return await request.app[FOLLOWERS].shared(key, read)


async def _until_changed(stream: EventStream, watch: ExecutionWatch, idle_s: float) -> float:
    """Wait for an event, or for a time to look without one; the next such time to wait.

    What happened just before the watch began is in the read model soon after, so looks without
    an event become rarer: after 1, 2, 4, 8 … seconds.
    """
    look_s = max(1.0, 2 * idle_s)
    deadline = time.monotonic() + look_s
    while stream.is_open and (left_s := deadline - time.monotonic()) > 0:
        if await watch.changed(min(left_s, stream.silence_s)):
            return 0.0
        await stream.keep_alive()
    return look_s


ROUTES = (("GET", "/executions/{executionId}/follow", follow_execution),)
