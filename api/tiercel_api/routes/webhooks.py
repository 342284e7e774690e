"""/executions/webhook: an HTTP call by anyone who knows the key starts an execution."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from multidict import MultiMapping

from tiercel_api.answers import execution_response
from tiercel_api.bodies import read_body
from tiercel_api.door_rendering import door_renderer, door_variables, with_inputs
from tiercel_api.errors import HttpError
from tiercel_api.files import FILES
from tiercel_api.filters import label_of
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import runnable_flow, tenant_of
from tiercel_api.routes.executions import (
    execution_url,
    start,
    with_correlation,
)
from tiercel_api.security.guard import GUARD, refuse_when_guessing
from tiercel_api.services import SERVICES, encryption
from tiercel_engine.errors import NotFound, TaskError, UserError
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.inputs import resolve
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.conditions import condition_type
from tiercel_engine.plugin.triggers import Webhook
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.ids import make_id

#: Values of one webhook's query and headers together.
VALUES_MAX = 1_000


async def call_webhook(request: web.Request) -> web.Response:
    """GET, POST, PUT /executions/webhook/{namespace}/{id}/{key}[/{path}]."""
    services, gateway, info = request.app[SERVICES], request.app[GATEWAY], request.match_info
    guard, address = request.app[GUARD], request.remote or ""
    refuse_when_guessing(guard, address)
    try:
        flow = await runnable_flow(request, info["namespace"], info["id"])
    except NotFound:
        raise NotFound("Flow not found") from None
    renderer, known = door_renderer(request, flow)(None), door_variables(request, flow)
    try:
        webhook = await asyncio.to_thread(_find, flow, info["key"], renderer, known)
    except NotFound:
        guard.limiter.failed(address, time.monotonic())
        raise
    variables = await _trigger_variables(request)
    known["trigger"] = variables
    if not await asyncio.to_thread(_is_wanted, webhook, renderer, known):
        return web.Response(status=204)
    created_us = services.clock.now_us()
    execution_id = make_id(created_us, gateway.random_bits())
    given = await asyncio.to_thread(_given, flow, webhook, renderer, known, request.query)
    asked = [
        definition
        for definition in flow.inputs
        if definition.id in given or definition.defaults is not None or not definition.required
    ]
    encrypt = encryption(services)
    # Unlike other ways to start, a required input may be missing: the flow reads the trigger.
    inputs = await with_inputs(
        request, flow, asked, lambda render: resolve(asked, given, render=render, encrypt=encrypt)
    )
    trigger = {"id": webhook.id, "type": webhook.type, "variables": variables}
    files = request.app[FILES]
    command = CreateExecution(
        command_id=gateway.command_id(),
        execution_id=execution_id,
        tenant=tenant_of(request),
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        inputs=await files.payload(flow, execution_id, "inputs", inputs or None),
        labels=with_correlation((), execution_id),
        trigger=await files.payload(flow, execution_id, "trigger", trigger),
        created_us=created_us,
        trace_parent=request.headers.get("traceparent"),
    )
    document = await start(request, command, flow, inputs, trigger, webhook.wait)
    document["url"] = execution_url(request, flow, execution_id)
    return await execution_response(request, document)


def _find(flow: Flow, key: str, renderer: Renderer, known: JsonObject) -> Webhook:
    """The webhook with this key. Every key is compared, in constant time.

    Raises:
        NotFound: no webhook has it.
    """
    found = None
    for trigger in flow.triggers:
        if isinstance(trigger, Webhook) and not trigger.disabled:
            expected = _rendered_key(trigger, renderer, known)
            if expected and hmac.compare_digest(expected.encode(), key.encode()):
                found = trigger
    if found is None:
        raise NotFound("Webhook not found")
    return found


def _rendered_key(webhook: Webhook, renderer: Renderer, known: JsonObject) -> str:
    """The key that callers must know; empty: none does, because it does not render."""
    try:
        return renderer.text(webhook.key, known).strip()
    except (UserError, TaskError):
        return ""


async def _trigger_variables(request: web.Request) -> JsonObject:
    """What `{{ trigger }}` gives: body, headers, parameters."""
    body = await read_body(request, "webhook body", request.app[SERVICES].settings.body_bytes_max)
    if len(request.query) + len(request.headers) > VALUES_MAX:
        raise HttpError(
            422, "Illegal argument", f"Expected at most {VALUES_MAX} headers and parameters."
        )
    variables: JsonObject = {}
    if body:
        variables["body"] = _body_value(body)
    variables["headers"] = _lists(request.headers)
    variables["parameters"] = _lists(request.query)
    if request.match_info.get("path"):
        variables["path"] = request.match_info["path"]
    return variables


def _body_value(body: bytes) -> Any:
    """A JSON object or list as its value, whatever the media type says; else text."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict | list) else body.decode(errors="replace")


def _lists(values: MultiMapping[str]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in values.items():
        lists.setdefault(name, []).append(value)
    return lists


def _given(
    flow: Flow,
    webhook: Webhook,
    renderer: Renderer,
    known: JsonObject,
    query: MultiMapping[str],
) -> JsonObject:
    """Inputs of the trigger, then those of the query.

    Raises:
        InvalidExpression: one of the trigger does not render.
    """
    if not flow.inputs:
        return {}
    given: JsonObject = renderer.value(webhook.inputs, known) if webhook.inputs else {}
    given.update(_query_inputs(flow, query))
    return given


def _query_inputs(flow: Flow, query: MultiMapping[str]) -> JsonObject:
    """`?name=value` for an input of that name, and `?inputs=name:value` or `?inputs={JSON}`."""
    ids = {definition.id for definition in flow.inputs}
    given: JsonObject = {}
    for text in query.getall("inputs", []) if "inputs" not in ids else ():
        if text.startswith("{"):
            try:
                given.update(msgspec.json.decode(text, type=dict[str, Any]))
            except msgspec.DecodeError as error:
                raise HttpError(422, "Invalid json", str(error)) from None
        else:
            name, value = label_of(text)
            given[name] = value
    given.update({name: value for name, value in query.items() if name in ids})
    return given


def _is_wanted(webhook: Webhook, renderer: Renderer, known: JsonObject) -> bool:
    """Whether the trigger's own conditions let the call through.

    Raises:
        InvalidExpression: one does not render.
        HttpError: one is of a type that webhooks cannot have.
    """
    if webhook.when is not None and not renderer.truthy(webhook.when, known):
        return False
    return all(_holds(condition, renderer, known) for condition in webhook.conditions or ())


def _holds(condition: Mapping[str, Any], renderer: Renderer, known: Mapping[str, Any]) -> bool:
    """Whether one condition holds. A webhook has no date and no execution to look at."""
    inner = condition.get("conditions") or ()
    match (condition_type(str(condition.get("type"))) or "").rpartition(".")[2]:
        case "Expression":
            text = renderer.text(str(condition.get("expression", "")), known).strip()
            return text not in ("", "false")
        case "Not":
            return not any(_holds(one, renderer, known) for one in inner)
        case "Or":
            return any(_holds(one, renderer, known) for one in inner)
        case name:
            raise HttpError(422, "Illegal argument", f"A webhook cannot have the condition {name}.")


ROUTES = tuple(
    (method, f"/executions/webhook/{{namespace}}/{{id}}/{{key}}{path}", call_webhook)
    for method in ("GET", "POST", "PUT")
    for path in ("", "/{path:.+}")
)
