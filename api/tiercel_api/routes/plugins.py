"""/plugins: what flows can be made of here, with documentation, JSON schemas and pictures.

Groups are answered in two shapes: types by name on `/api/v1/…` as before Kestra 1.0; with title and
description below a tenant, or when a page is asked for, as since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.blueprints import types_in
from tiercel_api.bodies import read_body
from tiercel_api.dashboards.schema import schema as dashboard_schema
from tiercel_api.errors import HttpError
from tiercel_api.paging import is_set, page_in_memory
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound
from tiercel_engine.plugin.icons import digest, encoded, icon_of
from tiercel_engine.plugin.inventory import Entry, Group, Inventory, package_facts
from tiercel_engine.plugin.page import page_of_input, page_of_type
from tiercel_engine.plugin.schema import ROOTS, Definitions
from tiercel_engine.repository.base import JsonObject

INVENTORY = web.AppKey("inventory", Inventory)
#: Lists of a group: its name there -> the kind of types in it; the others are always empty.
_LISTS = {
    "tasks": "task",
    "triggers": "trigger",
    "conditions": "condition",
    "controllers": "",
    "storages": "",
    "secrets": "",
    "taskRunners": "taskRunner",
    "apps": "",
    "appBlocks": "",
    "charts": "",
    "dataFilters": "",
    "logExporters": "",
    "additionalPlugins": "",
}
#: What has a schema of its own and is made of no types.
DASHBOARD = "dashboard"
_SORTED_BY = ("name", "title", "group")
T = TypeVar("T")


async def _in_thread(request: web.Request, work: Callable[[Inventory], T]) -> T:
    """The first call makes the schemas, which takes a while."""
    return await asyncio.to_thread(work, request.app[INVENTORY])


async def list_plugins(request: web.Request) -> web.Response:
    """GET /plugins: the groups of types; a page of them when `page` or `size` is given."""
    groups = request.app[INVENTORY].groups
    if "page" not in request.query and "size" not in request.query:
        return json_response(_groups(request, groups))
    rows = _groups(request, groups, with_words=True)
    return json_response(page_in_memory(rows, request.query, _SORTED_BY))


async def list_subgroups(request: web.Request) -> web.Response:
    """GET /plugins/groups/subgroups: the groups, each followed by its parts."""
    return json_response(_groups(request, request.app[INVENTORY].subgroups))


async def list_triggers(request: web.Request) -> web.Response:
    """GET /plugins/triggers: the types of triggers."""
    inventory = request.app[INVENTORY]
    titles = {group.name: group.title for group in inventory.groups}
    rows = [
        {
            "type": entry.name,
            "name": entry.name.rpartition(".")[2],
            "pluginTitle": titles[entry.group],
            "description": entry.documentation.summary,
            "group": _trigger_group(entry),
            "ee": False,
            "icon": encoded(icon_of(entry.family)),
            "deprecated": entry.is_deprecated,
        }
        for entry in inventory.entries
        if entry.kind == "trigger"
    ]
    return json_response({"results": rows, "total": len(rows)})


def _trigger_group(entry: Entry) -> str:
    if getattr(entry.model, "STATE_KIND", "") == "REALTIME":
        return "realtime"
    return "core" if entry.group == "io.kestra.plugin.core" else "app"


def _groups(
    request: web.Request, groups: tuple[Group, ...], with_words: bool = False
) -> list[JsonObject]:
    with_words = with_words or "tenant" in request.match_info
    return [_group(group, with_words) for group in groups]


def _group(group: Group, with_words: bool) -> JsonObject:
    def each(entry: Entry) -> Any:
        if not with_words:
            return entry.name
        told = entry.documentation
        return {
            "cls": entry.name,
            "deprecated": entry.is_deprecated,
            "title": told.summary,
            "description": told.text,
        }

    document: JsonObject = {
        "name": group.facts["name"] if not group.name.startswith("io.kestra") else group.title,
        "title": group.title,
        "group": group.name,
        "description": group.facts["summary"],
        "longDescription": "",
        "license": group.facts["license"],
        "version": group.facts["version"],
        "manifest": {},
        "guides": [],
        "aliases": [alias for entry in group.entries for alias in entry.aliases],
        "categories": group.categories,
    }
    for name, kind in _LISTS.items():
        document[name] = [each(entry) for entry in group.of_kind(kind)]
    if group.subgroup:
        document["subGroup"] = group.subgroup
    return document


# -- one type --------------------------------------------------------------------------------------


def _entry(request: web.Request) -> Entry:
    name = request.match_info["cls"]
    entry = request.app[INVENTORY].find(name)
    if entry is None:
        raise NotFound(f"There is no type {name!r} here; GET /plugins lists those that there are.")
    return entry


async def get_plugin(request: web.Request) -> web.Response:
    """GET /plugins/{cls}: what a type does, its properties and outputs."""
    entry, shows_all = _entry(request), is_set(request.query, "all")
    found = await _in_thread(request, lambda known: page_of_type(known, entry, shows_all))
    return json_response(found)


async def list_versions(request: web.Request) -> web.Response:
    """GET /plugins/{cls}/versions: the installed one."""
    entry = _entry(request)
    return json_response({"type": entry.name, "versions": [_version(entry)]})


async def get_plugin_version(request: web.Request) -> web.Response:
    """GET /plugins/{cls}/versions/{version}: the same of one version, which must be installed."""
    wanted, installed = request.match_info["version"], _version(_entry(request))
    if wanted != installed:
        raise NotFound(f"Expected the installed version {installed}, but it was {wanted!r}.")
    return await get_plugin(request)


def _version(entry: Entry) -> str:
    return package_facts(entry.package)["version"]


# -- inputs and schemas ----------------------------------------------------------------------------


async def list_input_types(request: web.Request) -> web.Response:
    """GET /plugins/inputs: the types of inputs."""
    types = request.app[INVENTORY].inputs.items()
    return json_response([{"type": name, "cls": model.PEER_NAME} for name, model in types])


async def get_input_type(request: web.Request) -> web.Response:
    """GET /plugins/inputs/{type}: what an input of this type may have."""
    name = request.match_info["type"].upper()
    model = request.app[INVENTORY].inputs.get(name)
    if model is None:
        raise NotFound(f"There is no type {name!r} of inputs; GET /plugins/inputs lists them.")
    return json_response(
        await _in_thread(request, lambda known: page_of_input(known.definitions, name, model))
    )


async def get_schema(request: web.Request) -> web.Response:
    """GET /plugins/schemas/{type}: the JSON schema by which an editor checks a flow.

    `dashboard` is that of dashboards.
    """
    is_array = is_set(request.query, "arrayOf")
    if request.match_info["type"].lower() == DASHBOARD:
        of_dashboard = dashboard_schema()
        return json_response({"type": "array", "items": of_dashboard} if is_array else of_dashboard)
    name = _schema_name(request)

    def work(known: Inventory) -> JsonObject:
        return known.definitions.document(name, is_array)

    return json_response(await _in_thread(request, work))


async def get_properties(request: web.Request) -> web.Response:
    """GET /plugins/properties/{type}: the properties alone, with what they refer to."""
    name = ROOTS[_schema_name(request)]

    def work(known: Inventory) -> JsonObject:
        return _root(known.definitions, name)

    return json_response(await _in_thread(request, work))


def _root(definitions: Definitions, name: str) -> JsonObject:
    root = definitions.whole[name]
    shown: JsonObject = {
        key: root[key] for key in ("description", "properties", "required") if key in root
    }
    return {**shown, "definitions": definitions.reached_from(shown, is_shallow=True)}


def _schema_name(request: web.Request) -> str:
    name = request.match_info["type"].lower()
    if name not in ROOTS:
        known = ", ".join((*ROOTS, DASHBOARD))
        raise NotFound(f"There is no schema {name!r}; there are {known}.")
    return name


# -- pictures --------------------------------------------------------------------------------------


async def list_icons(request: web.Request) -> web.Response:
    """GET /plugins/icons: the picture of each type, by every name that it has."""
    entries = request.app[INVENTORY].entries
    return json_response(
        {
            name: _icon(name, entry.family, entry.is_flowable)
            for entry in entries
            for name in (entry.name, *entry.aliases)
        }
    )


async def list_group_icons(request: web.Request) -> web.Response:
    """GET /plugins/icons/groups: the picture of each group and of its parts."""
    groups = request.app[INVENTORY].subgroups
    names = [group.subgroup or group.name for group in groups]
    return json_response({name: _icon(name, name, False) for name in names})


async def get_icon(request: web.Request) -> web.Response:
    """GET /plugins/icons/{cls}: the picture of a type."""
    entry = _entry(request)
    return json_response({"icon": _icon(entry.name, entry.family, entry.is_flowable)})


async def get_icon_svg(request: web.Request) -> web.Response:
    """GET /plugins/icons/{cls}/icon.svg: the picture itself."""
    return web.Response(text=icon_of(_entry(request).family), content_type="image/svg+xml")


def _icon(name: str, family: str, is_flowable: bool) -> JsonObject:
    icon = icon_of(family)
    return {
        "name": name.rpartition(".")[2],
        "icon": encoded(icon),
        "flowable": is_flowable,
        "monochrome": True,
        "hash": digest(icon),
    }


# -- installing ------------------------------------------------------------------------------------


async def detect_missing(request: web.Request) -> web.Response:
    """POST /plugins/auto-install/detect: the types of a flow that are not installed here."""
    settings = request.app[SERVICES].settings
    text = (await read_body(request, "flow", settings.flow_bytes_max)).decode(errors="replace")
    known = request.app[INVENTORY]
    missing = [name for name in await asyncio.to_thread(types_in, text) if known.find(name) is None]
    return json_response({"artifacts": [], "missing": missing})


async def install(request: web.Request) -> web.Response:
    """POST /plugins/install: refused; types come with Python packages."""
    raise HttpError(
        403,
        "Forbidden",
        "Types come with Python packages: install the package with pip beside the server, its"
        " workers and executors, and start them again.",
    )


async def get_install_job(request: web.Request) -> web.Response:
    """GET /plugins/install/{jobId}: there is none."""
    raise NotFound("There are no installations: types come with Python packages.")


async def get_ui_manifest(request: web.Request) -> web.Response:
    """POST /plugins/pluginUiManifest: no type brings parts of a user interface."""
    return json_response({"manifest": {}})


async def get_ui_part(request: web.Request) -> web.Response:
    """GET /plugins/{group}/pluginUi/{path}: there is none."""
    raise NotFound("No type brings parts of a user interface.")


ROUTES = (
    ("GET", "/plugins", list_plugins),
    ("GET", "/plugins/groups/subgroups", list_subgroups),
    ("GET", "/plugins/icons", list_icons),
    ("GET", "/plugins/icons/groups", list_group_icons),
    ("GET", "/plugins/icons/{cls}", get_icon),
    ("GET", "/plugins/icons/{cls}/icon.svg", get_icon_svg),
    ("GET", "/plugins/inputs", list_input_types),
    ("GET", "/plugins/inputs/{type}", get_input_type),
    ("GET", "/plugins/schemas/{type}", get_schema),
    ("GET", "/plugins/properties/{type}", get_properties),
    ("GET", "/plugins/triggers", list_triggers),
    ("POST", "/plugins/auto-install/detect", detect_missing),
    ("POST", "/plugins/install", install),
    ("GET", "/plugins/install/{jobId}", get_install_job),
    ("POST", "/plugins/pluginUiManifest", get_ui_manifest),
    ("GET", "/plugins/{cls}/versions", list_versions),
    ("GET", "/plugins/{cls}/versions/{version}", get_plugin_version),
    ("GET", "/plugins/{group}/pluginUi/{path}", get_ui_part),
    ("GET", "/plugins/{cls}", get_plugin),
)
