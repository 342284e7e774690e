"""What a call of a webhook brings: headers, parameters, and its body as the trigger wants it.

A form's files always go to storage; any other body is read, stored or left alone, as `fetchType`
says. Follows the webhook of Kestra 2.0, whose `body`, `headers` and `parameters` are as ever.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web
from multidict import MultiMapping

from tiercel_api.bodies import media_type, read_body, reading_form
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.files import FILES
from tiercel_api.forms import MULTIPART, next_part, part_names, read_text
from tiercel_api.services import SERVICES
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.triggers import Webhook
from tiercel_engine.repository.base import JsonObject

#: Values of one call's query and headers together.
VALUES_MAX = 1_000
UNKNOWN_TYPE = "application/octet-stream"


class Call:
    """One call.

    Attributes:
        variables: what `{{ trigger }}` gives.
        stored: addresses of the files that were stored for it.
    """

    def __init__(self) -> None:
        self.variables: JsonObject = {}
        self.stored: list[str] = []

    async def discard(self, request: web.Request) -> None:
        """Remove the stored files: no execution will own them."""
        for uri in self.stored:
            await request.app[FILES].delete(uri)


async def read_call(request: web.Request, flow: Flow, webhook: Webhook, execution_id: str) -> Call:
    """Read what the trigger wants of a call, for the execution that it may start.

    Raises:
        BodyTooLarge: the body, or its files, pass their limit.
        BadRequest: it is a form that does not read, or one of too many parts.
        HttpError: it has too many headers and parameters.
    """
    if len(request.query) + len(request.headers) > VALUES_MAX:
        raise HttpError(
            422, "Illegal argument", f"Expected at most {VALUES_MAX} headers and parameters."
        )
    call = Call()
    try:
        await _Reader(request, flow, webhook, execution_id, call).read()
    except BaseException:
        await call.discard(request)
        raise
    call.variables["headers"] = _lists(request.headers)
    call.variables["parameters"] = _lists(request.query)
    if request.match_info.get("path"):
        call.variables["path"] = request.match_info["path"]
    return call


class _Reader:
    """Reads one body."""

    def __init__(
        self, request: web.Request, flow: Flow, webhook: Webhook, execution_id: str, call: Call
    ) -> None:
        self._request = request
        self._flow = flow
        self._webhook = webhook
        self._execution_id = execution_id
        self._call = call
        self._settings = request.app[SERVICES].settings
        self._left_bytes = self._settings.upload_bytes_max

    async def read(self) -> None:
        if not self._request.can_read_body:
            return
        if media_type(self._request) == MULTIPART:
            await self._read_form()
        elif self._webhook.fetch_type == "STORE":
            uri = self._uri("body")
            await self._request.app[FILES].receive(self._request.content, uri, self._left_bytes)
            self._call.variables["uri"] = uri
        elif self._webhook.fetch_type == "FETCH":
            body = await read_body(self._request, "webhook body", self._settings.body_bytes_max)
            if body:
                self._call.variables["body"] = _value(body, self._request.charset or "utf-8")

    async def _read_form(self) -> None:
        """Files as `parts`, all else as `formFields`."""
        parts: list[JsonObject] = []
        fields: dict[str, list[str]] = {}
        count = text_bytes = 0
        with reading_form():
            reader = await self._request.multipart()
            while (part := await next_part(reader)) is not None:
                count += 1
                if count > self._settings.parts_max:
                    raise BadRequest(f"Expected at most {self._settings.parts_max} parts.")
                if not isinstance(part, BodyPartReader):
                    continue
                name, filename = part_names(part)
                if filename is not None:
                    parts.append(await self._file(part, len(parts), name, filename))
                    continue
                text, size = await read_text(part, self._settings.text_bytes_max - text_bytes)
                text_bytes += size
                fields.setdefault(name, []).append(text)
        self._call.variables |= {"parts": parts, "formFields": fields}

    async def _file(self, part: BodyPartReader, number: int, name: str, filename: str) -> Any:
        uri = self._uri(str(number), filename)
        size = await self._request.app[FILES].receive(part, uri, self._left_bytes)
        self._left_bytes -= size
        return {
            "name": name,
            "filename": filename,
            "contentType": part.headers.get("Content-Type", UNKNOWN_TYPE),
            "size": size,
            "uri": uri,
        }

    def _uri(self, *names: str) -> str:
        """Where the next file lies; noted, so that it is removed when nothing starts."""
        files = self._request.app[FILES]
        uri = files.trigger_uri(self._flow, self._execution_id, self._webhook.id, *names)
        self._call.stored.append(uri)
        return uri


def _value(body: bytes, charset: str) -> Any:
    """A JSON object or list as its value, whatever the media type says; else text.

    What is no text is written in base64.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        value = None
    if isinstance(value, dict | list):
        return value
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(body).decode()


def _lists(values: MultiMapping[str]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in values.items():
        lists.setdefault(name, []).append(value)
    return lists
