"""/flows for many: store, delete, switch on and off, export, import.

Each flow is stored on its own, through the executor like any other revision; a request that names
many is no transaction. All are checked before the first is stored.
"""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from tiercel_api import archives
from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json, reading_form
from tiercel_api.csv_texts import csv_text
from tiercel_api.documents import flow_document
from tiercel_api.errors import BadRequest, BodyTooLarge, HttpError
from tiercel_api.flow_writes import load, newest_of, read_source, refusal, send, store_flow
from tiercel_api.forms import MULTIPART, find_part, part_names
from tiercel_api.lookup import FLOWS, tenant_of
from tiercel_api.paging import flow_filter, is_set
from tiercel_api.routes.flows import matching_flows
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound, UserError
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey

#: Flows of one request.
FLOWS_MAX = 10_000
#: Unpacked bytes of one archive.
ARCHIVE_BYTES_MAX = 256 << 20
_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
_DISABLED = re.compile(r"^disabled:.*$", re.MULTILINE)


async def update_namespace(request: web.Request) -> web.Response:
    """POST /flows/{namespace}: its flows are those of the body; `delete=false`: others stay."""
    namespace = request.match_info["namespace"]
    return await _store_all(request, [namespace], exact=True)


async def update_many(request: web.Request) -> web.Response:
    """POST /flows/bulk: store the body's flows; `delete=true`: others of their namespaces go."""
    namespace = request.query.get("namespace")
    return await _store_all(request, [namespace] if namespace else [], exact=False)


