"""/metrics: what tasks have measured, of one execution and of a flow over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import HttpError
from tiercel_api.line_deletions import all_indexed, purges_of, say_deleted
from tiercel_api.paging import metric_filter, page_of, sort_of
from tiercel_api.reads import READS
from tiercel_api.security.narrowing import narrows
from tiercel_api.services import SERVICES
from tiercel_api.spans import window_of
from tiercel_engine.repository.base import MeasureFilter, MetricFilter
from tiercel_schemas.logs import MetricsDeleted

KINDS = ("sum", "avg", "min", "max")


async def get_metrics(request: web.Request) -> web.Response:
    """GET /metrics/{executionId}."""
    query = request.query
    page, size = page_of(query)
    services = request.app[SERVICES]
    found = await request.app[READS].call(
        services.models.metrics,
        request.match_info["executionId"],
        page,
        size,
        metric_filter(query, services.clock.now_us()),
        sort_of(query),
    )
    return json_response(found)


async def list_names(request: web.Request) -> web.Response:
    """GET /metrics/names/{namespace}/{flowId}[/{taskId}]: names of metrics."""
    info, models = request.match_info, request.app[SERVICES].models
    return json_response(
        await request.app[READS].call(
            models.metric_names, info["namespace"], info["flowId"], info.get("taskId")
        )
    )


async def list_tasks(request: web.Request) -> web.Response:
    """GET /metrics/tasks/{namespace}/{flowId}: tasks that have sent metrics."""
    info, models = request.match_info, request.app[SERVICES].models
    return json_response(
        await request.app[READS].call(models.tasks_with_metrics, info["namespace"], info["flowId"])
    )


async def aggregate(request: web.Request) -> web.Response:
    """GET /metrics/aggregates/{namespace}/{flowId}[/{taskId}]/{metric}: a metric over time."""
    query, info = request.query, request.match_info
    services = request.app[SERVICES]
    kind = (query.get("aggregation") or "sum").lower()
    if kind not in KINDS:
        raise HttpError(422, "Illegal argument", f"Expected one of {', '.join(KINDS)}.")
    window = window_of(query.get("startDate"), query.get("endDate"), services.clock.now_us())
    starts = window.starts()
    where = MetricFilter(
        info["namespace"],
        info["flowId"],
        info["metric"],
        window.start_us,
        window.end_us,
        info.get("taskId"),
    )
    series = services.models.metric_series
    read = request.app[READS].call
    # The mean of a month is not the mean of its days' means.
    parts = ("sum", "count") if kind == "avg" else (kind,)
    step_us, offset_us = window.span.step_us, window.offset_us
    found = [await read(series, where, part, step_us, offset_us) for part in parts]
    rows = [
        {"name": info["metric"], "value": value, "date": date}
        for date, value in _joined(found, kind, starts)
    ]
    return json_response({"groupBy": window.span.name, "aggregations": rows})


def _joined(
    found: list[dict[int, float]], kind: str, starts: Mapping[int, str]
) -> Iterator[tuple[str, float]]:
    """(start of a span, its value) of the whole window; 0 where there is nothing."""
    cells: dict[str, list[list[float]]] = {}
    for step, start in starts.items():
        cell = cells.setdefault(start, [[] for _ in found])
        for values, part in zip(cell, found, strict=True):
            if step in part:
                values.append(part[step])
    for start, parts in cells.items():
        yield start, _value(parts, kind)


def _value(parts: list[list[float]], kind: str) -> float:
    if not parts[0]:
        return 0.0
    if kind == "avg":
        return sum(parts[0]) / max(1.0, sum(parts[1]))
    if kind == "sum":
        return sum(parts[0])
    return min(parts[0]) if kind == "min" else max(parts[0])


@narrows
async def purge_metrics(request: web.Request) -> web.Response:
    """DELETE /metrics/by-query?endDate&startDate&namespace&flowId: how many metrics went."""
    purges = purges_of(request)
    await all_indexed(request, request.app[SERVICES].topics.metrics)
    return json_response({"count": sum([await _purge(request, one) for one in purges])})


async def _purge(request: web.Request, where: MeasureFilter) -> int:
    services = request.app[SERVICES]
    deletion = MetricsDeleted(
        namespace=where.exact_namespace,
        namespace_prefix=where.namespace,
        flow_id=where.flow_id,
        start_us=where.start_us,
        end_us=where.end_us,
        at_us=services.clock.now_us(),
    )
    count = await request.app[READS].call(services.models.count_metrics, where)
    if count:
        await say_deleted(request, services.topics.metrics, deletion)
    return count


ROUTES = (
    ("DELETE", "/metrics/by-query", purge_metrics),
    ("GET", "/metrics/names/{namespace}/{flowId}", list_names),
    ("GET", "/metrics/names/{namespace}/{flowId}/{taskId}", list_names),
    ("GET", "/metrics/tasks/{namespace}/{flowId}", list_tasks),
    ("GET", "/metrics/aggregates/{namespace}/{flowId}/{metric}", aggregate),
    ("GET", "/metrics/aggregates/{namespace}/{flowId}/{taskId}/{metric}", aggregate),
    ("GET", "/metrics/{executionId}", get_metrics),
)
