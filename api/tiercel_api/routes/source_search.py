"""/flows/source: a text looked for in the sources of all flows, and replaced in some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.documents import flow_document
from tiercel_api.errors import HttpError
from tiercel_api.flow_writes import load, newest_of, refusal, send
from tiercel_api.lookup import FLOWS, tenant_of
from tiercel_api.paging import FlowFilter, Query, is_set, page_of, sort_of
from tiercel_api.routes.flows import matching_flows
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow, is_allowed
from tiercel_api.security.narrowing import narrows
from tiercel_api.source_text import Change, Found, Search, changed
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.repository.base import JsonObject, Page
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey

#: Characters before and behind a match that a fragment shows, and matches of one flow.
CONTEXT_CHARS = 40
FRAGMENTS_MAX = 20
#: Flows that one request previews or changes.
FLOWS_MAX = 1_000


@narrows
async def search_sources(request: web.Request) -> web.Response:
    """GET /flows/source?q: flows whose source holds the text, with the places; all without one."""
    query = request.query
    where = FlowFilter(namespace_prefix=query.get("namespace") or None)
    page, size = page_of(query)
    sort = sort_of(query)
    wanted = _search_of(query) if query.get("q") else None

    def search() -> Page:
        found = [
            entry
            for entry in matching_flows(request, where, sort)
            if wanted is None or next(wanted.find(entry.source), None) is not None
        ]
        shown = found[(page - 1) * size : page * size]
        return Page([_result(request, entry, wanted) for entry in shown], len(found))

    return json_response(await asyncio.to_thread(search))


def _search_of(query: Query) -> Search:
    return Search(
        query["q"],
        is_set(query, "caseSensitive"),
        is_set(query, "wholeWord"),
        is_set(query, "regex"),
        (query.get("scope") or "ALL").upper(),
    )


def _result(request: web.Request, entry: FlowRevision, wanted: Search | None) -> JsonObject:
    found = [] if wanted is None else list(islice(wanted.find(entry.source), FRAGMENTS_MAX))
    return {
        "namespace": entry.namespace,
        "id": entry.flow_id,
        "editable": is_allowed(request, Permission.WRITE, entry.namespace),
        "matches": [{"line": m.line, "column": m.column, "snippet": m.text} for m in found],
        "model": {"namespace": entry.namespace, "id": entry.flow_id, "revision": entry.revision},
        "fragments": list(_fragments(found)),
    }


def _fragments(found: list[Found]) -> Iterator[str]:
    for match in found:
        before, after = match.text[: match.column], match.text[match.end :]
        marked = f"[mark]{match.text[match.column : match.end]}[/mark]"
        yield f"{before[-CONTEXT_CHARS:]}{marked}{after[:CONTEXT_CHARS]}"


class _Name(msgspec.Struct):
    namespace: str
    id: str


class _Asked(msgspec.Struct, rename="camel"):
    """What a body looks for, and what it puts in the place of it."""

    query: str
    replacement: str
    case_sensitive: bool | None = None
    whole_word: bool | None = None
    regex: bool | None = None
    scope: str | None = None
    namespace: str | None = None
    id: str | None = None
    line: int | None = None
    column: int | None = None
    flows: list[_Name] = []

    @property
    def search(self) -> Search:
        return Search(
            self.query,
            bool(self.case_sensitive),
            bool(self.whole_word),
            bool(self.regex),
            (self.scope or "ALL").upper(),
        )


async def _asked(request: web.Request) -> _Asked:
    try:
        return msgspec.convert(await read_json(request), _Asked)
    except msgspec.ValidationError as error:
        raise HttpError(422, "Invalid entity", str(error)) from None


@narrows
async def preview(request: web.Request) -> web.Response:
    """POST /flows/source/replace/preview: what a replacement would change. Stores nothing."""
    asked = await _asked(request)
    search = asked.search
    where = FlowFilter(namespace_prefix=asked.namespace or None)

    def find() -> JsonObject:
        flows, total = [], 0
        for entry in matching_flows(request, where):
            found = list(search.changes(entry.source, asked.replacement))
            if found:
                total += sum(change.count for change in found)
                flows.append(_shown(request, entry, found))
            if len(flows) > FLOWS_MAX:
                raise HttpError(
                    422, "Illegal argument", f"Expected a search that finds {FLOWS_MAX} flows."
                )
        editable = sum(bool(flow["editable"]) for flow in flows)
        counts = {"totalMatches": total, "totalFlows": len(flows), "editableFlowCount": editable}
        return {**counts, "flows": flows}

    return json_response(await asyncio.to_thread(find))


def _shown(request: web.Request, entry: FlowRevision, found: list[Change]) -> JsonObject:
    return {
        "namespace": entry.namespace,
        "id": entry.flow_id,
        "editable": is_allowed(request, Permission.WRITE, entry.namespace),
        "matches": [{"line": c.line, "before": c.before, "after": c.after} for c in found],
    }


@narrows
async def apply_replacement(request: web.Request) -> web.Response:
    """POST /flows/source/replace/apply: store the changed flows; each that is not, with why."""
    asked = await _asked(request)
    search = asked.search
    if len(asked.flows) > FLOWS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {FLOWS_MAX} flows.")
    updated, skipped = [], []
    for name in asked.flows:
        key = FlowKey(tenant_of(request), name.namespace, name.id)
        try:
            stored = await _replace(request, key, search, asked.replacement)
        except _Skipped as skip:
            one = {"namespace": name.namespace, "id": name.id, "reason": skip.reason}
            skipped.append(one | ({"message": str(skip)} if str(skip) else {}))
        else:
            updated.append(await _document(request, stored))
    return json_response({"updated": updated, "skipped": skipped})


@narrows
async def replace_line(request: web.Request) -> web.Response:
    """POST /flows/source/replace/line: replace the matches of one line, or the one at `column`."""
    asked = await _asked(request)
    if not asked.namespace or not asked.id or asked.line is None or asked.line < 1:
        raise HttpError(422, "Invalid entity", "expected a namespace, an id and a line from 1")
    key = FlowKey(tenant_of(request), asked.namespace, asked.id)
    allow(request, Permission.WRITE, key.namespace)
    try:
        stored = await _replace(
            request, key, asked.search, asked.replacement, asked.line, asked.column
        )
    except _Skipped as skip:
        if skip.reason == "NOT_FOUND":
            raise NotFound("Flow not found") from None
        raise refusal("flow.source", str(skip) or skip.reason) from None
    return json_response(await _document(request, stored))


class _Skipped(Exception):
    """A flow stays as it is."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.reason = reason


