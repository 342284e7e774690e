"""What a role without an API serves: its metrics, and whether it lives and takes work."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from tiercel_api.routes.health import get_health, get_prometheus, readiness


def create_monitoring(is_ready: Callable[[], bool]) -> web.Application:
    """The application; `is_ready` may be asked from any thread."""

    async def get_ready(request: web.Request) -> web.Response:
        return readiness(is_ready())

    app = web.Application()
    app.router.add_get("/health", get_health)
    app.router.add_get("/ready", get_ready)
    app.router.add_get("/prometheus", get_prometheus)
    return app
