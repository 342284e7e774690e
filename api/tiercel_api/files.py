"""Internal storage as the event loop sees it: streams in and out, large values, claim checks.

Nothing is held as a whole but values that are JSON: uploads and downloads pass through in blocks,
a bounded number of them at a time.
"""

from __future__ import annotations

import asyncio
import queue
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast

from aiohttp import BodyPartReader, StreamReader, web

from tiercel_api.answers import cut, encode_json
from tiercel_api.bodies import PIECE_TIMEOUT_S, in_time
from tiercel_api.errors import BodyTooLarge, HttpError
from tiercel_engine.errors import TiercelError
from tiercel_engine.flow.model import Flow
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.storage import uri as addresses
from tiercel_engine.storage.claims import INLINE_BYTES_MAX, pack, redeem
from tiercel_engine.storage.objects import Storage
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.common import ClaimCheck, Payload

log = get_logger(component="api")

P = ParamSpec("P")
T = TypeVar("T")

BLOCK_BYTES = 1_048_576
#: Blocks of one upload between the socket and storage.
BLOCKS_MAX = 4
#: How long the storing thread waits for a block: longer than a client may take for one.
BLOCK_TIMEOUT_S = 2 * PIECE_TIMEOUT_S
#: A download of which nothing is taken for this long is given up.
DOWNLOAD_TIMEOUT_S = 60.0
#: Values behind claim checks that one document is filled with; later ones stay claim checks.
CLAIMED_BYTES_MAX = 8 * 1_048_576
#: The one key of a value that lies in storage; below it stands the claim check.
CLAIM = "$claim"
_FOLDERS = re.compile(r"[/\\]")


class Files:
    """Internal storage, off the event loop."""

    def __init__(self, storage: Storage, threads: int) -> None:
        self._storage = storage
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api-file")

    def close(self) -> None:
        """Wait for what runs, start nothing more."""
        self._threads.shutdown()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function that uses storage gives, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    def input_uri(self, flow: Flow, execution_id: str, input_id: str, name: str) -> str:
        """Where the file of an input lies; `name`: as its sender called it."""
        last = _last_name(name, input_id)
        return addresses.input_file(flow.namespace, flow.id, execution_id, input_id, last)

    def trigger_uri(self, flow: Flow, execution_id: str, trigger_id: str, *names: str) -> str:
        """Where a file that came with a call lies; the last name is as its sender called it."""
        place = "/".join((*names[:-1], _last_name(names[-1], "file")))
        return addresses.trigger_file(flow.namespace, flow.id, execution_id, trigger_id, place)

    async def receive(self, part: BodyPartReader | StreamReader, uri: str, bytes_max: int) -> int:
        """Store one part of a form, or a whole body; return its size in bytes.

        Raises:
            BodyTooLarge: it has more than `bytes_max` bytes; nothing is stored.
            TransientError: storage does not take it.
        """
        return await self._receive(
            part, lambda pipe: self._storage.put_stream(uri, pipe), bytes_max
        )

    async def receive_local(self, part: BodyPartReader, path: Path, bytes_max: int) -> int:
        """Write one part of a form into a local file; as `receive`."""
        return await self._receive(part, lambda pipe: _write(pipe, path), bytes_max)

    async def _receive(
        self,
        part: BodyPartReader | StreamReader,
        store: Callable[[Iterable[bytes]], int],
        bytes_max: int,
    ) -> int:
        pipe = _Pipe()
        writing = asyncio.ensure_future(self.call(store, pipe))
        size = 0
        try:
            while block := await _next_block(part):
                size += len(block)
                if size > bytes_max:
                    raise BodyTooLarge("files", bytes_max)
                await pipe.put(block, writing)
        except BaseException as error:
            pipe.end(error)
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()
            raise
        pipe.end(None)
        await writing
        return size

    async def delete(self, uri: str) -> None:
        """Remove a file if it is there."""
        await self.call(self._storage.delete, uri)

    async def delete_execution(self, namespace: str, flow_id: str, execution_id: str) -> int:
        """Remove every file of an execution; return how many there were."""
        root = addresses.execution_root(namespace, flow_id, execution_id)
        return await self.call(self._storage.delete_prefix, root)

    async def open(self, uri: str) -> BinaryIO:
        """Its content as a stream that can seek; close it. Raises NotFound."""
        return await self.call(self._storage.open, uri)

    async def size(self, uri: str) -> int:
        """Its size in bytes. Raises NotFound."""
        return await self.call(self._storage.size, uri)

    async def send(self, request: web.Request, uri: str, name: str) -> web.StreamResponse:
        """Answer with a file's content, as an attachment, or with the range that is asked for.

        Raises:
            NotFound: there is no such file.
            HttpError: the range lies outside of it.
        """
        size = await self.size(uri)
        first, last = asked_range(request, size)
        source = await self.call(self._storage.open, uri)
        try:
            headers = {
                "Content-Disposition": f"attachment; filename*=utf-8''{name}",
                "Accept-Ranges": "bytes",
            }
            if (first, last) == (0, size):
                return await self.pour(request, source, size, headers)
            await self.call(source.seek, first)
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
            part = cast(BinaryIO, _Part(source, last - first))
            return await self.pour(request, part, last - first, headers, status=206)
        finally:
            await self.call(source.close)

    async def pour(
        self,
        request: web.Request,
        source: BinaryIO,
        size_bytes: int,
        headers: Mapping[str, str],
        status: int = 200,
    ) -> web.StreamResponse:
        """Answer with what a stream of known size gives."""
        response = web.StreamResponse(
            status=status,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size_bytes),
                **headers,
            },
        )
        await response.prepare(request)
        await self._pour(request, response, source)
        return response

    async def _pour(
        self, request: web.Request, response: web.StreamResponse, source: BinaryIO
    ) -> None:
        """Send all of `source`. The head is out: what fails now can only cut the connection."""
        try:
            while block := await self.call(source.read, BLOCK_BYTES):
                await asyncio.wait_for(response.write(block), DOWNLOAD_TIMEOUT_S)
            await response.write_eof()
        except (TiercelError, TimeoutError, ConnectionError) as error:
            log.warning("download_cut", path=request.path, error=str(error))
            cut(request)

    async def payload(self, flow: Flow, execution_id: str, name: str, value: Any) -> Payload:
        """How a value travels in the log: as it is, or as a claim check when it is large.

        `name` tells such values of one execution apart. None gives the empty payload.
        """
        if value is None:
            return Payload()
        text = encode_json(value)
        if len(text) <= INLINE_BYTES_MAX:
            return Payload(json=text.decode())
        uri = addresses.execution_value(flow.namespace, flow.id, execution_id, f"{name}.json")
        return await self.call(pack, value, self._storage, uri)

    async def value(self, value: Any) -> Any:
        """A value of the read model; one behind a claim check is taken from storage, of any size.

        Raises:
            NotFound: it is gone from there.
        """
        if not _is_claim(value):
            return value
        return await self.call(redeem, ClaimCheck(**value[CLAIM]), self._storage)

    async def redeemed(self, document: JsonObject) -> JsonObject:
        """An execution with the values behind its claim checks in place, as far as bounds allow."""
        if not any(_is_claim(holder[name]) for holder, name in _places(document)):
            return document
        return await self.call(self._redeem, document)

    def _redeem(self, document: JsonObject) -> JsonObject:
        left = CLAIMED_BYTES_MAX
        for holder, name in _places(document):
            value = holder[name]
            if _is_claim(value) and value[CLAIM]["size_bytes"] <= left:
                left -= value[CLAIM]["size_bytes"]
                holder[name] = redeem(ClaimCheck(**value[CLAIM]), self._storage)
        return document


