"""/templates: store, read and search the tasks that the Template task runs (deprecated).

A template is stored like a flow, under a key of its own (`template_key`). Without the setting
`templates` there are no such resources.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import HttpError
from tiercel_api.flow_writes import load, newest_of, read_source, refusal, send
from tiercel_api.lookup import FLOWS, tenant_of
from tiercel_api.paging import FlowFilter, flow_filter, page_of
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound, Rejected
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.flowables import Loop
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, template_key

#: What an author writes in a template.
PROPERTIES = ("id", "namespace", "description", "tasks", "errors", "finally")
#: What the server adds to an answer; clients send it back.
_ADDED = ("tenantId", "revision", "deleted", "disabled")


async def create_template(request: web.Request) -> web.Response:
    """POST /templates: store a template that is new."""
    check_enabled(request)
    source = await read_source(request)
    template = await load_template(request, source, None)
    allow(request, Permission.WRITE, template.namespace)
    key = template_key(tenant_of(request), template.namespace, template.id)
    try:
        return await _save(request, key, source, template, expected_revision=0)
    except Rejected as error:
        if "already exists" in str(error):
            raise refusal("template.id", "Template id already exists") from None
        raise InvalidFlow(str(error)) from None


async def update_template(request: web.Request) -> web.Response:
    """PUT /templates/{namespace}/{id}: store its next revision; the same again stores none."""
    key = _key_of(request)
    source = await read_source(request)
    newest = await newest_of(request, key)
    template = await load_template(request, source, newest)
    if template.id != key.flow_id:
        raise refusal("template.id", "Illegal template id update")
    if template.namespace != key.namespace:
        raise refusal("template.namespace", "Illegal namespace update")
    if newest.source == source:
        return json_response(await template_document(request, newest))
    try:
        return await _save(request, key, source, template)
    except Rejected as error:
        raise InvalidFlow(str(error)) from None


async def get_template(request: web.Request) -> web.Response:
    """GET /templates/{namespace}/{id}."""
    return json_response(
        await template_document(request, await newest_of(request, _key_of(request)))
    )


async def delete_template(request: web.Request) -> web.Response:
    """DELETE /templates/{namespace}/{id}: executions that have opened it keep its tasks."""
    key = _key_of(request)
    newest = await newest_of(request, key)
    await send(request, key, newest.source, newest.dialect, deleted=True)
    return web.Response(status=204)


@narrows
async def search_templates(request: web.Request) -> web.Response:
    """GET /templates/search: ordered by namespace and id."""
    page, size = page_of(request.query)
    found = await matching_templates(request, flow_filter(request.query))
    shown = [
        await template_document(request, one) for one in found[(page - 1) * size : page * size]
    ]
    return json_response({"results": shown, "total": len(found)})


async def matching_templates(request: web.Request, where: FlowFilter) -> list[FlowRevision]:
    """The newest revisions that match, ordered by namespace and id."""
    check_enabled(request)
    tenant = template_key(tenant_of(request), "", "").tenant
    latest = await asyncio.to_thread(request.app[SERVICES].catalog.latest_all, tenant)
    return [e for e in latest if is_within(request, e.namespace) and where.matches(e)]


def check_enabled(request: web.Request) -> None:
    """Raises NotFound: the server keeps no templates."""
    if not request.app[SERVICES].settings.templates:
        raise NotFound("Templates are disabled: expected the setting `templates` to be true.")


def _key_of(request: web.Request) -> FlowKey:
    check_enabled(request)
    info = request.match_info
    return template_key(tenant_of(request), info["namespace"], info["id"])


async def load_template(request: web.Request, source: str, before: FlowRevision | None) -> Flow:
    """Read a template. Raises InvalidFlow: it is none."""
    template = await load(request, source, before)
    for name in template.properties:
        if name not in PROPERTIES + _ADDED:
            raise refusal(f"template.{name}", f"Expected one of {', '.join(PROPERTIES)}")
    for task in template.all_tasks():
        if isinstance(task, Loop):
            raise refusal("template.tasks", f"Expected no Loop: {task.id}")
    return template


async def _save(
    request: web.Request,
    key: FlowKey,
    source: str,
    template: Flow,
    expected_revision: int | None = None,
) -> web.Response:
    dialect = template.dialect.name
    stored = await send(request, key, source, dialect, expected_revision=expected_revision)
    return json_response(await template_document(request, stored))


async def template_document(request: web.Request, entry: FlowRevision) -> JsonObject:
    """A template as it is answered. Raises HttpError: it does not read as one any more."""
    try:
        properties = (await request.app[FLOWS].parsed(entry)).properties
    except InvalidFlow as error:
        raise HttpError(422, "Invalid entity", str(error)) from None
    return {k: v for k, v in properties.items() if k not in ("revision", "disabled")}


ROUTES = (
    ("GET", "/templates/search", search_templates),
    ("POST", "/templates", create_template),
    ("GET", "/templates/{namespace}/{id}", get_template),
    ("PUT", "/templates/{namespace}/{id}", update_template),
    ("DELETE", "/templates/{namespace}/{id}", delete_template),
)
