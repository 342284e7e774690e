"""Reading request bodies within their bounds."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.errors import BodyTooLarge


async def read_body(request: web.Request, what: str, bytes_max: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it has more than `bytes_max` bytes; the rest is not read.
    """
    if request.content_length is not None and request.content_length > bytes_max:
        raise BodyTooLarge(what, bytes_max)
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > bytes_max:
            raise BodyTooLarge(what, bytes_max)
    return bytes(body)


def media_type(request: web.Request) -> str:
    """The body's media type without its parameters, lower case; empty: none is given."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
