"""/namespaces/{namespace}/kv: the key-value pairs of namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_body
from tiercel_api.errors import HttpError
from tiercel_api.files import FILES
from tiercel_api.namespace_filters import named, pair_filter
from tiercel_api.paging import optional_number, page_of, sort_of
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import is_allowed
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.clock import iso
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.ion import from_ion
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Condition, Facts, Value, holds
from tiercel_engine.storage.kv import (
    PAIR_BYTES_MAX,
    KvStore,
    Pair,
    json_value,
    lineage,
)
from tiercel_engine.storage.kv_values import KvType, typed

#: Keys of one bulk request.
KEYS_MAX = 10_000

_SORTS = {
    "key": lambda pair: pair.key,
    "namespace": lambda pair: pair.namespace,
    "revision": lambda pair: pair.revision,
    "creationDate": lambda pair: pair.created_us,
    "updateDate": lambda pair: pair.updated_us,
    "expirationDate": lambda pair: pair.expires_us or 0,
}


async def list_pairs(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/kv: the pairs of one namespace, without their values."""
    pairs, namespace = _pairs(request), request.match_info["namespace"]
    found = await request.app[FILES].call(lambda: list(pairs.list(namespace)))
    return json_response([_entry(pair) for pair in found])


async def list_inherited(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/kv/inheritance: the pairs that a flow of it sees.

    Those of namespaces above it that the sender may not read are left out.
    """
    pairs, namespace = _pairs(request), request.match_info["namespace"]
    owners = [n for n in lineage(namespace) if is_allowed(request, Permission.READ, n)]

    def visible() -> list[Pair]:
        found: dict[str, Pair] = {}
        for owner in owners:
            for pair in pairs.list(owner):
                found.setdefault(pair.key, pair)
        return sorted(found.values(), key=lambda pair: pair.key)

    return json_response([_entry(pair) for pair in await request.app[FILES].call(visible)])


@narrows
async def search_pairs(request: web.Request) -> web.Response:
    """GET /kv: the pairs of all namespaces, or of those that filters name."""
    terms = pair_filter(request.query, request.app[SERVICES].clock.now_us())
    page, size = page_of(request.query)
    sort = sort_of(request.query)

    def search() -> JsonObject:
        found = [pair for pair in _candidates(request, terms) if _matches(pair, terms)]
        for field, ascending in reversed(sort):
            if field not in _SORTS:
                raise UserError(f"Invalid sort parameter: {field!r}")
            found.sort(key=_SORTS[field], reverse=not ascending)
        shown = found[(page - 1) * size : page * size]
        return {"results": [_entry(pair) for pair in shown], "total": len(found)}

    return json_response(await request.app[FILES].call(search))


def _candidates(request: web.Request, terms: Sequence[Condition]) -> Iterator[Pair]:
    """The pairs of the namespaces that may have some that match, by namespace and key."""
    pairs = _pairs(request)
    names = set(named(terms, ("EQUALS", "IN")))
    if not names:
        roots = list(named(terms, ("PREFIX",))) or [""]
        names = {name for root in roots for name in pairs.namespaces(root)}
    for name in sorted(names):
        if is_within(request, name):
            yield from pairs.list(name)


def _matches(pair: Pair, terms: Sequence[Condition]) -> bool:
    fields: dict[str, Value | None] = {
        "namespace": pair.namespace,
        "key": pair.key,
        "revision": pair.revision,
        "creationDate": pair.created_us,
        "updateDate": pair.updated_us,
        "expirationDate": pair.expires_us,
    }
    facts = Facts(fields, (pair.namespace, pair.key))
    return all(holds(term, facts) for term in terms)


async def get_pair(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/kv/{key}: its type and value, or those of a revision."""
    pairs, (namespace, key) = _pairs(request), _place(request)
    revision = optional_number(request.query, "revision")
    if revision is None:
        pair = await request.app[FILES].call(pairs.stored, namespace, key)
    else:
        pair = await request.app[FILES].call(pairs.revision, namespace, key, revision)
    if pair is None:
        of = "" if revision is None else f"revision {revision} of "
        raise NotFound(f"No value found for {of}key '{key}' in namespace '{namespace}'")
    if pairs.is_expired(pair):
        raise HttpError(410, "Resource has expired", f"The value of the key '{key}' has expired.")
    answer = {"type": pair.type, "value": json_value(pair), "revision": pair.revision}
    return json_response({**answer, "updated": iso(pair.updated_us)})


async def list_revisions(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/kv/{key}/revisions: those that are kept, oldest first."""
    namespace, key = _place(request)
    found = await request.app[FILES].call(_pairs(request).revisions, namespace, key)
    if not found:
        raise NotFound(f"No value found for key '{key}' in namespace '{namespace}'")
    return json_response([_entry(pair) for pair in found])


async def put_pair(request: web.Request) -> web.Response:
    """PUT /namespaces/{namespace}/kv/{key}: set it to the JSON or Ion of the body."""
    namespace, key = _place(request)
    value, kind = _value(await read_body(request, "value", PAIR_BYTES_MAX))
    ttl = request.headers.get("ttl")
    try:
        ttl_s = None if not ttl else parse_duration_s(ttl)
    except ValueError as error:
        raise UserError(f"The header ttl: {error}") from None
    description = request.headers.get("description")

    def store() -> None:
        _pairs(request).set(namespace, key, value, kind=kind, ttl_s=ttl_s, description=description)

    await request.app[FILES].call(store)
    return web.Response()


async def delete_pair(request: web.Request) -> web.Response:
    """DELETE /namespaces/{namespace}/kv/{key}: whether there was one."""
    namespace, key = _place(request)
    return json_response(await request.app[FILES].call(_pairs(request).delete, namespace, key))


async def delete_pairs(request: web.Request) -> web.Response:
    """DELETE /namespaces/{namespace}/kv with {"keys": […]}: which of them there were."""
    pairs, namespace = _pairs(request), request.match_info["namespace"]
    body = await read_body(request, "keys", request.app[SERVICES].settings.body_bytes_max)
    try:
        keys = msgspec.json.decode(body, type=_Keys).keys
    except msgspec.DecodeError as error:
        raise HttpError(422, "Invalid json", str(error)) from None
    if len(keys) > KEYS_MAX:
        raise UserError(f"Expected at most {KEYS_MAX} keys, but there were {len(keys)}.")
    deleted = await request.app[FILES].call(
        lambda: [key for key in keys if pairs.delete(namespace, key)]
    )
    return json_response({"keys": deleted})


class _Keys(msgspec.Struct):
    keys: list[str]


def _pairs(request: web.Request) -> KvStore:
    services = request.app[SERVICES]
    return KvStore(services.storage, services.clock)


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["key"]


def _value(body: bytes) -> tuple[Any, KvType]:
    """JSON, or an Ion instant or date, which have no quotes. A bare word is neither."""
    try:
        return typed(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError) as error:
        reason = str(error)
    try:
        value = from_ion(body, all_rows=False)
    except Fault:
        value = None
    if not isinstance(value, date):
        raise HttpError(422, "Invalid json", f"Expected the value as JSON, but {reason}.")
    return typed(value)


def _entry(pair: Pair) -> JsonObject:
    entry = {
        "namespace": pair.namespace,
        "key": pair.key,
        "revision": pair.revision,
        "description": pair.description,
        "creationDate": iso(pair.created_us),
        "updateDate": iso(pair.updated_us),
        "expirationDate": None if pair.expires_us is None else iso(pair.expires_us),
    }
    return {name: value for name, value in entry.items() if value is not None}


ROUTES = (
    ("GET", "/kv", search_pairs),
    ("GET", "/namespaces/{namespace}/kv", list_pairs),
    ("DELETE", "/namespaces/{namespace}/kv", delete_pairs),
    ("GET", "/namespaces/{namespace}/kv/inheritance", list_inherited),
    ("GET", "/namespaces/{namespace}/kv/{key}", get_pair),
    ("GET", "/namespaces/{namespace}/kv/{key}/revisions", list_revisions),
    ("PUT", "/namespaces/{namespace}/kv/{key}", put_pair),
    ("DELETE", "/namespaces/{namespace}/kv/{key}", delete_pair),
)
