"""/tenants: those that the server serves. They are settings: no call makes or changes one."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.namespace_filters import tenant_filter
from tiercel_api.paging import page_of, sort_of
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Facts, holds


async def search_tenants(request: web.Request) -> web.Response:
    """GET /tenants/search: by id."""
    terms, sort = tenant_filter(request.query), sort_of(request.query)
    page, size = page_of(request.query)
    if any(field not in ("id", "name") for field, _ in sort):
        raise UserError(f"Invalid sort parameter: {sort[0][0]!r}")
    found = sorted(
        (
            tenant
            for tenant in request.app[SERVICES].settings.tenants
            if all(holds(term, Facts({"id": tenant, "name": tenant}, (tenant,))) for term in terms)
        ),
        reverse=bool(sort) and not sort[0][1],
    )
    shown = found[(page - 1) * size : page * size]
    return json_response({"results": [_document(one) for one in shown], "total": len(found)})


async def get_tenant(request: web.Request) -> web.Response:
    """GET /tenants/{tenantId}."""
    tenant = request.match_info["tenantId"]
    if tenant not in request.app[SERVICES].settings.tenants:
        raise NotFound(f"Tenant {tenant} not found")
    return json_response(_document(tenant))


def _document(tenant: str) -> JsonObject:
    return {"id": tenant, "name": tenant, "deleted": False}


ROUTES = (
    ("GET", "/tenants/search", search_tenants),
    ("GET", "/tenants/{tenantId}", get_tenant),
)
