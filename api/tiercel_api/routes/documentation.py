"""What the API says of itself: /openapi.json for programs, /docs for people.

And of the topics that outside services write and read: /asyncapi.yaml, Avro schemas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property

from aiohttp import web

from tiercel_api.answers import encode_json, json_response
from tiercel_api.openapi.document import Route, document, page
from tiercel_api.openapi.operations import Schema
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound
from tiercel_schemas.contracts import PUBLIC, asyncapi, avro_schema


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


async def get_asyncapi(request: web.Request) -> web.Response:
    """GET /asyncapi.yaml: the topics that outside services write and read."""
    text = asyncapi(request.app[SERVICES].topics.prefix)
    return web.Response(text=text, content_type="application/yaml")


async def get_avro_schema(request: web.Request) -> web.Response:
    """GET /asyncapi/{record}.avsc: the Avro schema of a public record."""
    name = request.match_info["record"]
    if name not in PUBLIC:
        raise NotFound(f"Expected one of {', '.join(PUBLIC)}, but it was {name}.")
    return json_response(avro_schema(name))


ROUTES = (
    ("GET", "/openapi.json", get_document),
    ("GET", "/docs", get_documentation),
    ("GET", "/asyncapi.yaml", get_asyncapi),
    ("GET", "/asyncapi/{record}.avsc", get_avro_schema),
)
