"""JSON answers, and what every answer carries. Owns no route and no status."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

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


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer that has not set its own."""
    headers = response.headers
    for name, value in SECURITY_HEADERS.items():
        if name not in headers:
            headers[name] = value


def cut(request: web.Request) -> None:
    """Close the connection at once: the only way to say that a started answer will not end."""
    transport = request.transport
    if transport is not None:
        transport.abort()
