"""Storing flows: reading a body's source, parsing it, sending it to the executor."""

from __future__ import annotations

import asyncio

import msgspec
import yaml
from aiohttp import web

from tiercel_api.bodies import media_type, read_body
from tiercel_api.errors import HttpError, UnsupportedMediaType
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import FLOWS, tenant_of
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound, Rejected, Violation
from tiercel_engine.flow.model import Flow
from tiercel_schemas.commands import SaveFlow
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey

YAML_TYPES = ("application/x-yaml", "application/yaml", "text/yaml", "text/x-yaml", "text/plain")
JSON_TYPES = ("application/json", "text/json")


async def read_source(request: web.Request) -> str:
    """The body as YAML text; JSON is written as YAML."""
    kind = media_type(request)
    if kind and kind not in YAML_TYPES and kind not in JSON_TYPES:
        raise UnsupportedMediaType(kind, YAML_TYPES + JSON_TYPES)
    body = await read_body(request, "flow source", request.app[SERVICES].settings.flow_bytes_max)
    if kind in JSON_TYPES:
        return await asyncio.to_thread(json_as_yaml, body)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise refusal("yaml", f"Expected UTF-8 text, but byte {error.start} is none") from None


def json_as_yaml(body: bytes) -> str:
    """JSON text as YAML text, without the parts that the server adds. Raises HttpError."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpError(422, "Invalid json", str(error)) from None
    if isinstance(data, dict):
        data = {k: v for k, v in data.items() if k not in ("source", "revision", "deleted")}
    try:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    except RecursionError:
        raise HttpError(422, "Invalid json", "Expected fewer levels of nesting.") from None


async def load(request: web.Request, source: str, before: FlowRevision | None) -> Flow:
    """Parse in a thread: a large source takes longer than the event loop may stand still.

    A revision keeps the dialect of the one before it, unless it says otherwise.
    """
    services, tenant = request.app[SERVICES], tenant_of(request)
    default = services.settings.dialect if before is None else before.dialect
    return await asyncio.to_thread(lambda: services.catalog.load(source, tenant, default))


async def newest_of(request: web.Request, key: FlowKey) -> FlowRevision:
    """The newest revision. Raises NotFound: there is none, or it is deleted."""
    entry = await request.app[FLOWS].entry(key)
    if entry is None:
        raise NotFound("")
    return entry


async def send(
    request: web.Request,
    key: FlowKey,
    source: str,
    dialect: str,
    *,
    deleted: bool = False,
    expected_revision: int | None = None,
) -> FlowRevision:
    """Store a revision; it is in the catalog of this process when this returns.

    Raises:
        NotFound, Conflict, Rejected: the executor refused it.
    """
    services, gateway = request.app[SERVICES], request.app[GATEWAY]
    revision = await gateway.save_flow(
        SaveFlow(
            command_id=gateway.command_id(),
            tenant=key.tenant,
            namespace=key.namespace,
            flow_id=key.flow_id,
            source=source,
            deleted=deleted,
            dialect=dialect,
            expected_revision=expected_revision,
            sent_us=services.clock.now_us(),
        )
    )
    await asyncio.to_thread(services.catalog.add, revision)
    # The catalog may have read the same revision itself in the meantime: its object counts.
    stored = services.catalog.entry(key, revision.revision, allow_deleted=True)
    return stored or revision


async def store_flow(request: web.Request, source: str) -> FlowRevision:
    """Store a flow's next revision, or its first one; the same source again stores none.

    Raises:
        InvalidFlow: it is none.
    """
    flow = await load(request, source, None)
    allow(request, Permission.WRITE, flow.namespace)
    key = FlowKey(flow.tenant, flow.namespace, flow.id)
    newest = request.app[SERVICES].catalog.entry(key)
    if newest is not None and newest.source == source:
        return newest
    if newest is not None:
        flow = await load(request, source, newest)
    try:
        return await send(request, key, source, flow.dialect.name)
    except Rejected as error:
        raise InvalidFlow(str(error)) from None


def refusal(path: str, message: str) -> InvalidFlow:
    """One thing that is wrong with a flow, as an error."""
    return InvalidFlow(f"{path}: {message}", (Violation(path, message),))


def already_exists() -> InvalidFlow:
    """A flow that is to be new is there."""
    return refusal("flow.id", "Flow id already exists")
