"""How much a server is used: /usages/all, and a report of executions over time."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.lookup import tenant_of
from tiercel_api.routes.health import version_text
from tiercel_api.routes.plugins import INVENTORY
from tiercel_api.routes.statistics import daily
from tiercel_api.services import SERVICES
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.model import Flow
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.state import State

#: Flows that are looked into; the others are counted only.
FLOWS_MAX = 10_000
#: Property of a flow -> how many flows have it.
_COUNTED = {
    "inputs": "hasInputsCount",
    "outputs": "hasOutputsCount",
    "labels": "hasLabelsCount",
    "variables": "hasVariablesCount",
    "errors": "hasErrorsCount",
    "finally_": "hasFinallyCount",
    "after_execution": "hasAfterExecutionCount",
    "triggers": "hasTriggersCount",
    "concurrency": "hasConcurrencyCount",
    "retry": "hasRetryCount",
    "sla": "hasSlaCount",
    "checks": "hasChecksCount",
}


async def get_usage(request: web.Request) -> web.Response:
    """GET /usages/all: how many flows of which types there are, and executions day by day."""
    services, tenant = request.app[SERVICES], tenant_of(request)
    flows = await asyncio.to_thread(_flow_usage, services.catalog, tenant)
    executions = await daily(request, "executions", {})
    groups = request.app[INVENTORY].groups
    return json_response(
        {
            "uuid": derive_id("server", services.topics.executions.name),
            "version": version_text(),
            "zoneId": services.settings.timezone,
            "plugins": [
                {"name": group.name, "version": group.facts["version"]} for group in groups
            ],
            "flows": flows,
            "executions": {"dailyExecutionsCount": executions},
        }
    )


def _flow_usage(catalog: FlowCatalog, tenant: str) -> JsonObject:
    latest = catalog.latest_all(tenant)
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTED.values(), 0))
    types: dict[str, Counter[str]] = {
        name: Counter() for name in ("taskType", "triggerType", "taskRunnerType", "inputType")
    }
    for entry in latest[:FLOWS_MAX]:
        try:
            flow = catalog.flow(FlowKey(entry.tenant, entry.namespace, entry.flow_id))
        except InvalidFlow:
            continue
        if flow is None:  # deleted meanwhile
            continue
        counts.update(name for part, name in _COUNTED.items() if getattr(flow, part))
        for name, found in _types(flow):
            types[name].update(found)
    return {
        "count": len(latest),
        "namespacesCount": len({entry.namespace for entry in latest}),
        **{f"{name}Count": dict(sorted(found.items())) for name, found in types.items()},
        **counts,
    }


def _types(flow: Flow) -> Iterator[tuple[str, Iterable[str]]]:
    tasks = list(flow.all_tasks())
    yield "taskType", (task.type for task in tasks)
    yield "triggerType", (trigger.type for trigger in flow.triggers)
    yield "inputType", (each.type for each in flow.inputs)
    yield "taskRunnerType", (name for task in tasks if (name := _runner(task.properties)))


def _runner(properties: JsonObject) -> str:
    runner: Any = properties.get("taskRunner")
    return str(runner.get("type", "")) if isinstance(runner, dict) else ""


async def get_report(request: web.Request) -> web.Response:
    """GET /stats/generate-reports?from=…: executions over time by state, as a table in CSV."""
    since = request.query.get("from")
    if since and "T" not in since:
        since += "T00:00:00Z"
    rows = await daily(request, "executions", {"startDate": since} if since else {})
    states = [state.value for state in State]
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["from", "span", "executions", *states])
    for row in rows:
        counts = row["executionCounts"]
        total = sum(counts.values())
        table.writerow([row["startDate"], row["groupBy"], total, *(counts[s] for s in states)])
    return web.Response(
        text=text.getvalue(),
        content_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="executions.csv"'},
    )


ROUTES = (
    ("GET", "/usages/all", get_usage),
    ("GET", "/stats/generate-reports", get_report),
)
