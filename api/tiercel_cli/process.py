"""The life of one process: roles in threads, the API in the main thread, one orderly end.

Theory of operation:
1. The API's address is taken first, so that a taken one stops before anything has started.
2. Each role's `run` is one thread. The process is ready once every role is and the API listens.
3. It runs until a signal, the end of standard input (when asked), or the end of a role. A role
   that ends by itself has failed: the process says why and stops with exit code 1.
4. The stop: at once the API is not ready, starts nothing new, and lets streams and held requests
   end. Workers drain while clients can still look; then the API takes no more requests, lets those
   that run end, and closes; then the others stop, in order, so that what was finished is decided
   and indexed. A role that does not stop in time is given up.

It knows nothing about what a role does or which adapters it uses.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aiohttp import web

from tiercel_api.connections import CONNECTIONS, BoundedRunner
from tiercel_cli.address import tell_address
from tiercel_cli.exposure import tls_context
from tiercel_cli.presence import BEAT_S, Owned, Presence
from tiercel_engine.config import Settings
from tiercel_engine.errors import Conflict
from tiercel_engine.telemetry.logging import bind_context, get_logger
from tiercel_engine.telemetry.metrics import ROLE_READY

#: Seconds between two looks at whether the roles are ready.
READY_POLL_S = 0.02
#: Seconds between two lines that say which roles are not ready yet.
READY_WARNING_S = 15.0
#: Seconds that answers get to be sent when the API stops.
REQUESTS_END_S = 3.0
#: Files and sockets besides the connections that the API takes.
OTHER_FILES = 1_000
#: Connections that may wait to be accepted.
BACKLOG = 1024

log = get_logger()


class Address(NamedTuple):
    """Where to listen; port 0 takes a free one. `option` is where its port can be changed.

    `serves_api`: whether tasks of this machine find the API there.
    """

    host: str
    port: int
    option: str = "--port"
    serves_api: bool = True


class Runnable(Protocol):
    """A role: `run` blocks until `stop` was called from another thread, then cleans up."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Role:
    """One role of this process. `is_ready` and `owned` may be asked from any thread.

    Attributes:
        drains: it stops while the API still answers.
        owned: the partitions that it owns now.
    """

    name: str
    service: Runnable
    is_ready: Callable[[], bool]
    drains: bool = False
    owned: Owned = tuple

    def run(self) -> None:
        bind_context(role=self.name)
        self.service.run()


