"""Server-sent events: an execution, or its log, as it goes on.

What the log says wakes a stream; what it sends comes from the read model once that has caught up.
Events that follow closely on each other are sent as one: a stream costs what its reader reads,
not what the execution does. A reader that does not keep up is cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tiercel_api.answers import cut
from tiercel_api.errors import HttpError
from tiercel_engine.clock import iso
from tiercel_engine.errors import TiercelError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.logs import LogEntry

log = get_logger(component="api")

#: A reader that takes nothing for this long is cut off.
WRITE_TIMEOUT_S = 10.0
#: A comment line is sent this often when there is nothing else, so that a dead reader is noticed.
KEEP_ALIVE_S = 15.0
#: Log lines that wait for a slow reader before it is cut off.
LINES_MAX = 10_000


class Followers:
    """The open streams of this process. Belongs to the event loop."""

    def __init__(self, streams_max: int) -> None:
        self._streams_max = streams_max
        self._streams: set[EventStream] = set()
        self.is_ending = False

    def end_all(self) -> None:
        """The server stops: let every stream end."""
        self.is_ending = True
        for stream in self._streams:
            stream.end()

    @asynccontextmanager
    async def stream(self, request: web.Request) -> AsyncIterator[EventStream]:
        """An open stream of server-sent events.

        Raises:
            HttpError: there are too many already.
        """
        if len(self._streams) >= self._streams_max or self.is_ending:
            raise HttpError(503, "Service Unavailable", "Too many streams are open.")
        stream = EventStream(request)
        self._streams.add(stream)
        try:
            await stream.open()
            yield stream
        except (TiercelError, ConnectionError) as error:
            # The head is out: what fails now can only cut the stream.
            log.warning("stream_cut", path=request.path, error=str(error))
            stream.cut()
        finally:
            self._streams.discard(stream)


FOLLOWERS = web.AppKey("followers", Followers)


class EventStream:
    """One stream of server-sent events. `is_open` turns false once the reader has gone."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        self.is_open = True
        self._written_at = time.monotonic()

    async def open(self) -> None:
        await self.response.prepare(self._request)

    def end(self) -> None:
        """Send nothing more."""
        self.is_open = False

    def cut(self) -> None:
        """Close the connection at once."""
        self.is_open = False
        cut(self._request)

    async def send(self, event_id: str, data: bytes) -> None:
        """Send one event of JSON text; cut the reader off when it does not take it in time."""
        await self._write(b"id: %b\ndata: %b\n\n" % (event_id.encode(), data))

    async def keep_alive(self) -> None:
        """Send a comment when nothing was sent for a while."""
        if time.monotonic() - self._written_at >= KEEP_ALIVE_S:
            await self._write(b": \n\n")

    async def _write(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            await asyncio.wait_for(self.response.write(data), WRITE_TIMEOUT_S)
        except (TimeoutError, ConnectionError):
            self.cut()
        self._written_at = time.monotonic()


class LogLines:
    """The lines of one execution's log that came since the stream began, without those shown.

    The stored lines are read after the live ones began to come in, so some may come both ways.
    """

    def __init__(self) -> None:
        self._lines: deque[JsonObject] = deque()
        self._shown: Counter[tuple[Any, ...]] = Counter()
        self._changed = asyncio.Event()
        self.is_overrun = False

    def __call__(self, record: Any) -> None:
        """Take one record of the logs topic."""
        if not isinstance(record, LogEntry):
            return
        if len(self._lines) >= LINES_MAX:
            self.is_overrun = True
        else:
            self._lines.append(log_document(record))
        self._changed.set()

    def forget(self, stored: list[JsonObject]) -> None:
        """These were shown already: leave each out once."""
        self._shown = Counter(map(_identity, stored))

    async def next(self, timeout_s: float) -> list[JsonObject]:
        """What came since the last call; empty when nothing did in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return []
        self._changed.clear()
        lines = []
        while self._lines:
            line = self._lines.popleft()
            identity = _identity(line)
            if self._shown[identity] > 0:
                self._shown[identity] -= 1
            else:
                lines.append(line)
        return lines


def _identity(line: JsonObject) -> tuple[Any, ...]:
    return (
        line["timestamp"],
        line["level"],
        line.get("message"),
        line.get("taskRunId"),
        line.get("attemptNumber"),
    )


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
