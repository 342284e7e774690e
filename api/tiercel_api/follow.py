"""Server-sent events: an execution, or its log, as it goes on.

What the log says wakes a stream; what it sends comes from the read model once that has caught up.
Events that follow closely on each other are sent as one: a stream costs what its reader reads,
not what the execution does. Nothing runs for a stream that waits.

Every event carries its position as its id: the number of the newest event that an execution's
document holds, the offset of a log line. Both are places in the log, so a reader that comes back
with `Last-Event-ID`, to whatever server, goes on behind it. The last event of an execution has the
id `end`, as in Kestra, where clients look for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from tiercel_api.answers import cut
from tiercel_api.connections import is_over, woken_at_end
from tiercel_api.errors import HttpError
from tiercel_engine.clock import iso
from tiercel_engine.errors import TiercelError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.telemetry import metrics
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.logs import LogEntry

log = get_logger(component="api")

T = TypeVar("T")

#: A reader that takes nothing for this long is cut off. What waits for it meanwhile is one event
#: and what the connection buffers (64 KiB).
WRITE_TIMEOUT_S = 10.0
#: A comment line is sent this often when there is nothing else, so that a dead reader is noticed.
KEEP_ALIVE_S = 15.0
#: Live log lines, and their bytes, that wait for a reader. When there are more, all are forgotten
#: and read again from where they are stored.
LINES_MAX = 2_000
LINES_BYTES_MAX = 1_048_576
#: When readers shall come back to another server, in milliseconds; spread, so that not all do so at
#: the same moment.
RETRY_MS_MIN, RETRY_MS_MAX = 500, 3_000
LAST_EVENT_ID = "Last-Event-ID"
#: Id of an execution's last event.
END = "end"


class Followers:
    """The open streams of this process. Belongs to the event loop."""

    def __init__(self, streams_max: int) -> None:
        self._streams_max = streams_max
        self._streams: set[EventStream] = set()
        self._reading: dict[Hashable, asyncio.Future[Any]] = {}

    async def shared(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `read` gives, or what it gives to whoever asked for the same and waits now."""
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.ensure_future(read())
            self._reading[key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        result: T = await asyncio.shield(reading)
        return result

    @asynccontextmanager
    async def stream(
        self, request: web.Request, waker: Callable[[], object]
    ) -> AsyncIterator[EventStream]:
        """An open stream of server-sent events.

        Args:
            waker: lets whoever waits for the next event look at `is_open`.

        Raises:
            HttpError: there are too many already, or the server stops.
        """
        if len(self._streams) >= self._streams_max or is_over(request):
            raise HttpError(503, "Service Unavailable", "Too many streams are open.")
        stream = EventStream(request)
        self._streams.add(stream)
        metrics.API_STREAMS.set(len(self._streams))
        try:
            with woken_at_end(request, waker):
                await stream.open()
                yield stream
                await stream.close()
        except (TiercelError, ConnectionError) as error:
            # The head is out: what fails now can only cut the stream.
            log.warning("stream_cut", path=request.path, error=str(error))
            stream.cut("failed")
        finally:
            self._streams.discard(stream)
            metrics.API_STREAMS.set(len(self._streams))


FOLLOWERS = web.AppKey("followers", Followers)


class EventStream:
    """One stream of server-sent events.

    Attributes:
        position: id of the last event that the reader has seen; None: it begins.
        has_seen_end: it has seen the last one.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        self.position = last_position(request)
        self._is_cut = self._has_ended = False
        self._written_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether to send more; false once the reader has gone or the server stops."""
        return not self._is_cut and not is_over(self._request)

    @property
    def silence_s(self) -> float:
        """How long to wait for something to send before `keep_alive` is due."""
        return max(0.0, self._written_at + KEEP_ALIVE_S - time.monotonic())

    async def open(self) -> None:
        await self.response.prepare(self._request)

    async def close(self) -> None:
        """Tell a reader whose stream did not come to its end to come back."""
        if not self._has_ended and not self._is_cut:
            retry_ms = random.randint(RETRY_MS_MIN, RETRY_MS_MAX)
            await self._write(b"event: reconnect\nretry: %d\ndata:\n\n" % retry_ms)

    def cut(self, reason: str) -> None:
        """Close the connection at once."""
        if not self._is_cut:
            metrics.API_STREAMS_CUT.labels(reason).inc()
        self._is_cut = True
        cut(self._request)

    async def send(self, event_id: str | int, data: bytes) -> None:
        """Send one event of JSON text; cut the reader off when it does not take it in time."""
        self._has_ended = event_id == END
        await self._write(b"id: %b\ndata: %b\n\n" % (str(event_id).encode(), data))

    async def keep_alive(self) -> None:
        """Send a comment when nothing was sent for a while."""
        if self.silence_s == 0.0:
            await self._write(b": \n\n")

    async def _write(self, data: bytes) -> None:
        if self._is_cut:
            return
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self.response.write(data)
        except TimeoutError:
            self.cut("slow")
        except ConnectionError:
            self.cut("gone")
        self._written_at = time.monotonic()


def last_position(request: web.Request) -> int | None:
    """The position in `Last-Event-ID`; None: there is none that we gave."""
    text = request.headers.get(LAST_EVENT_ID, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


class LogLines:
    """The lines of one execution's log that came since the stream began, within bounds.

    Attributes:
        missed: offset up to which lines must be read from where they are stored; None: none must.
    """

    def __init__(self) -> None:
        self.missed: int | None = None
        self._lines: deque[tuple[int, LogEntry]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def __call__(self, record: Any, offset: int) -> None:
        """Take one record of the logs topic."""
        if not isinstance(record, LogEntry):
            return
        size = len(record.message)
        if self._lines and (len(self._lines) >= LINES_MAX or self._bytes + size > LINES_BYTES_MAX):
            self.missed = offset + 1
            self._lines.clear()
            self._bytes = 0
        elif self.missed is not None:
            self.missed = offset + 1
        else:
            self._lines.append((offset, record))
            self._bytes += size
        self._changed.set()

    def wake(self) -> None:
        """Let `next` return."""
        self._changed.set()

    def take_missed(self) -> int | None:
        """The offset up to which lines were missed, once."""
        missed, self.missed = self.missed, None
        return missed

    async def next(self, timeout_s: float) -> list[tuple[int, LogEntry]]:
        """Offsets and lines that came since the last call; empty when none did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return []
        self._changed.clear()
        lines = list(self._lines)
        self._lines.clear()
        self._bytes = 0
        return lines


def log_document(entry: LogEntry) -> JsonObject:
    """A log line as it is answered."""
    document: JsonObject = {
        "namespace": entry.namespace,
        "flowId": entry.flow_id,
        "taskId": entry.task_id,
        "executionId": entry.execution_id,
        "taskRunId": entry.task_run_id,
        "triggerId": entry.trigger_id,
        "attemptNumber": entry.attempt - 1,
        "timestamp": iso(entry.at_us),
        "level": entry.level,
        "thread": entry.thread,
        "message": entry.message,
        "deleted": False,
    }
    return {name: value for name, value in document.items() if value is not None}