def asked_range(request: web.Request, size_bytes: int) -> tuple[int, int]:
    """(first byte, byte behind the last) that the request asks for; all when it does not say.

    Raises:
        HttpError: the range does not read, or lies outside.
    """
    if "Range" not in request.headers:
        return 0, size_bytes
    try:
        asked = request.http_range
    except ValueError:
        raise HttpError(416, "Requested Range Not Satisfiable", "Expected bytes=a-b.") from None
    first = 0 if asked.start is None else asked.start
    first = max(0, size_bytes + first) if first < 0 else first
    last = size_bytes if asked.stop is None else min(asked.stop, size_bytes)
    if first >= last:
        raise HttpError(416, "Requested Range Not Satisfiable", f"There are {size_bytes} bytes.")
    return first, last


class _Part:
    """The next bytes of a stream, and no more."""

    def __init__(self, source: BinaryIO, left_bytes: int) -> None:
        self._source = source
        self._left_bytes = left_bytes

    def read(self, count: int) -> bytes:
        block = self._source.read(min(count, self._left_bytes))
        self._left_bytes -= len(block)
        return block


def _is_claim(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and CLAIM in value


def _places(document: JsonObject) -> Iterator[tuple[JsonObject, str]]:
    """Where in an execution a claim check may stand."""
    for name in ("inputs", "outputs", "trigger"):
        if name in document:
            yield document, name
    for task_run in document.get("taskRunList") or ():
        if "outputs" in task_run:
            yield task_run, "outputs"


def _last_name(name: str, otherwise: str) -> str:
    """A file's name without folders; `otherwise` when nothing of it can be a name."""
    last = _FOLDERS.split(name)[-1].replace("\0", "")
    return otherwise if last in ("", ".", "..") else last


async def _next_block(part: BodyPartReader | StreamReader) -> bytes:
    """The next piece of the part's content, about `BLOCK_BYTES`; empty at its end."""
    read = part.read_chunk if isinstance(part, BodyPartReader) else part.read
    block = bytearray()
    async with in_time():
        while len(block) < BLOCK_BYTES and (chunk := await read(65_536)):
            block += chunk
    return bytes(block)


def _write(chunks: Iterable[bytes], path: Path) -> int:
    with path.open("wb") as file:
        return sum(file.write(chunk) for chunk in chunks)


class _Pipe:
    """Blocks from the event loop to the thread that stores them, `BLOCKS_MAX` at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._blocks: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(BLOCKS_MAX)

    async def put(self, block: bytes, writing: asyncio.Future[int]) -> None:
        """Hand a block over; raises what `writing` failed with when it has."""
        room = asyncio.ensure_future(self._room.acquire())
        either: set[asyncio.Future[Any]] = {room, writing}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            room.cancel()
            writing.result()
        self._blocks.put(block)

    def end(self, error: BaseException | None) -> None:
        """No more blocks; with an error, nothing shall be stored."""
        self._blocks.put(error)

    def __iter__(self) -> Iterator[bytes]:
        """Runs in the storing thread."""
        while True:
            try:
                block = self._blocks.get(timeout=BLOCK_TIMEOUT_S)
            except queue.Empty:
                raise TimeoutError("Expected more of the upload, but nothing came.") from None
            if block is None:
                return
            if isinstance(block, BaseException):
                raise block
            yield block
            self._loop.call_soon_threadsafe(self._room.release)


FILES = web.AppKey("files", Files)
