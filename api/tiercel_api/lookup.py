"""Finding what a request names: its tenant, a flow, an execution."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from aiohttp import web

from tiercel_api.files import FILES
from tiercel_api.paging import optional_number
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.errors import Conflict, InvalidFlow, LogError, NotFound
from tiercel_engine.flow.model import Flow
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, made_at_us

log = get_logger(component="api")

DEFAULT_TENANT = "main"
#: How often what others stored is taken in; a flow that is missed is looked for at once.
REFRESH_S = 0.1
#: Parsed flows at hand in the event loop.
PARSED_MAX = 1_000
CATCH_UP_TIMEOUT_S = 5.0


class Flows:
    """The flow catalog as the event loop sees it: parsing and reading the log happen elsewhere."""

    def __init__(self, catalog: FlowCatalog) -> None:
        self.catalog = catalog
        self._parsed: OrderedDict[tuple[FlowKey, int], tuple[FlowRevision, Flow]] = OrderedDict()

    async def refresh_forever(self) -> None:
        """Take in what others stored, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.catalog.refresh)
            except LogError as error:
                log.warning("catalog_refresh_failed", error=str(error))
            await asyncio.sleep(REFRESH_S)

    async def entry(
        self, key: FlowKey, revision: int | None = None, allow_deleted: bool = False
    ) -> FlowRevision | None:
        """A revision as it is stored, the newest when None. One that is missed is looked for."""
        entry = self.catalog.entry(key, revision, allow_deleted=allow_deleted)
        if entry is None and not self.catalog.is_purged(key, revision):
            await asyncio.to_thread(self.catalog.catch_up, CATCH_UP_TIMEOUT_S)
            entry = self.catalog.entry(key, revision, allow_deleted=allow_deleted)
        return entry

    async def parsed(self, entry: FlowRevision) -> Flow:
        """The flow of a stored revision. Raises InvalidFlow, NotFound: it was just purged."""
        key = FlowKey(entry.tenant, entry.namespace, entry.flow_id)
        place = (key, entry.revision)
        known = self._parsed.get(place)
        if known is not None and known[0] is entry:
            return known[1]
        flow = await asyncio.to_thread(self.catalog.flow, key, entry.revision, allow_deleted=True)
        if flow is None:
            raise NotFound(self.catalog.missing(key, entry.revision))
        self._parsed[place] = (entry, flow)
        if len(self._parsed) > PARSED_MAX:
            self._parsed.popitem(last=False)
        return flow


FLOWS = web.AppKey("flows", Flows)


def tenant_of(request: web.Request) -> str:
    """The tenant in the path, else the default one."""
    return request.match_info.get("tenant", DEFAULT_TENANT)


async def find_flow(
    request: web.Request,
    namespace: str,
    flow_id: str,
    revision: int | None = None,
    allow_deleted: bool = False,
    message: str = "",
) -> Flow:
    """A flow's revision; the newest when None.

    Raises:
        NotFound: there is none, it was purged, or it is deleted and that is not allowed.
        InvalidFlow: what is stored does not read as a flow.
    """
    key = FlowKey(tenant_of(request), namespace, flow_id)
    flows = request.app[FLOWS]
    entry = await flows.entry(key, revision, allow_deleted)
    if entry is None:
        if flows.catalog.is_purged(key, revision):
            message = flows.catalog.missing(key, revision)
        raise NotFound(message)
    return await flows.parsed(entry)


async def find_flow_of(request: web.Request, execution: JsonObject) -> Flow:
    """The flow of an execution's document in the revision that it runs, deleted or not.

    Raises:
        NotFound: there is none.
        InvalidFlow: what is stored does not read as a flow.
    """
    namespace, flow_id = execution["namespace"], execution["flowId"]
    return await find_flow(
        request, namespace, flow_id, execution["flowRevision"], allow_deleted=True
    )


async def runnable_flow(request: web.Request, namespace: str, flow_id: str) -> Flow:
    """The flow that is to be executed, in the revision that the query names.

    Raises:
        NotFound: there is no such flow or revision.
        Conflict: it is disabled, or what is stored does not read as a flow any more.
    """
    revision = optional_number(request.query, "revision") if request.query_string else None
    try:
        flow = await find_flow(
            request, namespace, flow_id, revision, message="Requested Flow is not found."
        )
    except InvalidFlow as error:
        raise Conflict(f"Requested Flow is not valid: {error}") from None
    if flow.disabled:
        raise Conflict("Requested Flow is disabled.")
    return flow


def is_fresh(request: web.Request) -> bool:
    """Whether the path's id says so: see `is_fresh_id`."""
    return is_fresh_id(request, request.match_info["executionId"])


def is_fresh_id(request: web.Request, execution_id: str) -> bool:
    """Whether the id says that it was made so recently that the read model may not know it."""
    services = request.app[SERVICES]
    made_us = made_at_us(execution_id)
    if made_us is None:
        return False
    age_s = (services.clock.now_us() - made_us) / 1_000_000
    return abs(age_s) < services.settings.fresh_s


async def execution_of(request: web.Request) -> JsonObject:
    """The execution that the path names. Waits for the read model when the id is fresh.

    Raises:
        NotFound: there is none.
    """
    execution_id = request.match_info["executionId"]
    document = await execution_at(request, execution_id, 1, None if is_fresh(request) else 0.0)
    if document is None:
        raise NotFound("")
    return document


async def unredeemed_execution_of(request: web.Request) -> JsonObject:
    """As `execution_of`, with claim checks where values lie in storage.

    Raises:
        NotFound: there is none.
    """
    timeout_s = request.app[SERVICES].settings.index_timeout_s if is_fresh(request) else 0.0
    execution_id = request.match_info["executionId"]
    document = await request.app[READS].execution_at(execution_id, 1, timeout_s)
    if document is None:
        raise NotFound("")
    return document


async def execution_at(
    request: web.Request, execution_id: str, sequence: int, timeout_s: float | None = None
) -> JsonObject | None:
    """The execution once the read model holds this event of it; None: it does not in time.

    `timeout_s` None: as long as the settings allow.
    """
    if timeout_s is None:
        timeout_s = request.app[SERVICES].settings.index_timeout_s
    document = await request.app[READS].execution_at(execution_id, max(1, sequence), timeout_s)
    return None if document is None else await request.app[FILES].redeemed(document)


async def progress_of(
    request: web.Request, execution_id: str, sequence: int
) -> tuple[JsonObject, int] | None:
    """As `execution_at`, with the number of the last event that the document holds."""
    timeout_s = request.app[SERVICES].settings.index_timeout_s
    found = await request.app[READS].progress(execution_id, max(1, sequence), timeout_s)
    return None if found is None else (await request.app[FILES].redeemed(found[0]), found[1])


async def document_at(request: web.Request, execution_id: str, sequence: int) -> JsonObject:
    """The execution once the read model holds this event of it, else as it stands there."""
    document = await execution_at(request, execution_id, sequence)
    return await execution_of(request) if document is None else document
