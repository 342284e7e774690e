"""What the API says of itself: /openapi.json for programs, /docs for people."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property

from aiohttp import web

from tiercel_api.answers import encode_json
from tiercel_api.openapi.document import Route, document, page
from tiercel_api.openapi.operations import Schema


class Documentation:
    """The OpenAPI document of the routes, made when somebody first asks."""

    def __init__(self, routes: Sequence[Route], version: str) -> None:
        self._routes = routes
        self._version = version

    @cached_property
    def content(self) -> Schema:
        return document(self._routes, self._version)


DOCUMENTATION = web.AppKey("documentation", Documentation)


async def get_document(request: web.Request) -> web.Response:
    """GET /openapi.json."""
    content = await asyncio.to_thread(lambda: request.app[DOCUMENTATION].content)
    return web.Response(body=encode_json(content), content_type="application/json")


async def get_documentation(request: web.Request) -> web.Response:
    """GET /docs: the same as a page."""
    content = await asyncio.to_thread(lambda: request.app[DOCUMENTATION].content)
    return web.Response(text=page(content), content_type="text/html")


ROUTES = (("GET", "/openapi.json", get_document), ("GET", "/docs", get_documentation))
