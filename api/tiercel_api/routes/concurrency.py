"""/concurrency-limit: flows that limit how many of their executions run at once.

How many run is no number that anybody keeps: it follows from who asked for a slot and gave it back.
So it cannot be set. What a client of Kestra sets it for, to go on after a count went wrong, is done
instead: executions that are over and still have a slot give it back.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.errors import HttpError
from tiercel_api.gateway import GATEWAY
from tiercel_api.line_deletions import all_indexed
from tiercel_api.lookup import is_fresh_id, tenant_of
from tiercel_api.paging import page_of
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Term
from tiercel_schemas.concurrency import ReleaseSlot
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import is_terminated


class _Limit(msgspec.Struct, rename="camel"):
    """What a client sends: the row that it read, with another count."""

    running: int | None = None


@narrows
async def search_limits(request: web.Request) -> web.Response:
    """GET /concurrency-limit/search: limit, behavior, how many run and how many wait, by flow.

    As in Kestra, a flow is among them from its first execution on.
    """
    page, size = page_of(request.query)
    models, tenant = request.app[SERVICES].models, tenant_of(request)
    found = await request.app[READS].call(
        models.flow_limits, tenant, page, size, narrowing(request)
    )
    return json_response(found)


async def update_limit(request: web.Request) -> web.Response:
    """PUT /concurrency-limit/{namespace}/{flowId}: take back the slots of what is over.

    Answers with the count as it is then; 422 when it is not the `running` of the body.
    """
    try:
        asked = msgspec.convert(await read_json(request), _Limit).running
    except msgspec.ValidationError as error:
        raise HttpError(422, "Invalid entity", str(error)) from None
    info = request.match_info
    key = FlowKey(tenant_of(request), info["namespace"], info["flowId"])
    await _row(request, key)
    await _take_back(request, key)
    row = await _row(request, key)
    if asked is not None and asked != row["running"]:
        raise HttpError(
            422,
            "Illegal argument",
            f"Expected {asked} executions of {key.namespace}.{key.flow_id} to run, but "
            f"{row['running']} do: kill some, force some to run, or change the flow's limit.",
        )
    return json_response(row)


async def _row(request: web.Request, key: FlowKey) -> JsonObject:
    models = request.app[SERVICES].models
    names = {"namespace": key.namespace, "flowId": key.flow_id}
    terms = [Term(field, "EQUALS", (value,)) for field, value in names.items()]
    found = await request.app[READS].call(models.flow_limits, key.tenant, 1, 1, terms)
    if not found.results:
        raise NotFound("The flow has no concurrency limit")
    return found.results[0]


async def _take_back(request: web.Request, key: FlowKey) -> None:
    """Ask for the slots of executions that are over, and wait until they are given back."""
    models, reads = request.app[SERVICES].models, request.app[READS]
    # Whoever restarted asked for its slot after that: its state is read after the slots.
    holders = await reads.call(models.slot_holders, *key)
    await all_indexed(request, request.app[SERVICES].topics.executions)
    now = await reads.call(models.slot_holders, *key)
    over = [one for one in holders if one in now and _is_over(request, one, now[one])]
    for execution_id in over:
        release = ReleaseSlot(
            tenant=key.tenant,
            namespace=key.namespace,
            flow_id=key.flow_id,
            execution_id=execution_id,
        )
        await request.app[GATEWAY].send(str(key), release)
    if over:
        timeout_s = request.app[SERVICES].settings.index_timeout_s
        await reads.until(lambda: not models.slot_holders(*key).keys() & set(over), timeout_s)


def _is_over(request: web.Request, execution_id: str, state: str | None) -> bool:
    """Whether an execution has ended, or is not there and is too old to be on its way."""
    if state is None:
        return not is_fresh_id(request, execution_id)
    return is_terminated(state)


ROUTES = (
    ("GET", "/concurrency-limit/search", search_limits),
    ("PUT", "/concurrency-limit/{namespace}/{flowId}", update_limit),
)
