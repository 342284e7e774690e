"""Reading request bodies within their bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tiercel_api.errors import BadRequest, BodyTooLarge, HttpError
from tiercel_api.services import SERVICES

#: How long a client may take for the next piece of its body: one text, or one block of a file.
PIECE_TIMEOUT_S = 60.0


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Give a client `PIECE_TIMEOUT_S` for what it has to send.

    Raises:
        HttpError: it took longer.
    """
    try:
        async with asyncio.timeout(PIECE_TIMEOUT_S):
            yield
    except TimeoutError:
        raise HttpError(408, "Request Timeout", "Expected more of the body.") from None


#: What aiohttp raises while it reads a form.
FORM_ERRORS = (ValueError, AssertionError, KeyError, RuntimeError, HttpProcessingError)


@contextmanager
def reading_form() -> Iterator[None]:
    """Turn what aiohttp raises for a form that is none, or ends in its middle, into a refusal.

    Raises:
        BadRequest: the body is no whole form.
    """
    try:
        yield
    except FORM_ERRORS as error:
        raise BadRequest(f"Expected a multipart form, but it does not read: {error}") from None


async def read_body(request: web.Request, what: str, bytes_max: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it has more than `bytes_max` bytes; the rest is not read.
        HttpError: it did not come in time.
    """
    if request.content_length is not None and request.content_length > bytes_max:
        raise BodyTooLarge(what, bytes_max)
    body = bytearray()
    async with in_time():
        async for chunk in request.content.iter_chunked(65_536):
            body += chunk
            if len(body) > bytes_max:
                raise BodyTooLarge(what, bytes_max)
    return bytes(body)


async def read_json(request: web.Request) -> Any:
    """The body as JSON.

    Raises:
        BodyTooLarge: it is longer than the settings allow.
        HttpError: it is no JSON, or nested too deeply.
    """
    body = await read_body(request, "JSON", request.app[SERVICES].settings.body_bytes_max)
    if not body:
        raise HttpError(422, "Invalid route params", "Required Body [body] not specified")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpError(422, "Invalid json", str(error)) from None


def media_type(request: web.Request) -> str:
    """The body's media type without its parameters, lower case; empty: none is given."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
