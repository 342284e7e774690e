"""/dashboards/…/charts: the data of charts, and the same as files.

A chart shows what whoever asks may read: nothing of other namespaces is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from amazon.ion import simpleion

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.csv_texts import csv_text
from tiercel_api.dashboards.asking import asked_of
from tiercel_api.dashboards.charts import Asked, answer, names, questions
from tiercel_api.dashboards.parts import Chart, TimeWindow
from tiercel_api.dashboards.reading import load_chart
from tiercel_api.dashboards.store import parsed
from tiercel_api.errors import HttpError
from tiercel_api.lookup import find_flow, tenant_of
from tiercel_api.reads import READS
from tiercel_api.routes.dashboards import stored
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import is_allowed
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound
from tiercel_engine.repository.base import JsonObject

#: Where charts without a dashboard take their window from.
_LIMITS = TimeWindow()
_FORMATS = {"CSV": "text/csv", "ION": "application/octet-stream"}


@narrows
async def chart_data(request: web.Request) -> web.Response:
    """POST /dashboards/{id}/charts/{chartId}: the rows of a chart, page by page.

    On `/api/v1/…` both dates must be given, as before Kestra 2.0; on `/api/v1/{tenant}/…` the
    dashboard's own window is shown when they are not.
    """
    chart, limits = await _chart(request)
    rows, total = await _rows(request, chart, limits, await _body(request), _is_strict(request))
    return json_response({"results": rows, "total": total})


@narrows
async def export_chart_data(request: web.Request) -> web.Response:
    """POST /dashboards/{id}/charts/{chartId}/export?format: the rows of a chart as a file."""
    chart, limits = await _chart(request)
    rows, _ = await _rows(request, chart, limits, await _body(request), _is_strict(request))
    return await _file(request, chart, rows)


@narrows
async def preview_chart(request: web.Request) -> web.Response:
    """POST /dashboards/charts/preview: the rows of a chart that nobody has stored."""
    chart, body = await _previewed(request)
    rows, total = await _rows(request, chart, _LIMITS, body, False)
    return json_response({"results": rows, "total": total})


@narrows
async def export_preview(request: web.Request) -> web.Response:
    """POST /dashboards/charts/export?format: the rows of such a chart as a file."""
    chart, body = await _previewed(request)
    rows, _ = await _rows(request, chart, _LIMITS, body, False)
    return await _file(request, chart, rows)


def _is_strict(request: web.Request) -> bool:
    return "tenant" not in request.match_info


async def _chart(request: web.Request) -> tuple[Chart, TimeWindow]:
    entry = await stored(request)
    dashboard = (await asyncio.to_thread(parsed, entry.source)).dashboard
    chart = dashboard.chart(request.match_info["chartId"])
    if chart is None:
        known = ", ".join(one.id for one in dashboard.charts) or "none"
        raise NotFound(f"The dashboard {entry.flow_id} has no such chart; it has {known}.")
    return chart, dashboard.window


async def _body(request: web.Request) -> Any:
    return await read_json(request) if request.can_read_body else {}


async def _previewed(request: web.Request) -> tuple[Chart, Any]:
    body = await read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("chart"), str):
        raise HttpError(422, "Illegal argument", "Expected {chart: YAML text, globalFilter}.")
    return await asyncio.to_thread(load_chart, body["chart"]), body.get("globalFilter")


async def _rows(
    request: web.Request, chart: Chart, limits: TimeWindow, body: Any, needs_dates: bool
) -> tuple[list[JsonObject], int]:
    services = request.app[SERVICES]
    if chart.table is None:
        text = await _text(request, chart)
        return text, len(text)
    asked = asked_of(
        body,
        chart.table,
        limits,
        services.clock.now_us(),
        needs_dates=needs_dates,
        also=narrowing(request),
        flows=await _flows(request) if chart.table == "flows" else (),
    )
    return await request.app[READS].call(_answered, services.models, chart, asked)


def _answered(models: Any, chart: Chart, asked: Asked) -> tuple[list[JsonObject], int]:
    found = [models.aggregate(question) for question in questions(chart, asked)]
    return answer(chart, found, asked.window), found[0].total


async def _flows(request: web.Request) -> list[tuple[str, str, int]]:
    catalog, tenant = request.app[SERVICES].catalog, tenant_of(request)
    latest = await asyncio.to_thread(catalog.latest_all, tenant)
    return [(entry.flow_id, entry.namespace, entry.revision) for entry in latest]


async def _text(request: web.Request, chart: Chart) -> list[JsonObject]:
    """What a chart of text says: its own text, or the description of a flow."""
    source: Mapping[str, Any] = chart.source or {}
    namespace, flow_id = source.get("namespace"), source.get("flowId")
    if isinstance(namespace, str) and isinstance(flow_id, str):
        if not is_allowed(request, Permission.READ, namespace):
            raise NotFound(f"There is no flow {namespace}.{flow_id}.")
        flow = await find_flow(request, namespace, flow_id)
        return [{"content": flow.description or ""}]
    return [{"content": chart.content or str(source.get("content") or "")}]


async def _file(request: web.Request, chart: Chart, rows: Sequence[JsonObject]) -> web.Response:
    name = (request.query.get("format") or "CSV").upper()
    if name not in _FORMATS:
        message = f"Expected a format of {', '.join(_FORMATS)}, but it is {name!r}."
        raise HttpError(422, "Illegal argument", message)
    body = await asyncio.to_thread(_written, name, chart, rows)
    headers = {"Content-Disposition": f'attachment; filename="{chart.id}.{name.lower()}"'}
    return web.Response(body=body, content_type=_FORMATS[name], headers=headers)


def _written(name: str, chart: Chart, rows: Sequence[JsonObject]) -> bytes:
    if name == "ION":
        return bytes(simpleion.dumps(list(rows), binary=True, sequence_as_stream=True))
    columns = names(chart) or ["content"]
    return csv_text(columns, ([row[column] for column in columns] for row in rows)).encode()


ROUTES = (
    ("POST", "/dashboards/charts/preview", preview_chart),
    ("POST", "/dashboards/charts/export", export_preview),
    ("POST", "/dashboards/{id}/charts/{chartId}", chart_data),
    ("POST", "/dashboards/{id}/charts/{chartId}/export", export_chart_data),
)