async def _store_all(request: web.Request, namespaces: list[str], *, exact: bool) -> web.Response:
    sources = documents_of(await read_source(request))
    flows = [await load(request, source, None) for source in sources]
    below = is_set(request.query, "allowNamespaceChild")
    for flow in flows:
        allow(request, Permission.WRITE, flow.namespace)
        if namespaces and not _is_in(flow.namespace, namespaces[0], below and not exact):
            raise refusal("flow.namespace", f"Illegal namespace: {flow.namespace}")
    names = [(flow.namespace, flow.id) for flow in flows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refusal("flow.id", f"Duplicate flow id: {twice[0][1]}")
    stored = [await store_flow(request, source) for source in sources]
    if is_set(request.query, "delete", default=True):
        wanted = set(namespaces) or {flow.namespace for flow in flows}
        for entry in request.app[SERVICES].catalog.latest_all(tenant_of(request)):
            if entry.namespace in wanted and (entry.namespace, entry.flow_id) not in names:
                await send(request, key_of(entry), entry.source, entry.dialect, deleted=True)
    found = [(await request.app[FLOWS].parsed(entry), entry) for entry in stored]
    return json_response([flow_document(flow, entry.source) for flow, entry in found])


def _is_in(namespace: str, of: str, below: bool) -> bool:
    return namespace == of or (below and namespace.startswith(f"{of}."))


def documents_of(source: str) -> list[str]:
    """The documents of a YAML text. Raises HttpError: there are too many."""
    documents = [text for text in _SEPARATOR.split(source) if text.strip()]
    if len(documents) > FLOWS_MAX:
        raise too_many()
    return documents


def too_many() -> HttpError:
    """A request is about more than it may be."""
    return HttpError(422, "Illegal argument", f"Expected at most {FLOWS_MAX} flows at once.")


def key_of(entry: FlowRevision) -> FlowKey:
    """What names a stored flow."""
    return FlowKey(entry.tenant, entry.namespace, entry.flow_id)


# -- by ids and by query -----------------------------------------------------------------------

#: Whether it changed anything.
Act = Callable[[web.Request, FlowRevision], Awaitable[bool]]


async def _by_ids(request: web.Request) -> list[FlowRevision]:
    """The flows that the body lists. Raises NotFound: one is not there."""
    body = await read_json(request)
    if not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
        raise HttpError(422, "Invalid entity", "ids: expected a list of {namespace, id}")
    if len(body) > FLOWS_MAX:
        raise too_many()
    found = []
    for entry in body:
        key = FlowKey(tenant_of(request), str(entry.get("namespace")), str(entry.get("id")))
        if not is_within(request, key.namespace):
            raise NotFound(f"Flow {key.namespace}.{key.flow_id}")
        try:
            found.append(await newest_of(request, key))
        except NotFound:
            raise NotFound(f"Flow {key.namespace}.{key.flow_id}") from None
    return found


async def _by_query(request: web.Request) -> list[FlowRevision]:
    found = await asyncio.to_thread(matching_flows, request, flow_filter(request.query))
    if len(found) > FLOWS_MAX:
        raise too_many()
    return found


async def _delete(request: web.Request, entry: FlowRevision) -> bool:
    await send(request, key_of(entry), entry.source, entry.dialect, deleted=True)
    return True


def _switch(disabled: bool) -> Act:
    async def act(request: web.Request, entry: FlowRevision) -> bool:
        source = with_disabled(entry.source, disabled)
        if source == entry.source:
            return False
        await store_flow(request, source)
        return True

    return act


def with_disabled(source: str, disabled: bool) -> str:
    """A flow's source that says whether it is disabled; comments and order stay."""
    line = f"disabled: {'true' if disabled else 'false'}"
    if _DISABLED.search(source):
        return _DISABLED.sub(line, source, count=1)
    return source if not disabled else f"{source.rstrip()}\n\n{line}\n"


def _counted(
    verb: str, find: Callable[[web.Request], Awaitable[Sequence[FlowRevision]]], act: Act
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        found = await find(request)
        for entry in found:
            allow(request, Permission.WRITE, entry.namespace)
        return json_response({"count": sum([await act(request, entry) for entry in found])})

    handler.__doc__ = f"/flows/{verb}/…: {verb} the flows that are named or match."
    return narrows(handler)


# -- export and import -------------------------------------------------------------------------


def exported(
    find: Callable[[web.Request], Awaitable[Sequence[FlowRevision]]], what: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that answers with an archive of what `find` finds; `what`: flows or templates."""

    async def handler(request: web.Request) -> web.Response:
        found = await find(request)
        for entry in found:
            allow(request, Permission.READ, entry.namespace)
        archive = await asyncio.to_thread(packed, found)
        headers = {"Content-Disposition": f'attachment; filename="{what}.zip"'}
        return web.Response(body=archive, content_type="application/octet-stream", headers=headers)

    handler.__doc__ = f"/{what}/export/…: the {what} that are named or match, as an archive."
    return narrows(handler)


def packed(entries: Sequence[FlowRevision]) -> bytes:
    """An archive with the source of each."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(f"{entry.namespace}.{entry.flow_id}.yml", entry.source)
    return target.getvalue()


@narrows
async def export_csv(request: web.Request) -> web.Response:
    """GET /flows/export/by-query/csv: the flows that match as a table."""
    rows = [(one.namespace, one.flow_id, one.revision) for one in await _by_query(request)]
    text = csv_text(("namespace", "id", "revision"), rows)
    headers = {"Content-Disposition": 'attachment; filename="flows.csv"'}
    return web.Response(text=text, content_type="text/csv", headers=headers)


@narrows
async def import_flows(request: web.Request) -> web.Response:
    """POST /flows/import: the flows of a part `fileUpload`, YAML or an archive of it.

    Answers with the names of those that could not be stored; `failOnError=true`: with 422.
    """
    name, body = await uploaded(request)
    is_archive = name.lower().endswith(".zip") or body.startswith(b"PK\x03\x04")
    files = await asyncio.to_thread(unpacked, body) if is_archive else [(name, body)]
    failed: list[str] = []
    for file_name, content in files:
        for source in documents_of(content.decode("utf-8", "replace")):
            try:
                await store_flow(request, source)
            except UserError as error:
                if is_set(request.query, "failOnError"):
                    raise InvalidFlow(f"{file_name}: {error}") from None
                failed.append(file_name)
    return json_response(failed)


async def uploaded(request: web.Request) -> tuple[str, bytes]:
    """(file name, content) of the part `fileUpload`."""
    if request.content_type != MULTIPART:
        raise BadRequest(f"Expected {MULTIPART}, but it is {request.content_type}.")
    bytes_max = request.app[SERVICES].settings.body_bytes_max * 16
    with reading_form():
        part = await find_part(await request.multipart(), "fileUpload")
        content = bytearray()
        while block := await part.read_chunk(65_536):
            content += block
            if len(content) > bytes_max:
                raise BodyTooLarge("flows", bytes_max)
        return part_names(part)[1] or "flows.yaml", bytes(content)


def unpacked(body: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of the files of an archive. Raises UserError: it cannot be read."""
    left = ARCHIVE_BYTES_MAX
    found: list[tuple[str, bytes]] = []
    with archives.opened(io.BytesIO(body)) as (archive, members):
        for info in members[: FLOWS_MAX + 1]:
            with archive.open(info) as source:
                content = source.read(left + 1)
            left -= len(content)
            if left < 0 or len(members) > FLOWS_MAX:
                raise UserError("Expected a smaller archive.")
            found.append((info.filename, content))
    return found


_VERBS: dict[str, tuple[str, Any]] = {
    "delete": ("DELETE", _delete),
    "disable": ("POST", _switch(True)),
    "enable": ("POST", _switch(False)),
}

ROUTES = (
    *(
        (method, f"/flows/{verb}/{kind}", _counted(verb, find, act))
        for verb, (method, act) in _VERBS.items()
        for kind, find in (("by-ids", _by_ids), ("by-query", _by_query))
    ),
    ("POST", "/flows/export/by-ids", exported(_by_ids, "flows")),
    ("GET", "/flows/export/by-query", exported(_by_query, "flows")),
    ("GET", "/flows/export/by-query/csv", export_csv),
    ("POST", "/flows/import", import_flows),
    ("POST", "/flows/bulk", update_many),
)
#: Behind all others: it would take their place.
LAST_ROUTES = (("POST", "/flows/{namespace}", update_namespace),)
