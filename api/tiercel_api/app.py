"""The aiohttp application: routes under both prefixes, the bulkhead, the life of its parts.

Routes are served as `/api/v1/…` (Kestra before 2.0) and as `/api/v1/{tenant}/…` by the same
handlers. The two overlap by their first segment, so the names of resources cannot be tenants.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from tiercel_api.answers import add_security_headers
from tiercel_api.connections import (
    CONNECTIONS,
    Connections,
    close_when_ending,
    keep_bounds,
)
from tiercel_api.errors import INCIDENTS, BadRequest, Handler, HttpError, answer_errors
from tiercel_api.evaluator import (
    EVALUATOR,
    INPUT_ANSWER_S,
    INPUT_EVALUATOR,
    INPUT_RENDER_S,
    INPUT_THREADS,
    Evaluator,
)
from tiercel_api.files import FILES, Files
from tiercel_api.fleet import FLEET, Fleet
from tiercel_api.follow import FOLLOWERS, Followers
from tiercel_api.gateway import GATEWAY, Gateway
from tiercel_api.generations import check_page
from tiercel_api.lags import LAGS, Lags, mind_lag
from tiercel_api.lookup import FLOWS, Flows
from tiercel_api.reads import READS, Reads
from tiercel_api.routes import (
    absent,
    blueprints,
    concurrency,
    dashboard_charts,
    dashboards,
    dead_letters,
    documentation,
    execution_bulk,
    execution_dependencies,
    execution_files,
    execution_follow,
    execution_lists,
    execution_pauses,
    execution_verbs,
    executions,
    expressions,
    flow_bulk,
    flow_revisions,
    flow_sources,
    flows,
    graphs,
    instance,
    logs,
    metrics,
    namespace_files,
    namespaces,
    outputs,
    pairs,
    plugins,
    sessions,
    source_search,
    statistics,
    system,
    template_bulk,
    templates,
    tenants,
    trigger_bulk,
    triggers,
    usage,
    users,
    webhooks,
)
from tiercel_api.routes.documentation import DOCUMENTATION, Documentation
from tiercel_api.routes.health import version_text
from tiercel_api.routes.plugins import INVENTORY
from tiercel_api.security.audit import record_changes
from tiercel_api.security.guard import GUARD, SAFE_METHODS, Guard, check_access
from tiercel_api.security.limiter import Limiter
from tiercel_api.security.secrets import SessionSigner
from tiercel_api.security.topic import ACCOUNTS, AccountsTopic
from tiercel_api.services import SERVICES, Services
from tiercel_engine.errors import NotFound
from tiercel_engine.plugin.inventory import Inventory

PREFIX = "/api/v1"
#: First segments below the prefix that name something else than a tenant.
RESERVED = (
    "actions", "apps", "assets", "auths", "banners", "basicAuth", "blueprints",
    "concurrency-limit", "configs",
    "dashboards", "dead-letters", "executions", "flows", "instance", "kv", "license-info", "logs",
    "me", "metrics", "namespaces", "outputs", "pebble", "plugins", "roles", "scim", "secrets",
    "setup", "stats", "taskruns", "templates", "tenants", "tests", "triggers", "usages", "users",
    "worker-selectors",
)  # fmt: skip
TENANT_PREFIX = f"{PREFIX}/{{tenant:(?!(?:{'|'.join(RESERVED)})/)[a-zA-Z0-9][a-zA-Z0-9_-]*}}"
#: What no name has, and what would split a header that repeats one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: More specific paths stand first: the first that matches wins.
ROUTES = (
    *webhooks.ROUTES,
    *absent.ROUTES,
    *execution_bulk.ROUTES,
    *execution_verbs.ROUTES,
    *execution_pauses.ROUTES,
    *execution_files.ROUTES,
    *execution_lists.ROUTES,
    *execution_dependencies.ROUTES,
    *graphs.ROUTES,
    *execution_follow.ROUTES,
    *executions.ROUTES,
    *expressions.ROUTES,
    *source_search.ROUTES,
    *flow_sources.ROUTES,
    *flow_bulk.ROUTES,
    *flow_revisions.ROUTES,
    *flows.ROUTES,
    *flow_bulk.LAST_ROUTES,
    *template_bulk.ROUTES,
    *templates.ROUTES,
    *tenants.ROUTES,
    *plugins.ROUTES,
    *blueprints.ROUTES,
    *logs.ROUTES,
    *metrics.ROUTES,
    *outputs.ROUTES,
    *dashboards.ROUTES,
    *dashboard_charts.ROUTES,
    *statistics.ROUTES,
    *sessions.API_ROUTES,
    *users.API_ROUTES,
    *usage.ROUTES,
    *instance.ROUTES,
    *pairs.ROUTES,
    *namespace_files.ROUTES,
    *concurrency.ROUTES,
    *namespaces.ROUTES,
    *dead_letters.ROUTES,
    *trigger_bulk.ROUTES,
    *triggers.ROUTES,
)


def create_app(services: Services) -> web.Application:
    """The application, ready to be run by aiohttp. It closes nothing of `services`."""
    # Bodies are bounded where they are read: each kind has its own limit.
    largest = services.settings.upload_bytes_max + services.settings.text_bytes_max
    middlewares = [
        record_changes, answer_errors, keep_bounds, check_request, check_access, mind_lag
    ]  # fmt: skip
    app = web.Application(middlewares=middlewares, client_max_size=largest)
    app[SERVICES] = services
    app[INVENTORY] = Inventory(services.registry, services.catalog.defaults)
    app[INCIDENTS] = lambda: uuid.uuid4().hex[:12]
    app[CONNECTIONS] = Connections(services.settings.bounds)
    app.cleanup_ctx.append(_parts)
    app.on_response_prepare.append(add_security_headers)
    app.on_response_prepare.append(close_when_ending)
    app.on_shutdown.append(_end_streams)
    app[DOCUMENTATION] = Documentation((*ROUTES, *system.API_ROUTES), version_text())
    _add(app, (*system.ROUTES, *sessions.ROUTES, *documentation.ROUTES))
    _add(app, ((method, PREFIX + path, handler) for method, path, handler in system.API_ROUTES))
    start = start_routes()
    for method, path, handler in (*start, *ROUTES, *system.API_ROUTES):
        app.router.add_route(method, TENANT_PREFIX + path, handler)
    _add(app, ((method, PREFIX + path, handler) for method, path, handler in (*start, *ROUTES)))
    return app


def start_routes() -> tuple[tuple[str, str, Handler], ...]:
    """What starts executions, as routes that may stand before all others.

    The router tries paths one after the other, and every verb of an execution is like this one:
    at its place it would be found last, though it is asked for most. Those verbs are not taken,
    nor what is done to many executions (`pause/by-ids`). But no execution's id has a dot: below a
    namespace that has one, a flow of before 1.0 may have the name of a verb.
    """
    path, depth = "/executions/{namespace}/{id}", 3
    (handler,) = (one for method, known, one in ROUTES if (method, known) == ("POST", path))
    verbs = sorted(
        known.rpartition("/")[2]
        for method, known, _ in ROUTES
        if method == "POST" and known.startswith("/executions/") and known.count("/") == depth
    )
    taken = "|".join(re.escape(verb) for verb in verbs if not verb.startswith("{"))
    others = path.replace("{id}", f"{{id:(?!(?:{taken})$)[^{{}}/]+}}")
    dotted = path.replace("{namespace}", r"{namespace:[^{}/]+\.[^{}/]+}")
    return ("POST", others, handler), ("POST", dotted, handler)


def _add(app: web.Application, routes: Iterable[tuple[str, str, Handler]]) -> None:
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)


@web.middleware
async def check_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests under a foreign host name, from a foreign page, or for no tenant of ours.

    The server has no login when it listens on loopback, but any web page that its user visits can
    send requests there. A page betrays itself by the name it used, or by its own origin.
    """
    settings = request.app[SERVICES].settings
    if settings.hosts is not None and _host_name(request.host) not in settings.hosts:
        raise HttpError(403, "Forbidden", f"The host name {request.host!r} is not allowed.")
    if request.method not in SAFE_METHODS and _is_foreign(request):
        raise HttpError(403, "Forbidden", "Requests from other sites are not allowed.")
    if "%00" in request.raw_path or _CONTROL.search(request.path):
        raise BadRequest("Expected text, but there is a control character.")
    tenant = request.match_info.get("tenant")
    if tenant is not None and tenant not in settings.tenants:
        raise NotFound("")
    check_page(request)
    return await handler(request)


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _is_foreign(request: web.Request) -> bool:
    """Whether a page of another origin sent this. Webhooks may come from anywhere."""
    if "/executions/webhook/" in request.path:
        return False
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host


