"""/flows/…: parts of flows, and what is known of many."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import yaml
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_body, read_json
from tiercel_api.documents import flow_document
from tiercel_api.errors import HttpError
from tiercel_api.files import FILES
from tiercel_api.flow_writes import (
    load,
    newest_of,
    read_source,
    refusal,
    store_flow,
)
from tiercel_api.lookup import FLOWS, find_flow, tenant_of
from tiercel_api.paging import FlowFilter, is_set
from tiercel_api.routes.flow_bulk import key_of
from tiercel_api.routes.flows import matching_flows
from tiercel_api.routes.plugins import INVENTORY
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import is_allowed
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.flow.source import read
from tiercel_engine.flow.validate import notices
from tiercel_engine.plugin.completion import expressions_at, names_of_language
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.secrets import environment_secret_names
from tiercel_schemas.ids import FlowKey

#: Keys, and files, of a namespace that an editor is told.
NAMES_MAX = 1_000
#: Makes a flow around a trigger.
_FILLER = {"id": "filler", "type": "io.kestra.plugin.core.log.Log", "message": "-"}

# -- parts of a flow ---------------------------------------------------------------------------


async def replace_task(request: web.Request) -> web.Response:
    """PATCH /flows/{namespace}/{id}/{taskId}: the next revision with another task of this id."""
    info = request.match_info
    key = FlowKey(tenant_of(request), info["namespace"], info["id"])
    entry = await newest_of(request, key)
    task = await read_json(request)
    if not isinstance(task, dict) or task.get("id") != info["taskId"]:
        raise refusal("task.id", "Task id must match the task of the path")
    written = await asyncio.to_thread(yaml.safe_load, entry.source)
    if not _exchange(written, info["taskId"], task):
        raise NotFound("Task not found")
    source = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
    stored = await store_flow(request, source)
    return json_response(flow_document(await request.app[FLOWS].parsed(stored), None))


def _exchange(part: Any, task_id: str, task: JsonObject) -> bool:
    """Put a task in the place of the one with its id, at any depth; False: there is none."""
    members = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    if isinstance(part, list):
        for place, member in enumerate(part):
            if isinstance(member, dict) and member.get("id") == task_id and "type" in member:
                part[place] = task
                return True
    return any(_exchange(member, task_id, task) for member in members)


@narrows
async def validate_task(request: web.Request) -> web.Response:
    """POST /flows/validate/task?section=TASKS|TRIGGERS: what is wrong with one of them."""
    section = request.query.get("section", "TASKS").upper()
    if section not in ("TASKS", "TRIGGERS"):
        raise HttpError(422, "Illegal argument", "Expected TASKS or TRIGGERS.")
    return json_response(await _checked_part(request, section))


@narrows
async def validate_trigger(request: web.Request) -> web.Response:
    """POST /flows/validate/trigger: what is wrong with it."""
    return json_response(await _checked_part(request, "TRIGGERS"))


async def _checked_part(request: web.Request, section: str) -> JsonObject:
    services = request.app[SERVICES]
    body = await read_body(request, "source", services.settings.flow_bytes_max)
    # JSON reads as YAML does.
    text = body.decode("utf-8", "replace")
    return await asyncio.to_thread(_check_part, text, section, services.registry)


def _check_part(text: str, section: str, registry: PluginRegistry) -> JsonObject:
    """What is wrong with, or old in, one task or trigger, as part of a flow made around it."""
    place = f"{section.lower()}[0]"
    try:
        # By itself first, so that lines are those of its own text.
        part = read(text).data
        if not isinstance(part, dict):
            what = section.lower().removesuffix("s")
            return {"index": 0, "constraints": f"Expected a {what}, but it was no map."}
        whole = {"id": "checked", "namespace": "checked", "tasks": [_FILLER]}
        source = msgspec.json.encode(whole | {section.lower(): [part]}).decode()
        noticed = notices(load_flow(source, registry), registry.replacement)
    except InvalidFlow as error:
        wrong = re.sub(rf"^{re.escape(place)}(\.|: )", "", str(error), flags=re.MULTILINE)
        return {"index": 0, "constraints": wrong.rstrip("\n")}
    paths = (path.removeprefix(place).removeprefix(".") for path in noticed.deprecation_paths)
    return {
        "index": 0,
        "deprecationPaths": [path or "type" for path in paths],
        "warnings": noticed.warnings,
        "infos": noticed.infos,
    }


@narrows
async def complete_expressions(request: web.Request) -> web.Response:
    """POST /flows/expressions?taskId: what templates of the body's flow may say, by kind.

    While the source does not read as a flow, as in an editor, it is what every flow may say.
    """
    source = await read_source(request)
    categories: dict[str, list[str]] = {**names_of_language(), "appContext": []}
    try:
        flow = await load(request, source, None)
    except InvalidFlow:
        return json_response({"categories": categories})
    task_id, inventory = request.query.get("taskId") or None, request.app[INVENTORY]
    categories |= await asyncio.to_thread(expressions_at, flow, task_id, inventory)
    if is_within(request, flow.namespace):
        categories |= await request.app[FILES].call(_of_namespace, request, flow.namespace)
    return json_response({"categories": categories})


def _of_namespace(request: web.Request, namespace: str) -> dict[str, list[str]]:
    """What a namespace gives its flows. Reads storage: runs in a thread."""
    services = request.app[SERVICES]
    keys = islice(KvStore(services.storage, services.clock).keys(namespace), NAMES_MAX)
    files = islice(NamespaceFiles(services.storage, namespace).all(), NAMES_MAX)
    return {
        "secrets": [f"secret('{name}')" for name in environment_secret_names()],
        "kvPairs": sorted(f"kv('{key}')" for key in keys),
        "namespaceFiles": sorted(f"read('{file.path[1:]}')" for file in files),
    }


# -- what is known of many ---------------------------------------------------------------------


@narrows
async def list_deprecated(request: web.Request) -> web.Response:
    """GET /flows/deprecated?namespace: flows with tasks under an older name."""
    services = request.app[SERVICES]
    where = FlowFilter(namespace_prefix=request.query.get("namespace") or None)

    def find() -> list[JsonObject]:
        found = []
        for entry in matching_flows(request, where):
            try:
                flow = services.catalog.flow(key_of(entry), entry.revision)
            except InvalidFlow:
                continue
            tasks = list(flow.all_tasks()) if flow is not None else []
            old = [(task, services.registry.replacement(task.type)) for task in tasks]
            deprecated = [
                {"taskId": task.id, "taskType": task.type, "replacement": new}
                for task, new in old
                if new is not None
            ]
            if deprecated:
                found.append(
                    {
                        "namespace": entry.namespace,
                        "flowId": entry.flow_id,
                        "revision": entry.revision,
                        "deprecatedTasks": deprecated,
                    }
                )
        return found

    return json_response(await asyncio.to_thread(find))


@narrows
async def hashes_by_ids(request: web.Request) -> web.Response:
    """POST /flows/hashes/by-ids: SHA-256 of the sources; none where there is no flow."""
    body = await read_json(request)
    if not isinstance(body, list):
        raise HttpError(422, "Invalid entity", "ids: expected a list of {namespace, id}")
    results = []
    for entry in body:
        given = entry if isinstance(entry, dict) else {}
        key = FlowKey(tenant_of(request), str(given.get("namespace")), str(given.get("id")))
        found = None
        if is_within(request, key.namespace):
            found = await request.app[FLOWS].entry(key)
        result: JsonObject = {"namespace": key.namespace, "flowId": key.flow_id}
        if found is not None:
            digest = hashlib.sha256(found.source.encode()).hexdigest()
            result |= {"hash": digest, "revision": found.revision}
        results.append(result)
    return json_response({"results": results})


async def flow_dependencies(request: web.Request) -> web.Response:
    """GET /flows/{namespace}/{id}/dependencies: flows that it starts, or that start it."""
    info = request.match_info
    flow = await find_flow(request, info["namespace"], info["id"])
    return json_response(
        await asyncio.to_thread(
            _dependencies,
            request,
            {(flow.namespace, flow.id)},
            is_set(request.query, "destinationOnly"),
            is_set(request.query, "expandAll"),
        )
    )


async def namespace_dependencies(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/dependencies: the same for all flows of a namespace."""
    namespace = request.match_info["namespace"]
    names = {
        (entry.namespace, entry.flow_id)
        for entry in request.app[SERVICES].catalog.latest_all(tenant_of(request))
        if entry.namespace == namespace
    }
    only = is_set(request.query, "destinationOnly")
    return json_response(await asyncio.to_thread(_dependencies, request, names, only, False))


