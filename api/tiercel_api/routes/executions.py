"""/executions: start, read, search, follow."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from tiercel_api.answers import (
    execution_response,
    executions_response,
    json_response,
)
from tiercel_api.breakpoints import breakpoints_of
from tiercel_api.checks import failed_checks, refuse_if_blocked
from tiercel_api.connections import is_over, woken_at_end
from tiercel_api.documents import (
    CORRELATION_LABEL,
    created_execution,
    flow_for_execution,
)
from tiercel_api.door_rendering import with_inputs
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.files import FILES
from tiercel_api.filter_values import instant_us, label_of
from tiercel_api.forms import Form, read_form
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import (
    FLOWS,
    execution_at,
    execution_of,
    find_flow,
    find_flow_of,
    runnable_flow,
    tenant_of,
)
from tiercel_api.paging import (
    NORMAL,
    execution_filter,
    is_set,
    optional_number,
    page_of,
    sort_of,
)
from tiercel_api.preconditions import idempotent_id
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import is_within, narrowing, narrows
from tiercel_api.services import SERVICES, encryption
from tiercel_engine.errors import LogUnavailable
from tiercel_engine.flow.input_types import FORM
from tiercel_engine.flow.inputs import examine, put, resolve_inputs
from tiercel_engine.flow.model import Flow
from tiercel_engine.repository.base import ExecutionFilter, JsonObject
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label, Payload
from tiercel_schemas.ids import make_id

KINDS = frozenset({"NORMAL", "TEST", "PLAYGROUND", "LOOP"})
LABELS_MAX = 1_000


async def create_execution(request: web.Request) -> web.Response:
    """POST /executions/{namespace}/{id}: start an execution of a flow.

    With an `Idempotency-Key` it is started once, however often the key comes.
    """
    services = request.app[SERVICES]
    flow = await runnable_flow(request, request.match_info["namespace"], request.match_info["id"])
    created_us = services.clock.now_us()
    place = (tenant_of(request), flow.namespace, flow.id)
    given_id = idempotent_id(request, *place)
    if given_id is not None:
        known = await execution_at(request, given_id, 1, 0.0)
        if known is not None:
            known["url"] = execution_url(request, flow, given_id)
            return await execution_response(request, known)
    execution_id = given_id or make_id(created_us, request.app[GATEWAY].random_bits())
    labels = _given_labels(request)
    scheduled_us = _scheduled_us(request)
    kind = _kind(request)
    breakpoints = breakpoints_of(request, flow)
    form = await read_form(request, flow, execution_id)
    try:
        inputs = await resolved_inputs(request, flow, form)
        await refuse_if_blocked(flow, inputs)
        payload = await request.app[FILES].payload(flow, execution_id, "inputs", inputs or None)
    except BaseException:
        await form.discard(request)
        raise
    command = CreateExecution(
        command_id=request.app[GATEWAY].command_id(),
        execution_id=execution_id,
        tenant=tenant_of(request),
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        inputs=payload,
        labels=with_correlation(labels, execution_id),
        trigger=Payload(),
        created_us=created_us,
        scheduled_us=scheduled_us,
        kind=kind,
        breakpoints=breakpoints,
        deduplicate=given_id is not None,
        trace_parent=request.headers.get("traceparent"),
    )
    wait = bool(request.query_string) and is_set(request.query, "wait")
    document = await start(request, command, flow, inputs, None, wait)
    # A given id does not tell how young it is, so no later request would wait for the index.
    if given_id is not None and await execution_at(request, given_id, 1) is None:
        raise LogUnavailable(
            "Expected the execution of this key to be indexed in time, but it was not. "
            "Was it deleted? Then use another key."
        )
    document["url"] = execution_url(request, flow, execution_id)
    return await execution_response(request, document)


async def start(
    request: web.Request,
    command: CreateExecution,
    flow: Flow,
    inputs: JsonObject,
    trigger: JsonObject | None,
    wait: bool,
) -> JsonObject:
    """Send the command; the execution as just created, or as it ended when told to wait."""
    if wait:
        return await _start_and_wait(request, command, flow, inputs, trigger)
    await request.app[GATEWAY].send(command.execution_id, command)
    now_us = request.app[SERVICES].clock.now_us()
    return created_execution(command, flow, inputs, trigger, now_us)


async def _start_and_wait(
    request: web.Request,
    command: CreateExecution,
    flow: Flow,
    inputs: JsonObject,
    trigger: JsonObject | None,
) -> JsonObject:
    gateway, settings = request.app[GATEWAY], request.app[SERVICES].settings
    deadline = time.monotonic() + settings.wait_timeout_s
    async with gateway.watching(command.execution_id) as watch:
        await gateway.send(command.execution_id, command)
        with woken_at_end(request, watch.wake):
            while not watch.is_terminated and not is_over(request):
                watch.raise_refusal(command.command_id)
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                await watch.changed(left_s)
    document = await execution_at(request, command.execution_id, watch.last_seq)
    if document is not None:
        return document
    now_us = request.app[SERVICES].clock.now_us()
    return created_execution(command, flow, inputs, trigger, now_us)


async def resolved_inputs(request: web.Request, flow: Flow, form: Form) -> JsonObject:
    """The typed inputs of a flow. Raises InvalidInput."""
    if not flow.inputs:
        return {}
    encrypt = encryption(request.app[SERVICES])
    return await with_inputs(
        request,
        flow,
        flow.inputs,
        lambda render: resolve_inputs(flow, form.values, render=render, encrypt=encrypt),
    )


def with_correlation(labels: tuple[Label, ...], execution_id: str) -> tuple[Label, ...]:
    """Labels with a correlation id: the given one, else the execution's own id."""
    if any(label.key == CORRELATION_LABEL for label in labels):
        return labels
    return (*labels, Label(CORRELATION_LABEL, execution_id))


