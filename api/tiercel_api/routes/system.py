"""What operators and clients ask of the server itself: configuration, health."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.lags import LAGS
from tiercel_api.routes.health import get_health, get_prometheus, readiness, version_text
from tiercel_api.routes.plugins import INVENTORY
from tiercel_api.security.guard import GUARD
from tiercel_api.services import SERVICES
from tiercel_engine.expression import library as _library
from tiercel_engine.expression.table import TABLE
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.ids import derive_id

assert _library.LOADED, "importing the library fills the table of names"

#: Rows that a preview shows at first, and at most.
PREVIEW_ROWS = 100
PREVIEW_ROWS_MAX = 5_000
#: The window of charts when nobody chose one.
CHART_DURATION = "PT24H"


async def get_api(request: web.Request) -> web.Response:
    """GET /api: what answers here, and where it is described."""
    return json_response(
        {
            "name": "tiercel",
            "version": version_text(),
            "docs": "/docs",
            "openapi": "/openapi.json",
            "api": "/api/v1",
        }
    )


async def get_configs(request: web.Request) -> web.Response:
    """GET /configs: what a client must know of this server, as old and new clients ask it."""
    services = request.app[SERVICES]
    settings, has_users = services.settings, not request.app[GUARD].is_open
    document: JsonObject = {
        "uuid": derive_id("server", services.topics.executions.name),
        "version": version_text(),
        "edition": "OSS",
        "isCustomDashboardsEnabled": True,
        "isTaskRunEnabled": True,
        "isAnonymousUsageEnabled": False,
        "isUiAnonymousUsageEnabled": False,
        "isTemplateEnabled": settings.templates,
        "isAiEnabled": False,
        "isAiApiKeyConfigured": False,
        "isPluginAutoInstallEnabled": False,
        "preview": {"initial": PREVIEW_ROWS, "max": PREVIEW_ROWS_MAX},
        "isBasicAuthEnabled": has_users,
        "isBasicAuthInitialized": has_users,
        "chartDefaultDuration": CHART_DURATION,
        "pluginsHash": request.app[INVENTORY].digest,
        "systemNamespace": "system",
        "hiddenLabelsPrefixes": ["system.", "internal."],
    }
    if settings.url is not None:
        document["url"] = settings.url
    if services.server.environment is not None:
        document["environment"] = {"name": services.server.environment}
    return json_response(document)


async def get_login_config(request: web.Request) -> web.Response:
    """GET /configs/login: whether there is somebody to log in as; anybody may ask."""
    return json_response({"isBasicAuthInitialized": not request.app[GUARD].is_open})


async def list_auths(request: web.Request) -> web.Response:
    """GET /auths: how one may log in."""
    return json_response(["BASIC"])


async def list_auth_faults(request: web.Request) -> web.Response:
    """GET /basicAuthValidationErrors: what is wrong with the stored user; nothing is stored so."""
    return json_response([])


async def list_filters(request: web.Request) -> web.Response:
    """GET /pebble/filters: the names of the filters of expressions."""
    return json_response(sorted(row.name for row in TABLE.values() if row.kind == "filter"))


async def list_functions(request: web.Request) -> web.Response:
    """GET /pebble/functions: the functions of expressions, each with its parameters."""
    rows = sorted(
        (row for row in TABLE.values() if row.kind == "function"), key=lambda row: row.name
    )
    return json_response({row.name: [each.name for each in row.parameters] for row in rows})


async def get_license(request: web.Request) -> web.Response:
    """GET /license-info: an open-source server has no license that could expire."""
    return json_response(
        {
            "type": "OSS",
            "expired": False,
            "standalone": True,
            "workerGroups": True,
            "online": False,
        }
    )


async def refresh_license(request: web.Request) -> web.Response:
    """GET /license/refresh: there is nothing to fetch."""
    return web.Response(status=204)


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


async def ping(request: web.Request) -> web.Response:
    """GET /ping."""
    return web.Response(text="pong")


ROUTES = (
    ("GET", "/api", get_api),
    ("GET", "/health", get_health),
    ("GET", "/ready", get_ready),
    ("GET", "/ping", ping),
    ("GET", "/prometheus", get_prometheus),
)
API_ROUTES = (
    ("GET", "/configs", get_configs),
    ("GET", "/configs/login", get_login_config),
    ("GET", "/auths", list_auths),
    ("GET", "/basicAuthValidationErrors", list_auth_faults),
    ("GET", "/pebble/filters", list_filters),
    ("GET", "/pebble/functions", list_functions),
    ("GET", "/license-info", get_license),
    ("GET", "/license/refresh", refresh_license),
)