Name = tuple[str, str]


def _dependencies(
    request: web.Request, names: set[Name], destination_only: bool, expand: bool
) -> JsonObject:
    links = list(_links(request))
    seen, frontier = set(names), set(names)
    edges: dict[tuple[Name, Name, str], None] = {}
    while frontier:
        found = [
            link
            for link in links
            if link[0] in frontier or (link[1] in frontier and not destination_only)
        ]
        edges.update(dict.fromkeys(found))
        near = {name for source, target, _ in found for name in (source, target)}
        frontier = near - seen if expand else set()
        seen |= near
    return {
        "nodes": [
            {"uid": _uid(name), "namespace": name[0], "id": name[1]} for name in sorted(seen)
        ],
        "edges": [
            {"source": _uid(source), "target": _uid(target), "relation": relation}
            for source, target, relation in edges
        ],
    }


def _uid(name: Name) -> str:
    return f"{name[0]}_{name[1]}"


def _links(request: web.Request) -> Iterator[tuple[Name, Name, str]]:
    """(flow, flow that it starts, why) of all flows that who asks may see.

    Reads every flow: runs in a thread.
    """
    catalog = request.app[SERVICES].catalog
    latest = catalog.latest_all(tenant_of(request))
    entries = [e for e in latest if is_allowed(request, Permission.READ, e.namespace)]
    known = {(entry.namespace, entry.flow_id) for entry in entries}
    for entry in entries:
        try:
            flow = catalog.flow(key_of(entry), entry.revision)
        except InvalidFlow:
            continue
        if flow is None:
            continue
        own = (entry.namespace, entry.flow_id)
        for task in flow.all_tasks():
            target = (task.properties.get("namespace"), task.properties.get("flowId"))
            if target in known:
                yield own, (str(target[0]), str(target[1])), "FLOW_TASK"
        for trigger in flow.properties.get("triggers") or ():
            for name in _upstream(trigger):
                if name in known:
                    yield name, own, "FLOW_TRIGGER"


def _upstream(part: Any) -> Iterator[Name]:
    """The flows that a trigger's conditions name, wherever they stand in it."""
    if isinstance(part, list):
        for member in part:
            yield from _upstream(member)
    elif isinstance(part, dict):
        if isinstance(part.get("flowId"), str) and isinstance(part.get("namespace"), str):
            yield part["namespace"], part["flowId"]
        for member in part.values():
            yield from _upstream(member)


ROUTES = (
    ("POST", "/flows/expressions", complete_expressions),
    ("GET", "/flows/deprecated", list_deprecated),
    ("POST", "/flows/hashes/by-ids", hashes_by_ids),
    ("POST", "/flows/validate/task", validate_task),
    ("POST", "/flows/validate/trigger", validate_trigger),
    ("GET", "/flows/{namespace}/{id}/dependencies", flow_dependencies),
    ("GET", "/namespaces/{namespace}/dependencies", namespace_dependencies),
    ("PATCH", "/flows/{namespace}/{id}/{taskId}", replace_task),
)
