"""What every process tells operators, whatever its role: health, metrics, its version.

It imports nothing of the API's other parts: a worker serves these, and needs no database.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tiercel_api.answers import json_response
from tiercel_engine.repository.base import JsonObject


def version_text() -> str:
    """The version of the installed distribution."""
    try:
        return version("tiercel")
    except PackageNotFoundError:
        return "0.0.0"


async def get_health(request: web.Request) -> web.Response:
    """GET /health: the process answers."""
    return json_response({"name": "tiercel", "status": "UP"})


def readiness(is_ready: bool, facts: JsonObject | None = None) -> web.Response:
    """The answer to whether a process takes work; `facts` come along."""
    document = {"name": "tiercel", "status": "UP" if is_ready else "DOWN", **(facts or {})}
    return json_response(document, 200 if is_ready else 503)


async def get_prometheus(request: web.Request) -> web.Response:
    """GET /prometheus: every metric of this process."""
    text = await asyncio.to_thread(generate_latest)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
