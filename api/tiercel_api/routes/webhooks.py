"""/executions/webhook: an HTTP call by anyone who knows the key starts an execution."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any

import msgspec
from aiohttp import web
from multidict import MultiMapping

from tiercel_api.door_rendering import door_renderer, door_variables, with_inputs
from tiercel_api.errors import HttpError
from tiercel_api.files import FILES
from tiercel_api.filter_values import label_of
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import runnable_flow, tenant_of
from tiercel_api.routes.executions import (
    execution_url,
    start,
    with_correlation,
)
from tiercel_api.security.guard import GUARD, refuse_when_guessing
from tiercel_api.services import SERVICES, encryption
from tiercel_api.webhook_answers import answer_call
from tiercel_api.webhook_calls import read_call
from tiercel_engine.errors import NotFound, TaskError, UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.inputs import resolve, without_missing
from tiercel_engine.flow.model import Flow, read_labels
from tiercel_engine.plugin.condition_rules import Subject, hold
from tiercel_engine.plugin.triggers import Webhook
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label
from tiercel_schemas.ids import make_id
from tiercel_schemas.logs import LogEntry


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
    finally:
        # Of many guesses at once only the first are told what became of them.
        refuse_when_guessing(guard, address)
    created_us = services.clock.now_us()
    execution_id = make_id(created_us, gateway.random_bits())
    call = await read_call(request, flow, webhook, execution_id)
    known["trigger"] = call.variables
    try:
        if not await _is_wanted(request, flow, webhook, renderer, known):
            await call.discard(request)
            return web.Response(status=204)
        inputs, labels = await _given(request, flow, webhook, renderer, known)
        trigger = {"id": webhook.id, "type": webhook.type, "variables": call.variables}
        files = request.app[FILES]
        command = CreateExecution(
            command_id=gateway.command_id(),
            execution_id=execution_id,
            tenant=tenant_of(request),
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=await files.payload(flow, execution_id, "inputs", inputs or None),
            labels=with_correlation(labels, execution_id),
            trigger=await files.payload(flow, execution_id, "trigger", trigger),
            created_us=created_us,
            trace_parent=request.headers.get("traceparent"),
        )
    except BaseException:
        await call.discard(request)
        raise
    document = await start(request, command, flow, inputs, trigger, webhook.wait)
    document["url"] = execution_url(request, flow, execution_id)
    return await answer_call(request, flow, webhook, document)


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


async def _is_wanted(
    request: web.Request, flow: Flow, webhook: Webhook, renderer: Renderer, known: JsonObject
) -> bool:
    """Whether the trigger's conditions let the call through.

    What cannot be judged does not, and leaves a warning in the trigger's log.
    """

    if webhook.when is None and not webhook.conditions:
        return True

    def judged() -> bool:
        is_met = webhook.when is None or renderer.truthy(webhook.when, known)
        return is_met and hold(webhook.conditions or (), Subject(renderer, known))

    try:
        return await asyncio.to_thread(judged)
    except (UserError, TaskError, Fault, Rule) as error:
        line = LogEntry(
            namespace=flow.namespace,
            flow_id=flow.id,
            trigger_id=webhook.id,
            attempt=1,
            at_us=request.app[SERVICES].clock.now_us(),
            level="WARN",
            thread="api",
            message=str(error),
        )
        request.app[GATEWAY].say(line)
        return False


async def _given(
    request: web.Request, flow: Flow, webhook: Webhook, renderer: Renderer, known: JsonObject
) -> tuple[JsonObject, tuple[Label, ...]]:
    """Inputs of the trigger, then those of the query, with their types; the trigger's labels.

    Unlike with other ways to start, a required input may be missing: the flow reads the trigger.

    Raises:
        InvalidExpression: one of the trigger does not render.
        InvalidInput: one does not have its type.
        UserError: what the trigger gives as labels is none.
    """

    def rendered() -> tuple[JsonObject, tuple[tuple[str, str], ...]]:
        given = renderer.value(webhook.inputs, known) if webhook.inputs and flow.inputs else {}
        labels = renderer.value(webhook.labels, known) if webhook.labels else {}
        try:
            return given, read_labels(labels)
        except Rule as error:
            raise UserError(str(error)) from None

    # Threads cost more than all else of a short call.
    is_plain = not webhook.inputs and not webhook.labels
    given, labels = ({}, ()) if is_plain else await asyncio.to_thread(rendered)
    own = tuple(Label(key, value) for key, value in labels)
    if not flow.inputs:
        return {}, own
    given.update(_query_inputs(flow, request.query))
    asked = without_missing(flow.inputs, given)
    encrypt = encryption(request.app[SERVICES])
    inputs = await with_inputs(
        request, flow, asked, lambda render: resolve(asked, given, render=render, encrypt=encrypt)
    )
    return inputs, own


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


ROUTES = tuple(
    (method, f"/executions/webhook/{{namespace}}/{{id}}/{{key}}{path}", call_webhook)
    for method in ("GET", "POST", "PUT")
    for path in ("", "/{path:.+}")
)
