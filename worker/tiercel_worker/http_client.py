"""One HTTP request of a task: sent with aiohttp, its answer written into a local file as it comes.

Tasks run in threads; each request has an event loop of its own for as long as it takes. A kill or
a timeout of the task ends it at once.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp_socks import (
    ProxyConnectionError,
    ProxyConnector,
    ProxyError,
    ProxyTimeoutError,
    ProxyType,
)
from multidict import CIMultiDict

from tiercel_engine.errors import TaskError

REDIRECTS_MAX = 20
CONNECT_TIMEOUT_S = 30.0
#: How long a server may be silent.
READ_TIMEOUT_S = 300.0
BLOCK_BYTES = 256 << 10
USER_AGENT = "Tiercel"
HTTP = "http"


#: What becomes of a request that brings no answer; OSError has those of TLS and of time.
_FAILURES = (
    aiohttp.ClientError,
    ProxyError,
    ProxyConnectionError,
    ProxyTimeoutError,
    ValueError,
    OSError,
)


class NoAnswer(TaskError):
    """Nothing came back that could be read."""


class Cancellable(Protocol):
    """What may be told to stop."""

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call this when it is, or at once if it was."""

    def wait_cancelled(self, timeout_s: float) -> bool:
        """Wait; whether it was told to stop."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password."""

    user: str
    password: str

    def basic(self) -> str:
        """The header Authorization, or Proxy-Authorization."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Through what a request is sent. `scheme`: http, socks4 or socks5."""

    scheme: str
    host: str
    port: int
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a request is sent.

    Attributes:
        authorization: the header of that name, where the request has none.
        digest: answers a server that asks for a digest of these.
        tls: as aiohttp takes it; False leaves certificates unchecked.
    """

    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    follow_redirects: bool = True
    authorization: str | None = None
    digest: Login | None = None
    proxy: Proxy | None = None
    tls: ssl.SSLContext | bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form: text, or the content of a local file under a name."""

    name: str
    text: str | None = None
    path: Path | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `form`: the body as a form, of which `is_multipart` decides the kind."""

    method: str
    uri: str
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    query: Mapping[str, str | Sequence[str]] | None = None
    body: bytes | None = None
    form: Sequence[Part] | None = None
    is_multipart: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; its body is in the file. `size_bytes`: of the body, decompressed."""

    uri: str
    code: int
    headers: dict[str, list[str]]
    charset: str | None
    size_bytes: int


def fetch(
    context: Cancellable, request: Request, options: Options, target: Path, bytes_max: int
) -> Answer:
    """Send a request, write the answer's body to `target`.

    Raises:
        NoAnswer: no answer came. One that tells a failure is an answer.
        TaskError: its body has more than `bytes_max` bytes, or the attempt was cancelled.
    """
    return asyncio.run(_cancellable(context, _fetch(request, options, target, bytes_max)))


async def _cancellable(context: Cancellable, work: Any) -> Answer:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    context.on_cancel(stop)
    try:
        answer: Answer = await task
    except asyncio.CancelledError:
        raise TaskError("The request was stopped.") from None
    return answer


async def _fetch(request: Request, options: Options, target: Path, bytes_max: int) -> Answer:
    try:
        async with (
            _session(options) as session,
            session.request(
                request.method,
                request.uri,
                params=request.query,
                data=request.body if request.form is None else _Form(request),
                headers=_headers(request, options),
                allow_redirects=options.follow_redirects,
                max_redirects=REDIRECTS_MAX,
                ssl=options.tls,
                **_http_proxy(options.proxy),
            ) as response,
        ):
            size_bytes = await _receive(response, target, bytes_max)
            return Answer(
                str(response.url),
                response.status,
                {name: response.headers.getall(name) for name in response.headers},
                response.charset,
                size_bytes,
            )
    except _FAILURES as error:
        reason = str(error) or type(error).__name__
        raise NoAnswer(f"Request '{request.method} {request.uri}' failed: {reason}") from error


def _session(options: Options) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(
        # Proxies and handshakes included.
        connect=options.connect_timeout_s,
        sock_connect=options.connect_timeout_s,
        sock_read=options.read_timeout_s,
        total=None,
    )
    middlewares = []
    if options.digest is not None:
        login = options.digest
        middlewares.append(aiohttp.DigestAuthMiddleware(login.user, login.password))
    return aiohttp.ClientSession(
        timeout=timeout, middlewares=middlewares, connector=_connector(options.proxy)
    )


def _connector(proxy: Proxy | None) -> aiohttp.TCPConnector:
    if proxy is None or proxy.scheme == HTTP:
        return aiohttp.TCPConnector()
    return ProxyConnector(
        proxy.host,
        proxy.port,
        ProxyType[proxy.scheme.upper()],
        username=None if proxy.login is None else proxy.login.user,
        password=None if proxy.login is None else proxy.login.password,
        rdns=True,  # The proxy may know names that are not known here.
    )


def _http_proxy(proxy: Proxy | None) -> dict[str, Any]:
    if proxy is None or proxy.scheme != HTTP:
        return {}
    found: dict[str, Any] = {"proxy": f"http://{proxy.host}:{proxy.port}"}
    if proxy.login is not None:
        found["proxy_headers"] = {"Proxy-Authorization": proxy.login.basic()}
    return found


def _headers(request: Request, options: Options) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict({"User-Agent": USER_AGENT, "Accept": "*/*"})
    for name, given in request.headers.items():
        headers.popall(name, None)
        for text in [given] if isinstance(given, str) else given:
            headers.add(name, text)
    if options.authorization is not None:
        # aiohttp takes it away again when it is redirected to another host.
        headers.setdefault("Authorization", options.authorization)
    return headers


async def _receive(response: aiohttp.ClientResponse, target: Path, bytes_max: int) -> int:
    size_bytes = 0
    with target.open("wb") as file:
        async for block in response.content.iter_chunked(BLOCK_BYTES):
            size_bytes += len(block)
            if size_bytes > bytes_max:
                raise TaskError(
                    f"Expected an answer of at most {bytes_max} bytes, but it has more:"
                    " use http.Download, which keeps it as a file."
                )
            file.write(block)
    return size_bytes


class _Form(aiohttp.FormData):
    """A form that can be sent again, for redirects and for servers that ask for a password."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    def __call__(self) -> aiohttp.Payload:
        form = aiohttp.FormData(default_to_multipart=self._request.is_multipart)
        for part in self._request.form or ():
            if part.path is None:
                form.add_field(part.name, part.text or "")
            else:
                name = part.file_name or part.path.name
                # aiohttp reads it in blocks, and closes it.
                form.add_field(part.name, part.path.open("rb"), filename=name)
        return form()
