"""/blueprints: flows to start from.

`/blueprints/community/…` as before Kestra 0.22, `/blueprints/community/{kind}/…` as since. There
are flows alone; blueprints that users store are of the peer's enterprise edition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from tiercel_api import filter_values, filters
from tiercel_api.answers import json_response
from tiercel_api.blueprints import Blueprint, blueprints
from tiercel_api.filter_values import Reader, Written
from tiercel_api.filters import Query
from tiercel_api.flow_writes import load
from tiercel_api.paging import page_in_memory
from tiercel_api.topology import draw
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.repository.terms import Condition, Facts, Group, Term, holds

_FLOW = "FLOW"
_KIND = "{kind:(?:FLOW|DASHBOARD|APP|flow|dashboard|app)}"
#: The date is never told, as the examples come with the version; clients sort by it all the same.
_SORTED_BY = ("id", "title", "publishedAt")


def _tags(leaf: Written, now_us: int) -> Condition:
    """Any of several tags, or none of them."""
    is_negated = leaf.operator in ("NOT_EQUALS", "NOT_IN")
    if not is_negated and leaf.operator not in ("EQUALS", "IN", "CONTAINS"):
        raise UserError(f"Unsupported filter: tags with {leaf.operator}.")
    operator = "NOT_EQUALS" if is_negated else "EQUALS"
    tags = replace(leaf, operator="IN").values
    members = [Term("labels", operator, (tag,), tag) for tag in tags]
    return Group(members, is_any=not is_negated)


_READERS: dict[str, Reader] = {
    "q": filter_values.search,
    "tags": _tags,
    "id": filter_values.text,
    "title": filter_values.text,
}
_FLAT = {"q": "EQUALS", "tags": "IN"}


def blueprint_filter(query: Query) -> list[Condition]:
    """What a search asks for, in both spellings."""
    return filters.conditions(query, _FLAT, _READERS, 0)


async def search_blueprints(request: web.Request) -> web.Response:
    """GET /blueprints/community[/{kind}]: those that match, a page of them."""
    wanted = blueprint_filter(request.query)
    found = [one.document() for one in await _all(request) if _matches(one, wanted)]
    return json_response(page_in_memory(found, request.query, _SORTED_BY))


async def list_tags(request: web.Request) -> web.Response:
    """GET /blueprints/community[/{kind}]/tags: the tags that there are."""
    part = request.query.get("q", "").lower()
    tags = sorted({tag for one in await _all(request) for tag in one.tags if part in tag})
    return json_response([{"id": tag, "name": tag.capitalize()} for tag in tags])


async def get_blueprint(request: web.Request) -> web.Response:
    """GET /blueprints/community[/{kind}]/{id}: one, with its source."""
    return json_response((await _find(request)).document(with_source=True))


async def get_source(request: web.Request) -> web.Response:
    """GET /blueprints/community/{id}/flow, or /{kind}/{id}/source: the YAML text."""
    source = (await _find(request)).source
    return web.Response(text=source, content_type="application/yaml")


async def get_graph(request: web.Request) -> web.Response:
    """GET /blueprints/community[/{kind}]/{id}/graph: its topology."""
    flow = await load(request, (await _find(request)).source, None)
    return json_response(draw(flow, None, lambda *_: None, False))


async def not_kept(request: web.Request) -> web.Response:
    """Blueprints that users store: there are none."""
    raise NotFound("Blueprints of users are not kept: store a flow and start from it.")


async def _all(request: web.Request) -> Sequence[Blueprint]:
    if request.match_info.get("kind", _FLOW).upper() != _FLOW:
        return ()
    return tuple((await asyncio.to_thread(blueprints)).values())


async def _find(request: web.Request) -> Blueprint:
    wanted = request.match_info["id"]
    for one in await _all(request):
        if one.id == wanted:
            return one
    raise NotFound(f"There is no blueprint {wanted!r}.")


def _matches(one: Blueprint, wanted: Sequence[Condition]) -> bool:
    fields = {"id": one.id, "title": one.title}
    texts = (one.id, one.title, one.description, *one.types)
    facts = Facts(fields, texts, lambda: {tag: tag for tag in one.tags})
    return all(holds(condition, facts) for condition in wanted)


_KEPT = "/blueprints/{place:(?:custom|flows?)}"

ROUTES = (
    ("GET", "/blueprints/community", search_blueprints),
    ("GET", "/blueprints/community/tags", list_tags),
    ("GET", f"/blueprints/community/{_KIND}", search_blueprints),
    ("GET", f"/blueprints/community/{_KIND}/tags", list_tags),
    ("GET", f"/blueprints/community/{_KIND}/{{id}}", get_blueprint),
    ("GET", f"/blueprints/community/{_KIND}/{{id}}/graph", get_graph),
    ("GET", f"/blueprints/community/{_KIND}/{{id}}/source", get_source),
    ("GET", "/blueprints/community/{id}", get_blueprint),
    ("GET", "/blueprints/community/{id}/graph", get_graph),
    ("GET", "/blueprints/community/{id}/flow", get_source),
    *(
        (method, _KEPT + rest, not_kept)
        for method, rest in (
            ("GET", ""),
            ("POST", ""),
            ("GET", "/{id}"),
            ("PUT", "/{id}"),
            ("DELETE", "/{id}"),
            ("GET", "/{id}/source"),
            ("POST", "/{id}/use-template"),
        )
    ),
)
