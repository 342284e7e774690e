"""/metrics: what tasks have measured, of one execution and of a flow over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import HttpError
from tiercel_api.filters import instant_us
from tiercel_api.line_deletions import all_indexed, purge_of, say_deleted
from tiercel_api.paging import metric_filter, page_of, sort_of
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import MetricFilter
from tiercel_schemas.logs import MetricsDeleted

KINDS = ("sum", "avg", "min", "max")
US = 1_000_000
HOUR_US = 3_600 * US
DAY_US = 24 * HOUR_US
#: The window when none is given.
WINDOW_US = 30 * DAY_US
#: Spans of one answer: a minute's span of six hours has 360.
SPANS_MAX = 10_000


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


@dataclass(frozen=True, slots=True)
class Span:
    """How a window is cut; `step_us` is what the values are grouped by first."""

    name: str
    step_us: int


def span_of(window_us: int) -> Span:
    """As in Kestra: the longer the window, the longer the spans."""
    if window_us > 365 * DAY_US:
        return Span("month", DAY_US)
    if window_us > 180 * DAY_US:
        return Span("week", DAY_US)
    if window_us > DAY_US:
        return Span("day", DAY_US)
    if window_us > 6 * HOUR_US:
        return Span("hour", HOUR_US)
    return Span("minute", 60 * US)


async def aggregate(request: web.Request) -> web.Response:
    """GET /metrics/aggregates/{namespace}/{flowId}[/{taskId}]/{metric}: a metric over time."""
    query, info = request.query, request.match_info
    services = request.app[SERVICES]
    kind = (query.get("aggregation") or "sum").lower()
    if kind not in KINDS:
        raise HttpError(422, "Illegal argument", f"Expected one of {', '.join(KINDS)}.")
    end_us = instant_us(query["endDate"]) if query.get("endDate") else services.clock.now_us()
    start_us = instant_us(query["startDate"]) if query.get("startDate") else end_us - WINDOW_US
    if start_us > end_us:
        raise HttpError(422, "Illegal argument", "Start date must be before End Date")
    span = span_of(end_us - start_us)
    if (end_us - start_us) // span.step_us > SPANS_MAX:
        raise HttpError(422, "Illegal argument", "Expected a shorter window.")
    where = MetricFilter(
        info["namespace"], info["flowId"], info["metric"], start_us, end_us, info.get("taskId")
    )
    series = services.models.metric_series
    read = request.app[READS].call
    # The mean of a month is not the mean of its days' means.
    parts = ("sum", "count") if kind == "avg" else (kind,)
    found = [await read(series, where, part, span.step_us) for part in parts]
    rows = [
        {"name": info["metric"], "value": value, "date": date}
        for date, value in _joined(found, kind, span, start_us, end_us)
    ]
    return json_response({"groupBy": span.name, "aggregations": rows})


def _joined(
    found: list[dict[int, float]], kind: str, span: Span, start_us: int, end_us: int
) -> Iterator[tuple[str, float]]:
    """(start of a span, its value) of the whole window; 0 where there is nothing."""
    cells: dict[datetime, list[list[float]]] = {}
    for step in range(start_us // span.step_us, end_us // span.step_us + 1):
        at = datetime.fromtimestamp(step * span.step_us / US, UTC)
        cell = cells.setdefault(_start_of(at, span.name), [[] for _ in found])
        for values, part in zip(cell, found, strict=True):
            if step in part:
                values.append(part[step])
    for start, parts in cells.items():
        yield start.isoformat().replace("+00:00", "Z"), _value(parts, kind)


def _value(parts: list[list[float]], kind: str) -> float:
    if not parts[0]:
        return 0.0
    if kind == "avg":
        return sum(parts[0]) / max(1.0, sum(parts[1]))
    if kind == "sum":
        return sum(parts[0])
    return min(parts[0]) if kind == "min" else max(parts[0])


def _start_of(at: datetime, span: str) -> datetime:
    if span == "month":
        return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if span == "week":
        return (at - timedelta(days=at.weekday())).replace(hour=0, minute=0, second=0)
    return at


async def purge_metrics(request: web.Request) -> web.Response:
    """DELETE /metrics/by-query?endDate&startDate&namespace&flowId: how many metrics went."""
    services = request.app[SERVICES]
    where = purge_of(request)
    deletion = MetricsDeleted(
        namespace=where.exact_namespace,
        namespace_prefix=where.namespace,
        flow_id=where.flow_id,
        start_us=where.start_us,
        end_us=where.end_us,
        at_us=services.clock.now_us(),
    )
    await all_indexed(request, services.topics.metrics)
    count = await request.app[READS].call(services.models.count_metrics, where)
    if count:
        await say_deleted(request, services.topics.metrics, deletion)
    return json_response({"count": count})


ROUTES = (
    ("DELETE", "/metrics/by-query", purge_metrics),
    ("GET", "/metrics/names/{namespace}/{flowId}", list_names),
    ("GET", "/metrics/names/{namespace}/{flowId}/{taskId}", list_names),
    ("GET", "/metrics/tasks/{namespace}/{flowId}", list_tasks),
    ("GET", "/metrics/aggregates/{namespace}/{flowId}/{metric}", aggregate),
    ("GET", "/metrics/aggregates/{namespace}/{flowId}/{taskId}/{metric}", aggregate),
    ("GET", "/metrics/{executionId}", get_metrics),
)
