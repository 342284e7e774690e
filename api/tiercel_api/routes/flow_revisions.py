"""/flows/{namespace}/{id}/revisions: read and purge the revisions of a flow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import HttpError
from tiercel_api.filter_values import instant_us
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import FLOWS
from tiercel_api.paging import NUMBER_CHARS_MAX, is_set, optional_number
from tiercel_api.reads import READS
from tiercel_api.routes.flows import key_of, stored_document
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, NotFound
from tiercel_engine.repository.base import ExecutionFilter
from tiercel_schemas.commands import PurgeRevisions
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import TERMINATED, State

#: Revisions of one command, so that its transaction stays small.
COMMAND_REVISIONS_MAX = 500
#: Revisions that one request names.
REVISIONS_MAX = 10_000
#: Executions of the flow that may run while its revisions are purged: each is looked at.
RUNNING_MAX = 10_000

_OPEN = tuple(state for state in State if state not in TERMINATED)


async def get_revisions(request: web.Request) -> web.Response:
    """GET /flows/{namespace}/{id}/revisions: those that were not purged, oldest first.

    `allowDelete=false`: without those that say that the flow is deleted.
    """
    entries = request.app[FLOWS].catalog.revisions(key_of(request))
    if not entries:
        raise NotFound("")
    if not is_set(request.query, "allowDelete", default=True):
        entries = [entry for entry in entries if not entry.deleted]
    return json_response(
        await asyncio.to_thread(lambda: [stored_document(request, e, True) for e in entries])
    )


async def delete_revisions(request: web.Request) -> web.Response:
    """DELETE /flows/{namespace}/{id}/revisions: purge those that are named, or older ones.

    `revisions`: which, by commas; the current one, an unknown one, or one that an execution still
    runs refuses all. Without it `before`, a date, and `keepAmount`, the newest revisions that stay:
    what else is older and not in use goes, and the answer says how many.
    """
    key, flows = key_of(request), request.app[FLOWS]
    if await flows.entry(key, allow_deleted=True) is None:
        raise NotFound("")
    named = _named(request)
    if named:
        used = sorted(set(named) & await _in_use(request, key))
        if used:
            raise Conflict(
                f"Expected revisions that no execution runs, but {used[0]} has some: wait for"
                " their end, or kill them."
            )
        await _purge(request, key, named)
        return web.Response(status=204)
    rule = _rule(request)
    old = rule.old(flows.catalog.revisions(key))
    used_too = await _in_use(request, key) if old else frozenset()
    going = [number for number in old if number not in used_too]
    await _purge(request, key, going)
    return json_response({"count": len(going)})


class _Rule(NamedTuple):
    """`kept_max`: of the newest, the current one among them."""

    before_us: int | None
    kept_max: int

    def old(self, entries: Sequence[FlowRevision]) -> list[int]:
        return [
            entry.revision
            for entry in entries[: -self.kept_max]
            if self.before_us is None or entry.updated_us < self.before_us
        ]


def _rule(request: web.Request) -> _Rule:
    before, amount = request.query.get("before"), optional_number(request.query, "keepAmount")
    if not before and amount is None:
        raise HttpError(
            400, "Bad Request", "Expected revisions, before or keepAmount: which are to go?"
        )
    if amount == 0:
        raise HttpError(
            422, "Illegal argument", "Expected a keepAmount of 1 or more: the current one stays."
        )
    return _Rule(instant_us(before) if before else None, 1 if amount is None else amount)


def _named(request: web.Request) -> list[int]:
    """The revisions that are named, each once."""
    texts = [t for text in request.query.getall("revisions", []) for t in text.split(",") if t]
    if len(texts) > REVISIONS_MAX:
        raise HttpError(
            422, "Illegal argument", f"Expected at most {REVISIONS_MAX} revisions at once."
        )
    for text in texts:
        if not text.isdecimal() or len(text) > NUMBER_CHARS_MAX:
            raise HttpError(
                400, "Bad Request", f"Expected numbers of revisions, but there is {text[:20]!r}."
            )
    return sorted({int(text) for text in texts})


async def _in_use(request: web.Request, key: FlowKey) -> frozenset[int]:
    """The revisions that executions run which have not ended. Raises Conflict: too many run."""
    models = request.app[SERVICES].models
    where = ExecutionFilter(namespace=key.namespace, flow_id=key.flow_id, states=_OPEN)
    found = await request.app[READS].call(models.execution_documents, where, RUNNING_MAX + 1)
    if len(found) > RUNNING_MAX:
        raise Conflict(
            f"Expected at most {RUNNING_MAX} executions of the flow to run, but there are more:"
            " purge its revisions when fewer do."
        )
    return frozenset(document["flowRevision"] for document in found)


async def _purge(request: web.Request, key: FlowKey, numbers: Sequence[int]) -> None:
    """Raises NotFound, Conflict: the executor refused a command, and what follows it."""
    services, gateway = request.app[SERVICES], request.app[GATEWAY]
    for start in range(0, len(numbers), COMMAND_REVISIONS_MAX):
        command = PurgeRevisions(
            command_id=gateway.command_id(),
            tenant=key.tenant,
            namespace=key.namespace,
            flow_id=key.flow_id,
            revisions=tuple(numbers[start : start + COMMAND_REVISIONS_MAX]),
            sent_us=services.clock.now_us(),
        )
        for revision in await gateway.purge_revisions(command):
            await asyncio.to_thread(services.catalog.add, revision)


ROUTES = (
    ("GET", "/flows/{namespace}/{id}/revisions", get_revisions),
    ("DELETE", "/flows/{namespace}/{id}/revisions", delete_revisions),
)