def _given_labels(request: web.Request) -> tuple[Label, ...]:
    texts = request.query.getall("labels", []) if request.query_string else []
    if len(texts) > LABELS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {LABELS_MAX} labels.")
    labels = tuple(Label(*label_of(text)) for text in texts)
    for label in labels:
        if not label.value:
            raise HttpError(422, "Illegal argument", f"Expected a value of label {label.key!r}.")
        if label.key.startswith("system.") and label.key != CORRELATION_LABEL:
            raise HttpError(
                422, "Illegal argument", f"System labels can only be set by the system: {label.key}"
            )
    return labels


def _scheduled_us(request: web.Request) -> int | None:
    text = request.query.get("scheduleDate") if request.query_string else None
    return instant_us(text) if text else None


def _kind(request: web.Request) -> str:
    kind = (request.query.get("kind") if request.query_string else None) or "NORMAL"
    if kind not in KINDS:
        raise HttpError(422, "Illegal argument", f"Expected a kind, but it was {kind!r}.")
    return kind


def execution_url(request: web.Request, flow: Flow, execution_id: str) -> str:
    """Where a person sees the execution."""
    settings = request.app[SERVICES].settings
    base = (settings.url or f"{request.scheme}://{request.host}").rstrip("/")
    tenant = request.match_info.get("tenant")
    middle = f"/ui/{tenant}" if tenant else "/ui"
    return f"{base}{middle}/executions/{flow.namespace}/{flow.id}/{execution_id}"


async def validate_inputs(request: web.Request) -> web.Response:
    """POST /executions/{namespace}/{id}/validate: what the inputs would give. Starts nothing."""
    flow = await runnable_flow(request, request.match_info["namespace"], request.match_info["id"])
    form = await read_form(request, flow, None)
    encrypt = encryption(request.app[SERVICES])
    outcomes = await with_inputs(
        request,
        flow,
        flow.inputs,
        lambda render: examine(flow.inputs, form.values, render=render, encrypt=encrypt),
    )
    rows = [
        {
            "input": _definition(flow, outcome.input.id),
            "value": outcome.value,
            "enabled": outcome.enabled,
            "errors": [{"message": outcome.problem}] if outcome.problem else [],
        }
        for outcome in outcomes
    ]
    given: JsonObject = {}
    for outcome in outcomes:
        put(given, outcome)
    checks = [check._asdict() for check in await asyncio.to_thread(failed_checks, flow, given)]
    answer = {"id": flow.id, "namespace": flow.namespace, "inputs": rows, "checks": checks}
    return json_response(answer)


