"""/executions/{id}/<verb>: what is done to an execution that exists.

The plain paths answer as Kestra before 2.0, those under `/actions/` as 2.0: with the execution.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from aiohttp import web

from tiercel_api.answers import execution_response
from tiercel_api.documents import as_restarted
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import document_at, execution_of
from tiercel_api.paging import is_set, optional_number
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, LogUnavailable
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.commands import KillExecution, RestartExecution
from tiercel_schemas.common import PositionRange
from tiercel_schemas.state import State, is_terminated

#: Records of others that are read along rather than opening another range.
GAP_RECORDS = 32
#: Ranges in one command; a longer history is told in wider ones.
RANGES_MAX = 1_000


async def kill_execution(request: web.Request) -> web.Response:
    """DELETE /executions/{executionId}/kill: accepted once the execution is KILLING."""
    await _kill(request)
    return web.Response(status=202)


async def kill_execution_action(request: web.Request) -> web.Response:
    """DELETE /executions/{executionId}/actions/kill: the execution as it is being killed."""
    return await execution_response(await _kill(request))


async def _kill(request: web.Request) -> JsonObject:
    gateway, settings = request.app[GATEWAY], request.app[SERVICES].settings
    document = await execution_of(request)
    execution_id, state = document["id"], document["state"]["current"]
    cascade = is_set(request.query, "isOnKillCascade", default=True)
    if is_terminated(state):
        if not cascade:
            raise Conflict("Execution is already finished, can't kill it")
        return document
    if state == State.KILLING:
        return document
    command = KillExecution(gateway.command_id(), execution_id, cascade)
    deadline = time.monotonic() + settings.command_timeout_s
    async with gateway.watching(execution_id) as watch:
        await gateway.send(execution_id, command)
        # It may end, or be killed by somebody else, before the command is decided.
        while command.command_id not in watch.decided and not (
            watch.is_terminated or watch.state == State.KILLING
        ):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not await watch.changed(left_s):
                raise LogUnavailable("Expected the executor to decide in time, but it did not.")
    return await document_at(request, execution_id, watch.last_seq)


async def restart_execution(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/restart: run again from the failed tasks."""
    services, gateway = request.app[SERVICES], request.app[GATEWAY]
    document = await execution_of(request)
    if not is_terminated(document["state"]["current"]):
        raise Conflict("Execution must be terminated to be restarted")
    execution_id = document["id"]
    offsets = await request.app[READS].call(services.models.execution_positions, execution_id)
    command = RestartExecution(
        gateway.command_id(),
        execution_id,
        optional_number(request.query, "revision"),
        position_ranges(offsets),
    )
    watch = await gateway.ask(execution_id, command)
    running = await document_at(request, execution_id, watch.last_seq)
    return await execution_response(as_restarted(running))


def position_ranges(offsets: Sequence[int]) -> tuple[PositionRange, ...]:
    """Ascending offsets as at most `RANGES_MAX` ranges that hold them all."""
    gap = GAP_RECORDS
    while True:
        ranges: list[PositionRange] = []
        for offset in offsets:
            if ranges and offset - ranges[-1].last <= gap:
                ranges[-1] = PositionRange(ranges[-1].first, offset)
            else:
                ranges.append(PositionRange(offset, offset))
        if len(ranges) <= RANGES_MAX:
            return tuple(ranges)
        gap *= 4


ROUTES = (
    ("DELETE", "/executions/{executionId}/kill", kill_execution),
    ("DELETE", "/executions/{executionId}/actions/kill", kill_execution_action),
    ("POST", "/executions/{executionId}/restart", restart_execution),
    ("POST", "/executions/{executionId}/actions/restart", restart_execution),
)
