"""/executions: what is known of many at once, without their task runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.csv_texts import csv_text
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.line_deletions import all_indexed
from tiercel_api.paging import execution_filter, whole_number
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import is_within, narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import LogUnavailable
from tiercel_engine.repository.base import ExecutionFilter, JsonObject

#: Flows and ids of one request, rows of one export, values of one field.
FLOWS_MAX = 1_000
IDS_MAX = 1_000
ROWS_MAX = 50_000
VALUES_MAX = 10_000


@narrows
async def latest_executions(request: web.Request) -> web.Response:
    """POST /executions/latest: the newest execution of each flow that the body lists."""
    body = await read_json(request)
    if not isinstance(body, list) or len(body) > FLOWS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected a list of at most {FLOWS_MAX} flows.")
    flows = [flow for flow in map(_flow_of, body) if is_within(request, flow[0])]
    models = request.app[SERVICES].models
    found = await request.app[READS].call(models.latest_executions, flows)
    return json_response([_summary(document) for document in found])


def _flow_of(entry: Any) -> tuple[str, str]:
    given = entry if isinstance(entry, dict) else {}
    namespace, flow_id = given.get("namespace"), given.get("id", given.get("flowId"))
    if not isinstance(namespace, str) or not isinstance(flow_id, str):
        raise HttpError(422, "Invalid entity", "expected a namespace and an id of each flow")
    return namespace, flow_id


def _summary(document: JsonObject) -> JsonObject:
    return {
        "id": document["id"],
        "namespace": document["namespace"],
        "flowId": document["flowId"],
        "startDate": document["state"]["startDate"],
        "status": document["state"]["current"],
    }


async def missing_executions(request: web.Request) -> web.Response:
    """POST /executions/missing: those of the ids that the body lists which there are not.

    The answer counts: it waits until the read model holds all that the log did.
    """
    ids = await read_json(request)
    if not isinstance(ids, list) or len(ids) > IDS_MAX or not all(isinstance(i, str) for i in ids):
        raise HttpError(422, "Illegal argument", f"Expected a list of at most {IDS_MAX} ids.")
    services = request.app[SERVICES]
    if not await all_indexed(request, services.topics.executions):
        raise LogUnavailable("Expected the read model to catch up with the log, but it did not.")
    known = await request.app[READS].call(services.models.execution_states, ids)
    return json_response({"ids": [one for one in ids if one not in known]})


@narrows
async def distinct_field_values(request: web.Request) -> web.Response:
    """GET /executions/distinct-field-values?field&size: the values of one field."""
    field = request.query.get("field")
    if not field:
        raise BadRequest("Required argument [field] not specified")
    size = min(whole_number(request.query, "size", 100), VALUES_MAX)
    models = request.app[SERVICES].models
    where = _where(request)
    return json_response(await request.app[READS].call(models.distinct_values, field, where, size))


@narrows
async def export_csv(request: web.Request) -> web.Response:
    """GET /executions/export/by-query/csv: the executions that match as a table."""
    models, where = request.app[SERVICES].models, _where(request)
    found = await request.app[READS].call(models.execution_documents, where, ROWS_MAX)
    text = await asyncio.to_thread(_table, found)
    headers = {"Content-Disposition": 'attachment; filename="executions.csv"'}
    return web.Response(text=text, content_type="text/csv", headers=headers)


_COLUMNS = (
    "id", "namespace", "flowId", "flowRevision", "state", "startDate", "endDate", "duration",
    "labels", "parentId", "originalId",
)  # fmt: skip


def _table(documents: Iterable[JsonObject]) -> str:
    return csv_text(_COLUMNS, map(_row, documents))


def _row(document: JsonObject) -> list[Any]:
    state = document["state"]
    labels = ",".join(f"{one['key']}:{one['value']}" for one in document.get("labels", ()))
    shown = {**document, **state, "state": state["current"], "labels": labels}
    return [shown.get(name, "") for name in _COLUMNS]


def _where(request: web.Request) -> ExecutionFilter:
    now_us = request.app[SERVICES].clock.now_us()
    return execution_filter(request.query, now_us, narrowing(request))


async def average_duration(request: web.Request) -> web.Response:
    """GET /executions/namespaces/{namespace}/flows/{flowId}/average-duration."""
    info, models = request.match_info, request.app[SERVICES].models
    count, mean_us = await request.app[READS].call(
        models.average_duration_us, info["namespace"], info["flowId"]
    )
    mean = {} if mean_us is None else {"avgDurationMs": round(mean_us / 1_000)}
    return json_response({"count": count, **mean})


ROUTES = (
    ("POST", "/executions/latest", latest_executions),
    ("POST", "/executions/missing", missing_executions),
    ("GET", "/executions/distinct-field-values", distinct_field_values),
    ("GET", "/executions/export/by-query/csv", export_csv),
    (
        "GET",
        "/executions/namespaces/{namespace}/flows/{flowId}/average-duration",
        average_duration,
    ),
)
