"""Reading the form that starts an execution: text inputs, and files streamed into storage.

A file's input is named by its part, or by its file name: `curl -F data=@orders.csv` sends the
input id as the part's name, the `kestra` client sends a part named `files` whose file name is the
input id, `kestrapy` sends both.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, web

from tiercel_api.bodies import in_time, media_type, read_body, reading_form
from tiercel_api.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from tiercel_api.files import FILES
from tiercel_api.services import SERVICES, ApiSettings
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import FileInput
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.values import LIST_TYPES

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"


class Form:
    """What a request gave for the inputs of an execution.

    Attributes:
        values: input id -> text, or the address of a stored file.
        stored: addresses of the files that were stored for this request.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.stored: list[str] = []

    def give(self, name: str, text: str, definition: Input | None) -> None:
        """Take a text. A list may come as JSON, or one by one under the same name."""
        before = self.values.get(name)
        if before is not None and definition is not None and definition.type in LIST_TYPES:
            self.values[name] = [*(before if isinstance(before, list) else [before]), text]
        else:
            self.values[name] = text

    async def discard(self, request: web.Request) -> None:
        """Remove the stored files: no execution will own them."""
        for uri in self.stored:
            await request.app[FILES].delete(uri)


async def read_form(
    request: web.Request,
    flow: Flow,
    execution_id: str | None,
    inputs: Sequence[Input] | None = None,
) -> Form:
    """Read the body.

    Args:
        inputs: the definitions that it gives values for; None: those of the flow.
        execution_id: the execution that files are stored for; None: they are read past, and
            their input is given a made-up address.

    Raises:
        UnsupportedMediaType: the body is no form.
        BodyTooLarge: its texts or its files pass their limit.
        BadRequest: it is a form that does not read, or one of too many parts.
    """
    form = Form()
    if not request.can_read_body:
        return form
    kind = media_type(request)
    try:
        if kind == MULTIPART:
            definitions = flow.inputs if inputs is None else inputs
            await _FormReader(request, flow, execution_id, form, definitions).read()
        elif kind == URLENCODED:
            await _read_urlencoded(request, form, flow.inputs if inputs is None else inputs)
        else:
            raise UnsupportedMediaType(kind, (MULTIPART,))
    except BaseException:
        await form.discard(request)
        raise
    return form


async def _read_urlencoded(request: web.Request, form: Form, definitions: Sequence[Input]) -> None:
    settings = request.app[SERVICES].settings
    body = await read_body(request, "form text", settings.text_bytes_max)
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=settings.parts_max,
            errors="strict",
        )
    except ValueError as error:
        raise BadRequest(f"Expected a form, but {error}.") from None
    by_id = {definition.id: definition for definition in definitions}
    for name, text in pairs:
        form.give(name, text, by_id.get(name))


class _FormReader:
    """Reads one multipart body, part by part."""

    def __init__(
        self,
        request: web.Request,
        flow: Flow,
        execution_id: str | None,
        form: Form,
        definitions: Sequence[Input],
    ) -> None:
        self._request = request
        self._flow = flow
        self._execution_id = execution_id
        self._form = form
        self._settings: ApiSettings = request.app[SERVICES].settings
        self._inputs: dict[str, Input] = {definition.id: definition for definition in definitions}
        self._text_bytes = 0
        self._file_bytes = 0

    async def read(self) -> None:
        with reading_form():
            reader = await self._request.multipart()
            parts = 0
            while (part := await next_part(reader)) is not None:
                parts += 1
                if parts > self._settings.parts_max:
                    raise BadRequest(f"Expected at most {self._settings.parts_max} parts.")
                if isinstance(part, BodyPartReader):
                    await self._take(part)

    async def _take(self, part: BodyPartReader) -> None:
        name, filename = part_names(part)
        if filename is None:
            self._form.give(name, await self._text(part), self._inputs.get(name))
            return
        input_id = self._file_input(name, filename)
        if input_id is None:
            await part.release()
        elif isinstance(self._inputs.get(input_id), FileInput):
            await self._store(part, input_id, filename)
        else:
            self._form.values[input_id] = await self._text(part)

    def _file_input(self, name: str, filename: str) -> str | None:
        """The input that a file is for; None when there is no such input."""
        if name in self._inputs:
            return name
        if filename in self._inputs:
            return filename
        stem = filename.partition(".")[0]
        return stem if stem in self._inputs else None

    async def _text(self, part: BodyPartReader) -> str:
        text, size = await read_text(part, self._settings.text_bytes_max - self._text_bytes)
        self._text_bytes += size
        return text

    async def _store(self, part: BodyPartReader, input_id: str, filename: str) -> None:
        left = self._settings.upload_bytes_max - self._file_bytes
        files = self._request.app[FILES]
        if self._execution_id is None:
            await part.release()
            self._form.values[input_id] = f"kestra:///{self._flow.namespace}/{input_id}"
            return
        uri = files.input_uri(self._flow, self._execution_id, input_id, filename)
        self._form.stored.append(uri)
        self._file_bytes += await files.receive(part, uri, left)
        self._form.values[input_id] = uri


async def read_text(part: BodyPartReader, bytes_max: int) -> tuple[str, int]:
    """A part's content as text, and its size in bytes.

    Raises:
        BodyTooLarge: it is larger than `bytes_max`.
        HttpError: it did not come in time.
    """
    data = bytearray()
    async with in_time():
        while chunk := await part.read_chunk():
            data += chunk
            if len(data) > bytes_max:
                raise BodyTooLarge("text", bytes_max)
    return part.decode(bytes(data)).decode(errors="replace"), len(data)


async def next_part(reader: MultipartReader) -> BodyPartReader | MultipartReader | None:
    """The next part; None: there is no more. Raises HttpError: it did not come in time."""
    async with in_time():
        return await reader.next()


async def find_part(reader: MultipartReader, name: str) -> BodyPartReader:
    """The first part of this name; those before it are passed over.

    Raises:
        BadRequest: the form has none.
        HttpError: it did not come in time.
    """
    while (part := await next_part(reader)) is not None:
        if isinstance(part, BodyPartReader) and part_names(part)[0] == name:
            return part
    raise BadRequest(f"Required part [{name}] not specified")


def part_names(part: BodyPartReader) -> tuple[str, str | None]:
    """The part's name, and its file name when it is a file.

    The standard library reads the header: aiohttp's own `part.name` costs ten times as much.
    """
    header = Message()
    header["Content-Disposition"] = part.headers.get("Content-Disposition", "")
    name = header.get_param("name", "", "Content-Disposition")
    return collapse_rfc2231_value(name or ""), header.get_filename()
