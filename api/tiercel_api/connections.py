"""The connections of the HTTP server, within bounds: how many, how slow, how much before a request.

aiohttp bounds one line and the number of headers, and closes idle connections. It does not bound
how long a request's head may take, how many connections there are, or how long a client may leave
its answer lying. A `Connection` stands between the transport and aiohttp's protocol and sees to
that; it also tells whoever waits for a client that the client has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from tiercel_api.bounds import Bounds
from tiercel_api.errors import RETRY_AFTER_S, Handler, HttpError
from tiercel_api.lags import starts_work
from tiercel_engine.telemetry import metrics
from tiercel_engine.telemetry.logging import get_logger

log = get_logger(component="api")

#: Unused connections are closed after this long; longer than proxies keep theirs.
KEEP_ALIVE_S = 75.0
#: What is told to the last.
OPERATION_ROUTES = frozenset({"/health", "/ready", "/ping", "/prometheus"})
ENDING = "This server stops. Ask another, or again in a moment."


class Connections:
    """The open connections of this process. Belongs to the event loop."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        #: The server stops: what waits shall end, and nothing new is started.
        self.is_ending = False
        #: It takes no more requests at all.
        self.is_closed = False
        self._open: set[Connection] = set()
        self._per_client: Counter[str] = Counter()
        #: Requests whose handler runs.
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, unless there are too many."""
        of_client = self._per_client[connection.address]
        if len(self._open) >= self.bounds.connections_max or (
            of_client >= self.bounds.per_client_max
        ):
            if not of_client:
                del self._per_client[connection.address]
            return False
        self._open.add(connection)
        self._per_client[connection.address] = of_client + 1
        return True

    def forget(self, connection: Connection) -> None:
        """A connection has gone."""
        if connection in self._open:
            self._open.remove(connection)
            self._per_client[connection.address] -= 1
            if not self._per_client[connection.address]:
                del self._per_client[connection.address]

    def end(self) -> None:
        """The server stops: wake everybody who waits for something on a client's behalf."""
        self.is_ending = True
        for connection in tuple(self._open):
            connection.wake()

    async def close(self, timeout_s: float) -> bool:
        """Take no more requests, and wait until none runs; False: some do after that time."""
        self.is_closed = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), timeout_s)
        return self._quiet.is_set()

    def begin(self) -> None:
        """The handler of a request begins to run."""
        self._running += 1
        self._quiet.clear()

    def finish(self) -> None:
        """It has run."""
        self._running -= 1
        if not self._running:
            self._quiet.set()


CONNECTIONS = web.AppKey("connections", Connections)


class Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol, and keeps the bounds."""

    def __init__(self, server: web.Server, connections: Connections) -> None:
        self.address = ""
        self._server = server
        self._all = connections
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._is_busy = self._is_used = False
        self._head_bytes = 0
        self._head_late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._wakers: dict[object, Callable[[], object]] = {}

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._all.admit(self):
            self._refuse("503 Service Unavailable", "connections")
            return
        self._inner = self._server()
        self._inner.connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            return
        if not self._is_busy:
            self._head_bytes += len(data)
            if self._head_bytes > self._all.bounds.head_bytes_max:
                self._refuse("431 Request Header Fields Too Large", "head_bytes")
                return
            if self._head_late is None:
                self._await_head()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        stall_s = self._all.bounds.stall_timeout_s
        self._stalled = asyncio.get_running_loop().call_later(stall_s, self._cut)
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._cancel_stall()
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._cancel_head()
        self._cancel_stall()
        self._transport = None
        self._all.forget(self)
        if self._inner is not None:
            self._inner.connection_lost(error)
        self.wake()

    # -- the handlers' side

    @property
    def is_gone(self) -> bool:
        """Whether nobody will read an answer any more."""
        return self._transport is None or self._transport.is_closing()

    def begin(self) -> None:
        """A request, whose head is whole, is handled from now on."""
        self._cancel_head()
        self._head_bytes = 0
        self._is_busy = self._is_used = True

    def finish(self) -> None:
        """It has been handled."""
        self._is_busy = False

    @contextmanager
    def waking(self, waker: Callable[[], object]) -> Iterator[None]:
        """Call `waker` when the client goes, or the server ends, within this block."""
        key = object()
        self._wakers[key] = waker
        try:
            yield
        finally:
            del self._wakers[key]

    def wake(self) -> None:
        """Call all wakers."""
        for waker in tuple(self._wakers.values()):
            waker()

    # -- bounds

    def _await_head(self) -> None:
        loop = asyncio.get_running_loop()
        timeout_s = self._all.bounds.head_timeout_s
        self._head_late = loop.call_later(
            timeout_s, self._refuse, "408 Request Timeout", "head_timeout"
        )

    def _cancel_head(self) -> None:
        if self._head_late is not None:
            self._head_late.cancel()
            self._head_late = None

    def _cancel_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, status: str, reason: str) -> None:
        """Answer without reading on, and close. The head is not whole, so no handler runs.

        What comes on a used connection may be the rest of a body that nobody wanted: only closed.
        """
        metrics.API_REFUSED.labels(reason).inc()
        log.warning("connection_refused", reason=reason, address=self.address)
        self._cancel_head()
        if self._transport is not None:
            if not self._is_used:
                head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                self._transport.write(f"{head}Connection: close\r\n\r\n".encode())
            self._transport.close()

    def _cut(self) -> None:
        """The client takes nothing: give it up, with what is ready for it."""
        metrics.API_REFUSED.labels("stalled").inc()
        log.warning("connection_cut", reason="stalled", address=self.address)
        if self._transport is not None:
            self._transport.abort()


class _Unreadable(logging.Filter):
    """Counts what is no HTTP, instead of a stack trace for each: anybody can send it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        metrics.API_REFUSED.labels("unreadable").inc()
        return False


class BoundedRunner(web.AppRunner):
    """Runs an application whose connections keep their bounds."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        if not any(isinstance(known, _Unreadable) for known in server_logger.filters):
            server_logger.addFilter(_Unreadable())
        super().__init__(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, **options)

    @property
    def server(self) -> Any:
        """What makes the protocol of a connection."""
        inner = super().server
        connections = self.app.get(CONNECTIONS)
        if inner is None or connections is None:
            return inner
        return partial(Connection, inner, connections)


def connection_of(request: web.Request) -> Connection | None:
    """The connection that a request came by; None: it has gone, or is not one of ours."""
    transport = request.transport
    protocol = None if transport is None else transport.get_protocol()
    return protocol if isinstance(protocol, Connection) else None


def is_over(request: web.Request) -> bool:
    """Whether to stop working for a request: its client has gone, or the server ends."""
    transport = request.transport
    is_gone = transport is None or transport.is_closing()
    return is_gone or request.app[CONNECTIONS].is_ending


@contextmanager
def woken_at_end(request: web.Request, waker: Callable[[], object]) -> Iterator[None]:
    """Call `waker` when it is time to ask `is_over`."""
    connection = connection_of(request)
    if connection is None:
        yield
        return
    with connection.waking(waker):
        yield


@web.middleware
async def keep_bounds(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the bounds know which requests run, and take none that cannot end in time.

    Raises:
        HttpError: 503, the server stops.
    """
    connections = request.app[CONNECTIONS]
    connection = connection_of(request)
    connections.begin()
    if connection is not None:
        connection.begin()
    try:
        if connections.is_ending and _comes_too_late(request, connections):
            raise HttpError(503, "Service Unavailable", ENDING, RETRY_AFTER_S)
        return await handler(request)
    finally:
        connections.finish()
        if connection is not None:
            connection.finish()


def _comes_too_late(request: web.Request, connections: Connections) -> bool:
    resource = request.match_info.route.resource
    pattern = "" if resource is None else resource.canonical
    if pattern in OPERATION_ROUTES:
        return False
    return connections.is_closed or starts_work(request.method, pattern)


async def close_when_ending(request: web.Request, response: web.StreamResponse) -> None:
    """Keep no connection for another request once the server stops."""
    if request.app[CONNECTIONS].is_ending:
        response.force_close()
        response.headers["Connection"] = "close"
