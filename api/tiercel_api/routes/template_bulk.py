"""/templates for many: check, delete, export, import (deprecated, as templates are)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.errors import HttpError
from tiercel_api.flow_writes import json_as_yaml, newest_of, read_source, refusal, send
from tiercel_api.lookup import tenant_of
from tiercel_api.paging import FlowFilter, flow_filter, is_set
from tiercel_api.routes.flow_bulk import (
    FLOWS_MAX,
    documents_of,
    exported,
    key_of,
    too_many,
    unpacked,
    uploaded,
)
from tiercel_api.routes.templates import (
    check_enabled,
    load_template,
    matching_templates,
    template_document,
)
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound, Rejected
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import template_key

Find = Callable[[web.Request], Awaitable[Sequence[FlowRevision]]]


@narrows
async def distinct_namespaces(request: web.Request) -> web.Response:
    """GET /templates/distinct-namespaces: the namespaces that have a template."""
    found = await matching_templates(request, FlowFilter())
    return json_response(sorted({entry.namespace for entry in found}))


@narrows
async def validate_templates(request: web.Request) -> web.Response:
    """POST /templates/validate: what is wrong with each document of the body. Stores nothing."""
    check_enabled(request)
    answers: list[JsonObject] = []
    for index, source in enumerate(documents_of(await read_source(request))):
        try:
            template = await load_template(request, source, None)
        except InvalidFlow as error:
            answers.append({"index": index, "constraints": str(error).rstrip("\n")})
        else:
            names = {"namespace": template.namespace, "template": template.id}
            answers.append({"index": index, **names})
    return json_response(answers)


async def update_namespace(request: web.Request) -> web.Response:
    """POST /templates/{namespace}: make those of the body its templates.

    `delete=false`: others stay.
    """
    check_enabled(request)
    namespace = request.match_info["namespace"]
    body = await read_json(request)
    if not isinstance(body, list) or len(body) > FLOWS_MAX:
        raise HttpError(422, "Invalid entity", "expected a list of templates")
    sources = [json_as_yaml(msgspec.json.encode(one)) for one in body]
    templates = [await load_template(request, source, None) for source in sources]
    if any(template.namespace != namespace for template in templates):
        raise refusal("template.namespace", f"Expected templates of {namespace} alone")
    stored = [await _store(request, source) for source in sources]
    if is_set(request.query, "delete", default=True):
        kept = {template.id for template in templates}
        for entry in await matching_templates(request, FlowFilter(namespace=namespace)):
            if entry.flow_id not in kept:
                await _delete(request, entry)
    return json_response([await template_document(request, entry) for entry in stored])


async def _store(request: web.Request, source: str) -> FlowRevision:
    """Store a template's next revision, or its first; the same source again stores none."""
    template = await load_template(request, source, None)
    allow(request, Permission.WRITE, template.namespace)
    key = template_key(tenant_of(request), template.namespace, template.id)
    newest = request.app[SERVICES].catalog.entry(key)
    if newest is not None and newest.source == source:
        return newest
    try:
        return await send(request, key, source, template.dialect.name)
    except Rejected as error:
        raise InvalidFlow(str(error)) from None


@narrows
async def import_templates(request: web.Request) -> web.Response:
    """POST /templates/import: those of a part `fileUpload`, YAML or an archive of it.

    All are checked before the first is stored.
    """
    check_enabled(request)
    name, body = await uploaded(request)
    is_archive = name.lower().endswith(".zip") or body.startswith(b"PK\x03\x04")
    files = await asyncio.to_thread(unpacked, body) if is_archive else [(name, body)]
    sources = [one for _, text in files for one in documents_of(text.decode("utf-8", "replace"))]
    for source in sources:
        await load_template(request, source, None)
    for source in sources:
        await _store(request, source)
    return web.Response(status=204)


async def _by_ids(request: web.Request) -> list[FlowRevision]:
    """The templates that the body lists. Raises NotFound: one is not there."""
    check_enabled(request)
    body = await read_json(request)
    if not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
        raise HttpError(422, "Invalid entity", "ids: expected a list of {namespace, id}")
    if len(body) > FLOWS_MAX:
        raise too_many()
    found = []
    for entry in body:
        namespace, template_id = str(entry.get("namespace")), str(entry.get("id"))
        try:
            if not is_within(request, namespace):
                raise NotFound("")
            key = template_key(tenant_of(request), namespace, template_id)
            found.append(await newest_of(request, key))
        except NotFound:
            raise NotFound(f"Template {namespace}.{template_id}") from None
    return found


async def _by_query(request: web.Request) -> list[FlowRevision]:
    found = await matching_templates(request, flow_filter(request.query))
    if len(found) > FLOWS_MAX:
        raise too_many()
    return found


async def _delete(request: web.Request, entry: FlowRevision) -> None:
    await send(request, key_of(entry), entry.source, entry.dialect, deleted=True)


def _deleted(find: Find) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        found = await find(request)
        for entry in found:
            allow(request, Permission.WRITE, entry.namespace)
        for entry in found:
            await _delete(request, entry)
        return json_response({"count": len(found)})

    handler.__doc__ = "/templates/delete/…: delete the templates that are named or match."
    return narrows(handler)


#: In front of those of single templates, whose paths are like these.
ROUTES = (
    ("GET", "/templates/distinct-namespaces", distinct_namespaces),
    ("POST", "/templates/validate", validate_templates),
    ("POST", "/templates/import", import_templates),
    ("GET", "/templates/export/by-query", exported(_by_query, "templates")),
    ("POST", "/templates/export/by-ids", exported(_by_ids, "templates")),
    ("DELETE", "/templates/delete/by-query", _deleted(_by_query)),
    ("DELETE", "/templates/delete/by-ids", _deleted(_by_ids)),
    ("POST", "/templates/{namespace}", update_namespace),
)
