"""What operators and clients ask of the server itself: configuration, health, metrics."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tiercel_api.answers import json_response
from tiercel_api.lags import LAGS
from tiercel_api.security.guard import GUARD
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.ids import derive_id

#: Rows that a preview shows at first, and at most.
PREVIEW_ROWS = 100
PREVIEW_ROWS_MAX = 5_000


def version_text() -> str:
    """The version of the installed distribution."""
    try:
        return version("tiercel")
    except PackageNotFoundError:
        return "0.0.0"


async def get_configs(request: web.Request) -> web.Response:
    """GET /configs: what a client must know of this server."""
    return json_response(
        {
            "uuid": derive_id("server", request.app[SERVICES].topics.executions.name),
            "version": version_text(),
            "isCustomDashboardsEnabled": False,
            "isTaskRunEnabled": False,
            "isAnonymousUsageEnabled": False,
            "isTemplateEnabled": False,
            "preview": {"initial": PREVIEW_ROWS, "max": PREVIEW_ROWS_MAX},
            "isBasicAuthEnabled": not request.app[GUARD].is_open,
            "systemNamespace": "system",
            "hiddenLabelsPrefixes": ["system.", "internal."],
        }
    )


async def get_health(request: web.Request) -> web.Response:
    """GET /health: the process answers."""
    return json_response({"name": "tiercel", "status": "UP"})


async def get_ready(request: web.Request) -> web.Response:
    """GET /ready: 200 when the process takes work, else 503; how far others are behind the log.

    While executors are too far behind, nothing new is started (`starts` is REFUSED); all else goes
    on, so the process stays ready.
    """
    lags = request.app[LAGS]
    facts = {
        "starts": "ACCEPTED" if lags.refusal is None else "REFUSED",
        "lag": {
            name: {"records": lag.records, "seconds": lag.seconds} if lags.is_known else None
            for name, lag in (("commands", lags.commands), ("index", lags.index))
        },
    }
    return readiness(request.app[SERVICES].is_ready(), facts)


def readiness(is_ready: bool, facts: JsonObject | None = None) -> web.Response:
    """The answer to whether a process takes work; `facts` come along."""
    document = {"name": "tiercel", "status": "UP" if is_ready else "DOWN", **(facts or {})}
    return json_response(document, 200 if is_ready else 503)


async def ping(request: web.Request) -> web.Response:
    """GET /ping."""
    return web.Response(text="pong")


async def get_prometheus(request: web.Request) -> web.Response:
    """GET /prometheus: every metric of this process."""
    text = await asyncio.to_thread(generate_latest)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = (
    ("GET", "/health", get_health),
    ("GET", "/ready", get_ready),
    ("GET", "/ping", ping),
    ("GET", "/prometheus", get_prometheus),
)
API_ROUTES = (("GET", "/configs", get_configs),)