async def _replace(
    request: web.Request,
    key: FlowKey,
    search: Search,
    replacement: str,
    line: int | None = None,
    column: int | None = None,
) -> FlowRevision:
    """Store a flow's next revision with the text replaced. Raises _Skipped."""
    if not is_allowed(request, Permission.READ, key.namespace):
        raise _Skipped("NOT_FOUND")
    try:
        newest = await newest_of(request, key)
    except NotFound:
        raise _Skipped("NOT_FOUND") from None
    if not is_allowed(request, Permission.WRITE, key.namespace):
        raise _Skipped("READ_ONLY")
    found = await asyncio.to_thread(
        lambda: list(search.changes(newest.source, replacement, line, column))
    )
    if not found:
        raise _Skipped("NO_MATCH", "The text is not found there.")
    source = changed(newest.source, found)
    if source == newest.source:
        raise _Skipped("NO_CHANGE", "The replacement changes nothing.")
    try:
        flow = await load(request, source, newest)
        if (flow.namespace, flow.id) != (key.namespace, key.flow_id):
            raise refusal("flow.id", "Illegal flow id update")
        # What was looked at is what is changed: another revision meanwhile is not undone.
        return await send(
            request, key, source, flow.dialect.name, expected_revision=newest.revision
        )
    except UserError as error:
        raise _Skipped("INVALID_FLOW", str(error)) from None


async def _document(request: web.Request, stored: FlowRevision) -> JsonObject:
    return flow_document(await request.app[FLOWS].parsed(stored), stored.source)


ROUTES = (
    ("GET", "/flows/source", search_sources),
    ("POST", "/flows/source/replace/preview", preview),
    ("POST", "/flows/source/replace/apply", apply_replacement),
    ("POST", "/flows/source/replace/line", replace_line),
)
