"""/flows: store, read, search and check flows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from functools import partial

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.documents import flow_document, unreadable_flow
from tiercel_api.errors import HttpError
from tiercel_api.flow_writes import (
    already_exists,
    load,
    newest_of,
    read_source,
    refusal,
    send,
)
from tiercel_api.lookup import FLOWS, find_flow, tenant_of
from tiercel_api.paging import FlowFilter, flow_filter, is_set, optional_number, page_of, sort_of
from tiercel_api.preconditions import failed, wanted_revision
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, InvalidFlow, NotFound, Rejected
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.validate import notices
from tiercel_engine.plugin.references import doubtful_references
from tiercel_engine.repository.base import JsonObject, Page
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey

#: Flows in one body of `POST /flows/validate`.
DOCUMENTS_MAX = 1_000
_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
_REVISION = re.compile(r"^revision:[ \t]*(\d{1,9})[ \t]*$", re.MULTILINE)


async def create_flow(request: web.Request) -> web.Response:
    """POST /flows: store the first revision of a flow."""
    source = await read_source(request)
    flow = await load(request, source, None)
    allow(request, Permission.WRITE, flow.namespace)
    key = FlowKey(flow.tenant, flow.namespace, flow.id)
    if request.app[SERVICES].catalog.entry(key) is not None:
        raise already_exists()
    try:
        return await _save(request, key, source, flow, expected_revision=0)
    except Rejected as error:
        raise (
            already_exists() if "already exists" in str(error) else InvalidFlow(str(error))
        ) from None


async def update_flow(request: web.Request) -> web.Response:
    """PUT /flows/{namespace}/{id}: store the next revision; the same source again stores none."""
    key = key_of(request)
    source = await read_source(request)
    newest = await newest_of(request, key)
    wanted = _wanted(request, newest)
    flow = await load(request, source, newest)
    if flow.id != key.flow_id:
        raise refusal("flow.id", "Illegal flow id update")
    if flow.namespace != key.namespace:
        raise refusal("flow.namespace", "Illegal namespace update")
    if newest.source == source:
        stored = await request.app[FLOWS].parsed(newest)
        return json_response(flow_document(stored, source))
    try:
        return await _save(request, key, source, flow, expected_revision=wanted)
    except Conflict:
        if wanted is None:
            raise
        raise failed(wanted, (await newest_of(request, key)).revision) from None
    except Rejected as error:
        raise InvalidFlow(str(error)) from None


async def delete_flow(request: web.Request) -> web.Response:
    """DELETE /flows/{namespace}/{id}: store a revision that says that it is gone."""
    key = key_of(request)
    newest = await newest_of(request, key)
    wanted = _wanted(request, newest)
    await send(
        request,
        key,
        newest.source,
        newest.dialect,
        deleted=True,
        expected_revision=wanted,
    )
    return web.Response(status=204)


def _wanted(request: web.Request, newest: FlowRevision) -> int | None:
    """What `If-Match` asks for. Raises HttpError: the flow has another revision by now."""
    wanted = wanted_revision(request)
    if wanted is not None and wanted != newest.revision:
        raise failed(wanted, newest.revision)
    return wanted


async def _save(
    request: web.Request, key: FlowKey, source: str, flow: Flow, expected_revision: int | None
) -> web.Response:
    dialect = flow.dialect.name
    stored = await send(request, key, source, dialect, expected_revision=expected_revision)
    response = json_response(flow_document(await request.app[FLOWS].parsed(stored), stored.source))
    response.headers["ETag"] = f'"{stored.revision}"'
    return response


async def get_flow(request: web.Request) -> web.Response:
    """GET /flows/{namespace}/{id}."""
    query = request.query
    revision = optional_number(query, "revision")
    key, flows = key_of(request), request.app[FLOWS]
    entry = await flows.entry(key, revision, is_set(query, "allowDeleted"))
    if entry is None:
        is_purged = flows.catalog.is_purged(key, revision)
        raise NotFound(flows.catalog.missing(key, revision) if is_purged else "")
    with_source = is_set(query, "source")
    response = json_response(await asyncio.to_thread(stored_document, request, entry, with_source))
    response.headers["ETag"] = f'"{entry.revision}"'
    return response


async def get_task(request: web.Request) -> web.Response:
    """GET /flows/{namespace}/{id}/tasks/{taskId}: one task, at any depth."""
    info = request.match_info
    revision = optional_number(request.query, "revision")
    flow = await find_flow(request, info["namespace"], info["id"], revision)
    task = flow.task(info["taskId"])
    if task is None:
        raise NotFound("")
    return json_response(task.properties)


async def list_flows(request: web.Request) -> web.Response:
    """GET /flows/{namespace}: the flows of one namespace."""
    namespace = request.match_info["namespace"]
    where = FlowFilter(namespace=namespace)
    found = await asyncio.to_thread(matching_flows, request, where, ())
    return json_response([stored_document(request, entry) for entry in found])


@narrows
async def search_flows(request: web.Request) -> web.Response:
    """GET /flows/search."""
    where, sort = flow_filter(request.query), sort_of(request.query)
    page, size = page_of(request.query)

    def search() -> Page:
        found = matching_flows(request, where, sort)
        shown = found[(page - 1) * size : page * size]
        return Page([stored_document(request, entry) for entry in shown], len(found))

    return json_response(await asyncio.to_thread(search))


def matching_flows(
    request: web.Request, where: FlowFilter, sort: Iterable[tuple[str, bool]] = ()
) -> list[FlowRevision]:
    """The newest revisions that match; looks at every flow, in a thread of its own."""
    catalog = request.app[SERVICES].catalog
    found = [
        entry
        for entry in catalog.latest_all(tenant_of(request))
        if is_within(request, entry.namespace)
        and where.matches(entry, partial(_labels, request, entry))
    ]
    for field, ascending in reversed(tuple(sort)):
        found.sort(key=_sort_key(field), reverse=not ascending)
    return found


def _sort_key(field: str) -> Callable[[FlowRevision], str | int]:
    match field:
        case "id":
            return lambda entry: entry.flow_id
        case "namespace":
            return lambda entry: entry.namespace
        case "revision":
            return lambda entry: entry.revision
        case _:
            raise HttpError(422, "Illegal argument", f"Invalid sort parameter: {field!r}")


def _stored(request: web.Request, entry: FlowRevision) -> Flow:
    key, catalog = (
        FlowKey(entry.tenant, entry.namespace, entry.flow_id),
        request.app[SERVICES].catalog,
    )
    flow = catalog.flow(key, entry.revision, allow_deleted=True)
    if flow is None:
        raise NotFound(catalog.missing(key, entry.revision))
    return flow


def _labels(request: web.Request, entry: FlowRevision) -> dict[str, str]:
    try:
        return dict(_stored(request, entry).labels)
    except InvalidFlow:
        return {}


def stored_document(
    request: web.Request, entry: FlowRevision, with_source: bool = False
) -> JsonObject:
    """A stored flow as it is answered. Parses it when need be: runs in a thread."""
    source = entry.source if with_source else None
    try:
        return flow_document(_stored(request, entry), source)
    except InvalidFlow as error:
        return unreadable_flow(entry, str(error), source)


@narrows
async def distinct_namespaces(request: web.Request) -> web.Response:
    """GET /flows/distinct-namespaces: the namespaces that have a flow."""
    q = request.query.get("q", "").lower()
    names = request.app[SERVICES].catalog.namespaces(tenant_of(request))
    found = [name for name in names if q in name.lower() and is_within(request, name)]
    return json_response(found)


@narrows
async def validate_flows(request: web.Request) -> web.Response:
    """POST /flows/validate: what is wrong with each document of the body. Stores nothing."""
    source = await read_source(request)
    documents = [text for text in _SEPARATOR.split(source) if text.strip()] or [source]
    if len(documents) > DOCUMENTS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {DOCUMENTS_MAX} flows.")
    tenant = tenant_of(request)
    return json_response(
        await asyncio.to_thread(
            lambda: [_check(request, tenant, i, text) for i, text in enumerate(documents)]
        )
    )


def _check(request: web.Request, tenant: str, index: int, source: str) -> JsonObject:
    services = request.app[SERVICES]
    try:
        default = services.settings.dialect
        flow = services.catalog.load(source, tenant, default)
    except InvalidFlow as error:
        return {"index": index, "constraints": str(error).rstrip("\n"), "outdated": False}
    key = FlowKey(tenant, flow.namespace, flow.id)
    # Of what lies outside the request's namespaces nothing is told.
    is_seen = is_within(request, flow.namespace)
    newest = services.catalog.entry(key, allow_deleted=True) if is_seen else None
    last = 0 if newest is None else newest.revision
    sent = _REVISION.search(source)
    noticed = notices(flow, services.registry.replacement)
    return {
        "flow": flow.id,
        "namespace": flow.namespace,
        "index": index,
        "outdated": bool(is_seen and sent and int(sent[1]) != last + 1),
        "deprecationPaths": noticed.deprecation_paths,
        "warnings": noticed.warnings + doubtful_references(flow),
        "infos": noticed.infos,
    }


def key_of(request: web.Request) -> FlowKey:
    return FlowKey(tenant_of(request), request.match_info["namespace"], request.match_info["id"])


ROUTES = (
    ("GET", "/flows/search", search_flows),
    ("GET", "/flows/distinct-namespaces", distinct_namespaces),
    ("POST", "/flows/validate", validate_flows),
    ("POST", "/flows", create_flow),
    ("GET", "/flows/{namespace}", list_flows),
    ("GET", "/flows/{namespace}/{id}", get_flow),
    ("PUT", "/flows/{namespace}/{id}", update_flow),
    ("DELETE", "/flows/{namespace}/{id}", delete_flow),
    ("GET", "/flows/{namespace}/{id}/tasks/{taskId}", get_task),
)
