"""/executions/{executionId}/follow-dependencies: how an execution and those it started fare."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.answers import encode_json
from tiercel_api.follow import FOLLOWERS, EventStream
from tiercel_api.gateway import GATEWAY, ExecutionWatch
from tiercel_api.lookup import execution_of, tenant_of
from tiercel_api.paging import is_set
from tiercel_api.reads import READS
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import ExecutionFilter, JsonObject
from tiercel_schemas.state import is_terminated

#: Executions of one stream, how deep they lie, and how often it looks without being told.
EXECUTIONS_MAX = 500
DEPTH_MAX = 10
LOOK_S = 1.0


async def follow_dependencies(request: web.Request) -> web.StreamResponse:
    """The state of an execution and of those it started, at every change, until all have ended.

    `expandAll=true` follows those that they started, too; `destinationOnly=true` leaves the
    execution itself out.
    """
    document = await execution_of(request)
    depth = DEPTH_MAX if is_set(request.query, "expandAll") else 1
    with_source = not is_set(request.query, "destinationOnly")
    async with request.app[GATEWAY].watching(document["id"]) as watch:
        async with request.app[FOLLOWERS].stream(request, watch.wake) as stream:
            await _follow(request, stream, watch, depth, with_source)
        return stream.response


async def _follow(
    request: web.Request,
    stream: EventStream,
    watch: ExecutionWatch,
    depth: int,
    with_source: bool,
) -> None:
    told: dict[str, str] = {}
    while stream.is_open:
        source = await execution_of(request)
        found = ([source] if with_source else []) + await _started_by(request, source["id"], depth)
        for one in found:
            allow(request, Permission.READ, one["namespace"])
            if told.get(one["id"]) != one["state"]["current"]:
                told[one["id"]] = one["state"]["current"]
                event = _event(one, tenant_of(request))
                await stream.send("progress", encode_json(event))
        if all(is_terminated(one["state"]["current"]) for one in (source, *found)):
            await stream.send("end", encode_json(_event(source, tenant_of(request))))
            return
        await watch.changed(LOOK_S)
        await stream.keep_alive()


async def _started_by(request: web.Request, execution_id: str, depth: int) -> list[JsonObject]:
    models = request.app[SERVICES].models
    found: list[JsonObject] = []
    ids = [execution_id]
    for _ in range(depth):
        below: list[JsonObject] = []
        for one in ids:
            where = ExecutionFilter(trigger_execution_id=one)
            left = EXECUTIONS_MAX - len(found) - len(below)
            if left > 0:
                below += await request.app[READS].call(models.execution_documents, where, left)
        found += below
        ids = [one["id"] for one in below]
    return found


def _event(document: JsonObject, tenant: str) -> JsonObject:
    return {
        "executionId": document["id"],
        "tenantId": tenant,
        "namespace": document["namespace"],
        "flowId": document["flowId"],
        "state": document["state"],
    }


ROUTES = (("GET", "/executions/{executionId}/follow-dependencies", follow_dependencies),)