async def _parts(app: web.Application) -> AsyncIterator[None]:
    """Open what the handlers share, and close it in the opposite order."""
    services = app[SERVICES]
    settings = services.settings
    appender = await asyncio.to_thread(services.log.appender)
    app[GATEWAY] = Gateway(services.log, services.topics, appender, settings.command_timeout_s)
    app[READS] = Reads(services.models, settings.read_threads, services.indexed)
    app[FILES] = Files(services.storage, settings.file_threads)
    app[FOLLOWERS] = Followers(settings.followers_max)
    app[LAGS] = Lags(services)
    app[FLOWS] = Flows(services.catalog)
    app[FLEET] = Fleet(services.log, services.topics, services.clock)
    app[EVALUATOR] = Evaluator()
    app[ACCOUNTS] = AccountsTopic(services.log, services.topics.accounts.name)
    signer = SessionSigner.of_secret(services.session_secret)
    app[GUARD] = Guard(app[ACCOUNTS], services.clock, signer, Limiter())
    app[INPUT_EVALUATOR] = Evaluator(INPUT_THREADS, INPUT_RENDER_S, INPUT_ANSWER_S)
    await asyncio.to_thread(services.catalog.catch_up)
    await asyncio.to_thread(app[ACCOUNTS].catch_up)
    following = {
        asyncio.create_task(app[FLOWS].refresh_forever()),
        asyncio.create_task(app[ACCOUNTS].follow_forever()),
    }
    app[LAGS].start()
    yield
    await asyncio.to_thread(app[LAGS].close)
    for task in following:
        task.cancel()
    await asyncio.wait(following)
    # First: what it renders may wait for an execution.
    await asyncio.to_thread(app[INPUT_EVALUATOR].close)
    await asyncio.to_thread(app[ACCOUNTS].close)
    await app[GATEWAY].close()
    await asyncio.to_thread(app[FLEET].close)
    await asyncio.to_thread(app[EVALUATOR].close)
    await asyncio.to_thread(app[FILES].close)
    await asyncio.to_thread(app[READS].close)


async def _end_streams(app: web.Application) -> None:
    app[CONNECTIONS].end()
