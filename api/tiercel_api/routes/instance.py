"""/instance: which services of this installation live, how they stand, what they own.

An administrator asks: it is about no namespace. What an installation of the peer's enterprise
edition could do besides (maintenance, versioned plugins) is not there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from aiohttp import web

from tiercel_api import filter_values, filters
from tiercel_api.answers import json_response
from tiercel_api.filter_values import Reader
from tiercel_api.filters import Query
from tiercel_api.fleet import FLEET, RUNNING
from tiercel_api.paging import page_in_memory
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Condition, Facts, holds

KINDS = ("EXECUTOR", "INDEXER", "SCHEDULER", "WEBSERVER", "WORKER")
_READERS: dict[str, Reader] = {
    "q": filter_values.search,
    "id": filter_values.text,
    "type": filter_values.text,
    "state": filter_values.text,
}
_FLAT = {"q": "EQUALS", "type": "IN", "state": "IN"}
_SORTED_BY = ("id", "type", "state", "createdAt", "updatedAt")


def service_filter(query: Query) -> list[Condition]:
    """What a search asks for, in both spellings."""
    return filters.conditions(query, _FLAT, _READERS, 0)


async def search_services(request: web.Request) -> web.Response:
    """GET /instance/services/search: those that match, a page of them."""
    wanted = service_filter(request.query)
    found = [one for one in await _look(request) if _matches(one, wanted)]
    return json_response(page_in_memory(found, request.query, _SORTED_BY))


async def active_services(request: web.Request) -> web.Response:
    """GET /instance/services/active: how many of each kind run."""
    counts = Counter(one["type"] for one in await _look(request) if one["state"] == RUNNING)
    rows = [{"type": kind, "total": total} for kind, total in sorted(counts.items())]
    return json_response({"total": counts.total(), "services": rows})


async def get_service(request: web.Request) -> web.Response:
    """GET /instance/services/{id}: one."""
    wanted = request.match_info["id"]
    for one in await _look(request):
        if one["id"] == wanted:
            return json_response(one)
    raise NotFound(f"There is no service {wanted!r}.")


async def list_metrics(request: web.Request) -> web.Response:
    """GET /instance/metrics/{type}: what the services of a kind have room for, each by its id."""
    kind = request.match_info["type"].upper()
    if kind not in KINDS:
        raise UserError(f"Expected one of {', '.join(KINDS)}, but it was {kind!r}.")
    running = [
        one for one in await _look(request) if one["type"] == kind and one["state"] == RUNNING
    ]
    return json_response([row for one in running for row in _metrics(one)])


def _metrics(one: JsonObject) -> list[JsonObject]:
    values = {"partitions": (len(one["partitions"]), "Partitions that it owns")}
    if "worker" in one:
        values["slots"] = (one["worker"]["slots"], "Tasks that it runs at once")
        values["slots.free"] = (one["worker"]["freeSlots"], "Tasks that it can take now")
    return [
        {
            "name": f"{one['type'].lower()}.{name}",
            "type": "GAUGE",
            "description": words,
            "tags": [{"key": "service", "value": one["id"]}],
            "value": value,
        }
        for name, (value, words) in values.items()
    ]


async def get_maintenance(request: web.Request) -> web.Response:
    """GET /instance/maintenance/status: there is no maintenance; how many services run."""
    counts = Counter(one["type"] for one in await _look(request) if one["state"] == RUNNING)
    services = {kind: {"total": total, "inMaintenance": 0} for kind, total in counts.items()}
    ready = request.app[SERVICES].is_ready()
    return json_response({"maintenance": False, "ready": ready, "services": services})


async def list_selector_tags(request: web.Request) -> web.Response:
    """GET /worker-selectors/tags: the groups of the workers that live."""
    running = [one for one in await _look(request) if one["state"] == RUNNING]
    groups = {one["worker"]["group"] for one in running if "worker" in one}
    return json_response({"tags": sorted(groups - {""})})


async def _look(request: web.Request) -> list[JsonObject]:
    return await asyncio.to_thread(request.app[FLEET].look)


def _matches(one: JsonObject, wanted: Sequence[Condition]) -> bool:
    fields = {name: one[name] for name in ("id", "type", "state")}
    facts = Facts(fields, (one["id"], one["server"]["hostname"]))
    return all(holds(condition, facts) for condition in wanted)


ROUTES = (
    ("GET", "/instance/services/search", search_services),
    ("GET", "/instance/services/active", active_services),
    ("GET", "/instance/services/{id}", get_service),
    ("GET", "/instance/metrics/{type}", list_metrics),
    ("GET", "/instance/maintenance/status", get_maintenance),
    ("GET", "/worker-selectors/tags", list_selector_tags),
)