def _definition(flow: Flow, input_id: str) -> JsonObject:
    """As it was written; one in a form under its full id."""
    for written in flow.properties.get("inputs", []):
        if written["id"] == input_id:
            return written  # type: ignore[no-any-return]
        for inner in written.get("inputs", ()) if written["type"] == FORM else ():
            if f"{written['id']}.{inner['id']}" == input_id:
                return {**inner, "id": input_id}
    raise AssertionError(f"{input_id} is an input of {flow.id}")


async def get_execution(request: web.Request) -> web.Response:
    """GET /executions/{executionId}."""
    return await execution_response(request, await execution_of(request))


@narrows
async def search_executions(request: web.Request) -> web.Response:
    """GET /executions/search."""
    services = request.app[SERVICES]
    where = execution_filter(request.query, services.clock.now_us(), narrowing(request))
    page, size = page_of(request.query)
    found = await request.app[READS].call(
        services.models.search_executions, where, page, size, sort_of(request.query)
    )
    return executions_response(request, found)


@narrows
async def list_executions(request: web.Request) -> web.Response:
    """GET /executions?namespace&flowId: executions of one flow, newest first."""
    query = request.query
    for name in ("namespace", "flowId"):
        if not query.get(name):
            raise BadRequest(f"Required argument [{name}] not specified")
    page, size = page_of(query)
    where = ExecutionFilter(
        namespace=query["namespace"],
        flow_id=query["flowId"],
        kinds=(NORMAL,),
        terms=narrowing(request),
    )
    found = await request.app[READS].call(
        request.app[SERVICES].models.search_executions, where, page, size, ()
    )
    return executions_response(request, found)


async def get_flow_of_execution(request: web.Request) -> web.Response:
    """GET /executions/{executionId}/flow."""
    document = await execution_of(request)
    flow = await find_flow_of(request, document)
    return json_response(flow_for_execution(flow))


async def get_flow_to_execute(request: web.Request) -> web.Response:
    """GET /executions/flows/{namespace}/{flowId}."""
    info = request.match_info
    revision = optional_number(request.query, "revision")
    flow = await find_flow(request, info["namespace"], info["flowId"], revision)
    return json_response(flow_for_execution(flow))


@narrows
async def list_namespaces(request: web.Request) -> web.Response:
    """GET /executions/namespaces: the namespaces that have a flow to execute."""
    found = request.app[SERVICES].catalog.namespaces(tenant_of(request))
    return json_response([name for name in found if is_within(request, name)])


async def list_flows_to_execute(request: web.Request) -> web.Response:
    """GET /executions/namespaces/{namespace}/flows: the flows of one namespace."""
    namespace, flows = request.match_info["namespace"], request.app[FLOWS]
    entries = flows.catalog.latest_all(tenant_of(request))
    found = [await flows.parsed(e) for e in entries if e.namespace == namespace]
    return json_response([flow_for_execution(flow) for flow in found if not flow.disabled])


ROUTES = (
    ("GET", "/executions/search", search_executions),
    ("GET", "/executions/flows/{namespace}/{flowId}", get_flow_to_execute),
    ("GET", "/executions/namespaces/{namespace}/flows", list_flows_to_execute),
    ("GET", "/executions/namespaces", list_namespaces),
    ("GET", "/executions", list_executions),
    ("POST", "/executions/trigger/{namespace}/{id}", create_execution),
    ("POST", "/executions/{namespace}/{id}/validate", validate_inputs),
    ("POST", "/executions/{namespace}/{id}", create_execution),
    ("GET", "/executions/{executionId}/flow", get_flow_of_execution),
    ("GET", "/executions/{executionId}", get_execution),
)
