"""JSON answers, and what every answer carries. Owns no route and no status."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api.generations import as_asked
from tiercel_engine.repository.base import JsonObject, Page

#: Executions with more task runs than this take a millisecond and more to write.
TASK_RUNS_INLINE_MAX = 200

encode_json = msgspec.json.Encoder().encode

#: What keeps a browser from reading an answer as something else than it is. Answers of this API
#: are data: nothing in them may run, frame or load.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


def json_response(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON text."""
    return web.Response(body=encode_json(value), status=status, content_type="application/json")


def _execution_text(request: web.Request, document: JsonObject) -> bytes:
    return encode_json(as_asked(request, document))


async def encode_execution(request: web.Request, document: JsonObject) -> bytes:
    """An execution as JSON text; a large one is written in a thread, off the event loop."""
    if len(document.get("taskRunList") or ()) > TASK_RUNS_INLINE_MAX:
        return await asyncio.to_thread(_execution_text, request, document)
    return _execution_text(request, document)


async def execution_response(request: web.Request, document: JsonObject) -> web.Response:
    """An execution as an answer."""
    body = await encode_execution(request, document)
    return web.Response(body=body, content_type="application/json")


def executions_response(request: web.Request, found: Page) -> web.Response:
    """A page of executions as an answer."""
    return json_response(Page([as_asked(request, one) for one in found.results], found.total))


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer that has not set its own."""
    headers = response.headers
    headers["Server"] = "tiercel"
    for name, value in SECURITY_HEADERS.items():
        if name not in headers:
            headers[name] = value


def cut(request: web.Request) -> None:
    """Close the connection at once: the only way to say that a started answer will not end."""
    transport = request.transport
    if transport is not None:
        transport.abort()
