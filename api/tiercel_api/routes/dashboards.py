"""/dashboards: store, read, search and check dashboards. Their data: `dashboard_charts`.

On `/api/v1/…` the server names a dashboard, as Kestra before 2.0; on `/api/v1/{tenant}/…` its
author does, or the server when its text has no id. Dashboards belong to no namespace: who may
read anything may read them, who may write everywhere may write them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import itemgetter

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.dashboards.reading import Written, load_chart
from tiercel_api.dashboards.store import (
    DEFAULT_ID,
    RESERVED,
    default_entry,
    document,
    parsed,
)
from tiercel_api.errors import HttpError
from tiercel_api.execution_commands import new_execution_id
from tiercel_api.flow_writes import read_source, refusal, send
from tiercel_api.lookup import FLOWS, tenant_of
from tiercel_api.paging import page_of, sort_of
from tiercel_api.security.narrowing import narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, InvalidFlow, NotFound, Rejected
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import dashboard_key

#: What dashboards are sorted by.
_SORTS = ("id", "title", "created", "updated")


@narrows
async def search_dashboards(request: web.Request) -> web.Response:
    """GET /dashboards: those that somebody stored, by title unless sorted otherwise."""
    query = request.query
    page, size = page_of(query)
    sort, words = sort_of(query) or (("title", True),), query.get("q", "").lower()
    catalog = request.app[SERVICES].catalog
    tenant = dashboard_key(tenant_of(request), "").tenant

    def search() -> JsonObject:
        found = [document(catalog, entry) for entry in catalog.latest_all(tenant)]
        found = [one for one in found if words in f"{one['id']}\n{one['title']}".lower()]
        for field, ascending in reversed(sort):
            if field not in _SORTS:
                raise HttpError(422, "Illegal argument", f"Invalid sort parameter: {field!r}")
            found.sort(key=itemgetter(field), reverse=not ascending)
        return {"results": found[(page - 1) * size : page * size], "total": len(found)}

    return json_response(await asyncio.to_thread(search))


@narrows
async def get_dashboard(request: web.Request) -> web.Response:
    """GET /dashboards/{id}; `default` is the one that comes with the server."""
    entry = await stored(request)
    return json_response(await asyncio.to_thread(_document, request, entry))


async def create_dashboard(request: web.Request) -> web.Response:
    """POST /dashboards: store one that is new."""
    source = await read_source(request)
    written = await _load(source)
    given = written.dashboard.id
    if given is not None and "tenant" not in request.match_info:
        raise refusal("dashboard.id", "must be null: the server makes it")
    if given in RESERVED:
        raise refusal("dashboard.id", f"Expected an id other than {', '.join(sorted(RESERVED))}")
    dashboard_id = given or new_execution_id(request)
    try:
        return await _save(request, dashboard_id, source, expected_revision=0)
    except Rejected as error:
        if "already exists" in str(error):
            raise refusal("dashboard.id", "Dashboard id already exists") from None
        raise InvalidFlow(str(error)) from None


async def update_dashboard(request: web.Request) -> web.Response:
    """PUT /dashboards/{id}: store its next revision; the same again stores none."""
    entry = await _own(request)
    source = await read_source(request)
    written = await _load(source)
    if written.dashboard.id not in (None, entry.flow_id):
        raise refusal("dashboard.id", "Illegal dashboard id update")
    if entry.source == source:
        return json_response(await asyncio.to_thread(_document, request, entry))
    return await _save(request, entry.flow_id, source)


async def delete_dashboard(request: web.Request) -> web.Response:
    """DELETE /dashboards/{id}."""
    entry = await _own(request)
    key = dashboard_key(tenant_of(request), entry.flow_id)
    await send(request, key, entry.source, entry.dialect, deleted=True)
    return web.Response(status=204)


@narrows
async def validate_dashboard(request: web.Request) -> web.Response:
    """POST /dashboards/validate: what is wrong with a dashboard; 200 either way."""
    source = await read_source(request)
    return json_response(await asyncio.to_thread(_report, parsed, source))


@narrows
async def validate_chart(request: web.Request) -> web.Response:
    """POST /dashboards/validate/chart: what is wrong with one chart; 200 either way."""
    source = await read_source(request)
    return json_response(await asyncio.to_thread(_report, load_chart, source))


@narrows
async def default_dashboards(request: web.Request) -> web.Response:
    """GET /dashboards/settings/default-dashboards: which one is shown where none is chosen."""
    return json_response({"defaultHomeDashboard": DEFAULT_ID})


async def stored(request: web.Request) -> FlowRevision:
    """The dashboard that the path names. Raises NotFound: there is none."""
    dashboard_id = request.match_info["id"]
    if dashboard_id == DEFAULT_ID:
        return default_entry(tenant_of(request))
    entry = await request.app[FLOWS].entry(dashboard_key(tenant_of(request), dashboard_id))
    if entry is None:
        raise NotFound(f"There is no dashboard {dashboard_id}.")
    return entry


async def _own(request: web.Request) -> FlowRevision:
    """One that may be changed. Raises NotFound, or Conflict: it comes with the server."""
    if request.match_info["id"] == DEFAULT_ID:
        raise Conflict("The default dashboard comes with the server: store a copy of it instead.")
    return await stored(request)


async def _load(source: str) -> Written:
    return await asyncio.to_thread(parsed, source)


async def _save(
    request: web.Request, dashboard_id: str, source: str, expected_revision: int | None = None
) -> web.Response:
    key = dashboard_key(tenant_of(request), dashboard_id)
    dialect = request.app[SERVICES].settings.dialect
    entry = await send(request, key, source, dialect, expected_revision=expected_revision)
    return json_response(await asyncio.to_thread(_document, request, entry))


def _document(request: web.Request, entry: FlowRevision) -> JsonObject:
    return document(request.app[SERVICES].catalog, entry)


def _report(load: Callable[[str], object], source: str) -> JsonObject:
    try:
        load(source)
    except InvalidFlow as error:
        return {"index": 0, "constraints": str(error).rstrip("\n"), "outdated": False}
    return {"index": 0, "outdated": False}


ROUTES = (
    ("GET", "/dashboards", search_dashboards),
    ("POST", "/dashboards", create_dashboard),
    ("POST", "/dashboards/validate", validate_dashboard),
    ("POST", "/dashboards/validate/chart", validate_chart),
    ("GET", "/dashboards/settings/default-dashboards", default_dashboards),
    ("GET", "/dashboards/{id}", get_dashboard),
    ("PUT", "/dashboards/{id}", update_dashboard),
    ("DELETE", "/dashboards/{id}", delete_dashboard),
)
