"""/triggers: where triggers stand, and what is asked of them one by one.

Reading asks the read model; changing asks the scheduler and answers with what it decided.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_body
from tiercel_api.csv_texts import csv_text
from tiercel_api.errors import HttpError
from tiercel_api.filter_values import instant_us
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import FLOWS, find_flow, tenant_of
from tiercel_api.paging import page_of, sort_of, trigger_filter, whole_number
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import is_within, narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import InvalidFlow, NotFound, Rejected
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.cron import BadCron
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.dates import schedule_rules
from tiercel_engine.repository.base import JsonObject, TriggerFilter
from tiercel_engine.repository.trigger_documents import trigger_document
from tiercel_schemas import triggers as t
from tiercel_schemas.common import Label
from tiercel_schemas.ids import FlowKey, TriggerKey

#: Dates that one request may ask for.
NEXT_MAX = 100
#: Rows of one export.
EXPORT_MAX = 10_000
CSV_COLUMNS = (
    "namespace", "flowId", "triggerId", "date", "nextExecutionDate", "disabled", "executionId",
    "updatedDate",
)  # fmt: skip


@narrows
async def search_triggers(request: web.Request) -> web.Response:
    """GET /triggers/search: each with its definition and its state, under old names and new."""
    services = request.app[SERVICES]
    where = trigger_filter(request.query, services.clock.now_us(), narrowing(request))
    page, size = page_of(request.query)
    found = await request.app[READS].call(
        services.models.search_triggers, where, page, size, sort_of(request.query)
    )
    rows = [await _row(request, state) for state in found.results]
    return json_response({"results": rows, "total": found.total})


async def _row(request: web.Request, state: JsonObject) -> JsonObject:
    row: JsonObject = {"triggerContext": state, "state": state}
    key = FlowKey(tenant_of(request), state["namespace"], state["flowId"])
    entry = request.app[FLOWS].catalog.entry(key)
    if entry is None:
        return row
    try:
        flow = await request.app[FLOWS].parsed(entry)
    except InvalidFlow:
        return row
    written = next((x.properties for x in flow.triggers if x.id == state["triggerId"]), None)
    if written is not None:
        row |= {"abstractTrigger": written, "trigger": written}
    return row


async def triggers_of_flow(request: web.Request) -> web.Response:
    """GET /triggers/{namespace}/{flowId}."""
    info = request.match_info
    where = TriggerFilter(
        q=request.query.get("q"), namespace=info["namespace"], flow_id=info["flowId"]
    )
    page, size = page_of(request.query)
    found = await request.app[READS].call(
        request.app[SERVICES].models.search_triggers, where, page, size, sort_of(request.query)
    )
    return json_response(found)


@narrows
async def export_triggers(request: web.Request) -> web.Response:
    """GET /triggers/export/by-query/csv."""
    services = request.app[SERVICES]
    where = trigger_filter(request.query, services.clock.now_us(), narrowing(request))
    found = await request.app[READS].call(services.models.search_triggers, where, 1, EXPORT_MAX, ())
    rows = ([row.get(name, "") for name in CSV_COLUMNS] for row in found.results)
    text = csv_text(CSV_COLUMNS, rows)
    headers = {"Content-Disposition": 'attachment; filename="triggers.csv"'}
    return web.Response(text=text, content_type="text/csv", headers=headers)


async def next_dates(request: web.Request) -> web.Response:
    """GET /triggers/{namespace}/{flowId}/{triggerId}/next?count=10: the dates that come next."""
    key = key_in_path(request)
    count = min(whole_number(request.query, "count", 10), NEXT_MAX)
    flow, trigger = await find_trigger(request, key)
    now_us = request.app[SERVICES].clock.now_us()
    zone = request.app[SERVICES].settings.timezone
    dates = await asyncio.to_thread(_dates, flow, trigger, zone, now_us, count)
    return json_response({"results": dates, "total": len(dates)})


def _dates(flow: Flow, trigger: Trigger, zone: str, now_us: int, count: int) -> list[str]:
    try:
        rules = schedule_rules(flow, trigger, Renderer(), zone)
    except BadCron as error:
        raise HttpError(400, "Bad Request", str(error)) from None
    if rules is None:
        raise Rejected(f"The trigger {trigger.id} is no schedule.", "INVALID")
    dates: list[str] = []
    at_us = rules.next(now_us)
    while at_us is not None and len(dates) < count:
        dates.append(rules.iso(at_us))
        at_us = rules.next(at_us)
    return dates


@narrows
async def put_trigger(request: web.Request) -> web.Response:
    """PUT /triggers: `backfill` starts one, else `disabled` disables or enables."""
    body = await body_of(request)
    key = key_in_body(request, body)
    if isinstance(body.get("backfill"), dict):
        return json_response(await ask(request, key, _backfill(request, key, body["backfill"])))
    command = t.SetTriggerDisabled(
        command_id_of(request), *key, disabled=bool(body.get("disabled"))
    )
    return json_response(await ask(request, key, command))


@narrows
async def create_backfill(request: web.Request) -> web.Response:
    """PUT or POST /triggers/backfill/create."""
    body = await body_of(request)
    key = key_in_body(request, body)
    if not isinstance(body.get("backfill"), dict):
        raise HttpError(400, "Bad Request", "Expected backfill: {start, end, inputs, labels}.")
    return json_response(await ask(request, key, _backfill(request, key, body["backfill"])))


def _backfill(request: web.Request, key: TriggerKey, written: JsonObject) -> t.StartBackfill:
    if not isinstance(written.get("start"), str):
        raise HttpError(400, "Bad Request", "Expected the backfill to have a start date.")
    inputs = written.get("inputs")
    labels = written.get("labels") or []
    pairs = (
        labels.items()
        if isinstance(labels, dict)
        else [(one.get("key"), one.get("value")) for one in labels if isinstance(one, dict)]
    )
    return t.StartBackfill(
        command_id_of(request),
        *key,
        start_us=instant_us(written["start"]),
        end_us=instant_us(str(written["end"])) if written.get("end") else None,
        inputs_json=None if not inputs else msgspec.json.encode(inputs).decode(),
        labels=tuple(Label(str(name), str(value)) for name, value in pairs),
    )


@narrows
async def delete_backfill(request: web.Request) -> web.Response:
    """POST /triggers/backfill/delete."""
    key = key_in_body(request, await body_of(request))
    return json_response(await ask(request, key, t.EndBackfill(command_id_of(request), *key)))


@narrows
async def pause_backfill(request: web.Request) -> web.Response:
    """PUT /triggers/backfill/pause and /unpause."""
    key = key_in_body(request, await body_of(request))
    paused = not request.path.endswith("/unpause")
    command = t.SetBackfillPaused(command_id_of(request), *key, paused=paused)
    return json_response(await ask(request, key, command))


async def unlock_trigger(request: web.Request) -> web.Response:
    """POST /triggers/{namespace}/{flowId}/{triggerId}/unlock."""
    key = key_in_path(request)
    return json_response(await ask(request, key, t.UnlockTrigger(command_id_of(request), *key)))


async def restart_trigger(request: web.Request) -> web.Response:
    """POST /triggers/{namespace}/{flowId}/{triggerId}/restart."""
    key = key_in_path(request)
    return json_response(await ask(request, key, t.RestartTrigger(command_id_of(request), *key)))


async def delete_trigger(request: web.Request) -> web.Response:
    """DELETE /triggers/{namespace}/{flowId}/{triggerId}: only what its flow no longer has."""
    key = key_in_path(request)
    await ask(request, key, t.DeleteTrigger(command_id_of(request), *key))
    return web.Response(status=204)


# -- shared with the calls on many ------------------------------------------------------------


async def body_of(request: web.Request) -> JsonObject:
    """The body, which must be a JSON object."""
    text = await read_body(request, "JSON", request.app[SERVICES].settings.body_bytes_max)
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise HttpError(400, "Bad Request", f"Expected a JSON object, but {error}.") from None


def key_in_path(request: web.Request) -> TriggerKey:
    """The trigger that the path names."""
    info = request.match_info
    return TriggerKey(tenant_of(request), info["namespace"], info["flowId"], info["triggerId"])


def key_in_body(request: web.Request, body: JsonObject) -> TriggerKey:
    """The trigger that a JSON object names."""
    names = [body.get(name) for name in ("namespace", "flowId", "triggerId")]
    texts = [name for name in names if isinstance(name, str) and name]
    if len(texts) != 3:
        raise HttpError(400, "Bad Request", "Expected namespace, flowId and triggerId.")
    return TriggerKey(tenant_of(request), *texts)


def command_id_of(request: web.Request) -> str:
    """A new command id."""
    return request.app[GATEWAY].command_id()


async def find_trigger(request: web.Request, key: TriggerKey) -> tuple[Flow, Trigger]:
    """A trigger as its flow's newest revision has it. Raises NotFound."""
    flow = await find_flow(request, key.namespace, key.flow_id, message="Flow not found")
    trigger = next((x for x in flow.triggers if x.id == key.trigger_id), None)
    if trigger is None:
        raise NotFound("Trigger not found")
    return flow, trigger