class RoleProcess:
    """Runs roles and, where there is one, the application that serves the API or metrics."""

    def __init__(
        self, settings: Settings, roles: Sequence[Role], presence: Presence | None = None
    ) -> None:
        """`roles` in the order in which they stop. `presence` says how they stand; it is closed."""
        self._settings = settings
        self._roles = roles
        self._presence = presence
        self._stopping = asyncio.Event()

    def is_ready(self) -> bool:
        """Whether every role takes work."""
        return all(role.is_ready() for role in self._roles) and not self._stopping.is_set()

    async def run(
        self,
        app: web.Application | None,
        ready: Callable[[str | None], None],
        stops_with_stdin: bool = False,
        address: Address | None = None,
    ) -> int:
        """Run until stopped; return the exit code. `ready` gets the application's address, if any.

        Args:
            address: where the application listens; by the settings when None.

        Raises:
            Conflict: something else listens at the API's address; nothing was started.
            InvalidSettings: the certificate does not hold; nothing was started.
        """
        context = tls_context(self._settings)
        address = address or Address(self._settings.host, self._settings.port)
        listener = _listen(address) if app is not None else None
        if listener is not None:
            _allow_files(self._settings.connections_max + OTHER_FILES)
        self._expect_stop(stops_with_stdin)
        pool = ThreadPoolExecutor(max(len(self._roles), 1), thread_name_prefix="role")
        ends = {r.name: asyncio.wrap_future(pool.submit(r.run)) for r in self._roles}
        server, url = None, None
        if app is not None and listener is not None:
            server, url = await self._serve(app, listener, context)
            if address.serves_api:
                tell_address(self._settings, url)
        watcher = asyncio.create_task(self._watch_ready(url, ready))
        beating = asyncio.create_task(self._beat_forever())
        stopping = asyncio.create_task(self._stopping.wait())
        waited: list[asyncio.Future[Any]] = [stopping, *ends.values()]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        watcher.cancel()
        stopping.cancel()
        beating.cancel()
        failed = self._report_failures(ends)
        given_up = await self._stop_all(server, ends)
        await self._say_last(failed or given_up)
        pool.shutdown(wait=not given_up)
        return 1 if failed or given_up else 0

    async def _beat_forever(self) -> None:
        while self._presence is not None:
            self._presence.beat("RUNNING" if self.is_ready() else "CREATED")
            await asyncio.sleep(BEAT_S)

    async def _say_last(self, has_failed: bool) -> None:
        if self._presence is not None:
            state = "ERROR" if has_failed else "TERMINATED_GRACEFULLY"
            await asyncio.to_thread(self._presence.end, state)
            self._presence.close()

    def _expect_stop(self, stops_with_stdin: bool) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        if stops_with_stdin:
            on_stdin_end(self._stopping.set)

    def _interrupted(self) -> None:
        if self._stopping.is_set():
            # Whoever presses Ctrl-C twice does not want to wait; the log survives it by design.
            log.warning("stopped_at_once")
            os._exit(1)
        self._stopping.set()

    async def _serve(
        self, app: web.Application, listener: socket.socket, context: ssl.SSLContext | None
    ) -> tuple[web.AppRunner, str]:
        server = BoundedRunner(app, handle_signals=False, shutdown_timeout=REQUESTS_END_S)
        await server.setup()
        await web.SockSite(server, listener, ssl_context=context).start()
        host, port = listener.getsockname()[:2]
        scheme = "http" if context is None else "https"
        return server, f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def _watch_ready(self, url: str | None, ready: Callable[[str | None], None]) -> None:
        waiting = list(self._roles)
        loop = asyncio.get_running_loop()
        warn_at = loop.time() + READY_WARNING_S
        while waiting:
            if loop.time() >= warn_at:
                log.warning("not_ready_yet", roles=[role.name for role in waiting])
                warn_at += READY_WARNING_S
            for role in [r for r in waiting if r.is_ready()]:
                ROLE_READY.labels(role.name).set(1)
                waiting.remove(role)
            await asyncio.sleep(READY_POLL_S)
        log.info("ready", url=url)
        if self._presence is not None:
            self._presence.beat("RUNNING")
        ready(url)

    def _report_failures(self, ends: dict[str, asyncio.Future[None]]) -> bool:
        failed = {name: end.exception() for name, end in ends.items() if end.done()}
        for name, error in failed.items():
            reason = f"{type(error).__name__}: {error}" if error else "it ended by itself"
            log.error("role_failed", role=name, reason=reason, exc_info=error)
        return bool(failed)

    async def _stop_all(
        self, server: web.AppRunner | None, ends: dict[str, asyncio.Future[None]]
    ) -> bool:
        self._stopping.set()
        log.info("stopping")
        if self._presence is not None:
            self._presence.beat("TERMINATING")
        connections = None if server is None else server.app.get(CONNECTIONS)
        if connections is not None:
            connections.end()
        kept = [await self._stop(role, ends[role.name]) for role in self._roles if role.drains]
        if connections is not None and not await connections.close(self._settings.api_drain_s):
            log.warning("requests_cut", after_s=self._settings.api_drain_s)
        if server is not None:
            await server.cleanup()
        kept += [await self._stop(r, ends[r.name]) for r in self._roles if not r.drains]
        log.info("stopped")
        return any(kept)

    async def _stop(self, role: Role, end: asyncio.Future[None]) -> bool:
        """Stop one role; return whether it did not stop in time."""
        ROLE_READY.labels(role.name).set(0)
        was_running = not end.done()
        role.service.stop()
        await asyncio.wait([end], timeout=self._settings.stop_timeout_s)
        if not end.done():
            log.error("role_did_not_stop", role=role.name)
            return True
        if was_running and (error := end.exception()) is not None:
            log.error("role_failed", role=role.name, reason=str(error), exc_info=error)
        return False


def _allow_files(count: int) -> None:
    """Let this process have so many files and sockets open, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < count:
        log.warning("few_open_files", allowed=soft, wanted=count)


def _listen(address: Address) -> socket.socket:
    host, port, option = address.host, address.port, address.option
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Conflict(
            f"Cannot listen on {host} port {port} ({error.strerror}). Stop what listens there, "
            f"or choose another port with {option}."
        ) from None


def on_stdin_end(callback: Callable[[], object]) -> None:
    """Call once standard input ends: whoever started us has gone. In the event loop."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            callback()

    loop.add_reader(descriptor, read)