async def ask(request: web.Request, key: TriggerKey, command: Any) -> JsonObject:
    """Ask the scheduler; answer with the state that follows, empty when it is deleted.

    Raises:
        NotFound: there is no such trigger, or it is of a type that has no state.
        Conflict, Rejected, HttpError: it refused.
    """
    if not await exists(request, key):
        if not is_within(request, key.namespace):
            raise NotFound("Flow not found")
        # Raises NotFound, too, and tells what is not there.
        _, trigger = await find_trigger(request, key)
        raise NotFound(f"A trigger of type {trigger.type} has no state.")
    try:
        state = await request.app[GATEWAY].ask_trigger(key, command)
    except Rejected as rejection:
        if isinstance(command, t.StartBackfill | t.SetBackfillPaused | t.EndBackfill):
            raise HttpError(400, "Bad Request", str(rejection)) from None
        raise
    if state is None and not isinstance(command, t.DeleteTrigger):
        raise NotFound("Trigger not found")
    return {} if state is None else trigger_document(state)


async def exists(request: web.Request, key: TriggerKey) -> bool:
    """Whether a trigger has a state, or gets it in a moment because its flow has it."""
    if not is_within(request, key.namespace):
        return False
    where = TriggerFilter(namespace=key.namespace, flow_id=key.flow_id, trigger_id=key.trigger_id)
    models, reads = request.app[SERVICES].models, request.app[READS]
    if (await reads.call(models.search_triggers, where, 1, 1, ())).total:
        return True
    try:
        _, trigger = await find_trigger(request, key)
    except (NotFound, InvalidFlow):
        return False
    return bool(trigger.STATE_KIND)


ROUTES = (
    ("GET", "/triggers/search", search_triggers),
    ("GET", "/triggers/export/by-query/csv", export_triggers),
    ("PUT", "/triggers", put_trigger),
    ("PUT", "/triggers/", put_trigger),
    ("PUT", "/triggers/set-disabled", put_trigger),
    ("PUT", "/triggers/backfill/create", create_backfill),
    ("POST", "/triggers/backfill/create", create_backfill),
    ("POST", "/triggers/backfill/delete", delete_backfill),
    ("PUT", "/triggers/backfill/pause", pause_backfill),
    ("PUT", "/triggers/backfill/unpause", pause_backfill),
    ("GET", "/triggers/{namespace}/{flowId}", triggers_of_flow),
    ("GET", "/triggers/{namespace}/{flowId}/{triggerId}/next", next_dates),
    ("POST", "/triggers/{namespace}/{flowId}/{triggerId}/unlock", unlock_trigger),
    ("POST", "/triggers/{namespace}/{flowId}/{triggerId}/restart", restart_trigger),
    ("DELETE", "/triggers/{namespace}/{flowId}/{triggerId}", delete_trigger),
)
