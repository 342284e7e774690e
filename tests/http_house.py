"""A real HTTP server for tests: it redirects, is slow, breaks off, asks for passwords, proxies."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ipaddress
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_S = 20.0


class House:
    """The server at `url`; `seen` holds the paths that were asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.url = ""
        self.port = 0
        self.let_go = threading.Event()
        self.asked = threading.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/echo", self._echo)
        app.router.add_route("*", "/form", self._form)
        app.router.add_get("/redirect/{left}", self._redirect)
        app.router.add_post("/moved/{code}/{place}", self._moved)
        app.router.add_get("/status/{code}", self._status)
        app.router.add_get("/bytes/{count}", self._bytes)
        app.router.add_get("/broken", self._broken)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/private", self._private)
        app.router.add_route("*", "/digest", self._digest)
        app.router.add_get("/latin", self._latin)
        app.router.add_get("/events", self._events)
        app.router.add_get("/{tail:.*}", self._proxied)
        app.middlewares.append(self._note)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append(request.raw_path)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _echo(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "method": request.method,
                "query": {name: request.query.getall(name) for name in request.query},
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": (await request.read()).decode(),
            },
            headers=[("X-Twice", "1"), ("X-Twice", "2")],
        )

    async def _form(self, request: web.Request) -> web.Response:
        if not request.content_type.startswith("multipart/"):
            return web.json_response(dict(await request.post()))
        parts: dict[str, Any] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            content = await part.read()
            parts[part.name or ""] = [part.filename, len(content), content[:20].decode()]
        return web.json_response(parts)

    async def _redirect(self, request: web.Request) -> web.Response:
        left = int(request.match_info["left"])
        raise web.HTTPFound(f"/redirect/{left - 1}" if left > 1 else "/echo")

    async def _moved(self, request: web.Request) -> web.Response:
        code, place = int(request.match_info["code"]), request.match_info["place"]
        to = request.query.get("to", "")
        return web.Response(status=code, headers={"Location": f"{to}/{place}"})

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]), text="so it is")

    async def _bytes(self, request: web.Request) -> web.StreamResponse:
        left = int(request.match_info["count"])
        response = web.StreamResponse(
            headers={"Content-Disposition": 'attachment; filename="../data set.bin"'}
        )
        await response.prepare(request)
        while left > 0:
            await response.write(b"x" * min(left, 1 << 20))
            left -= 1 << 20
        return response

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _slow(self, request: web.Request) -> web.Response:
        self.asked.set()
        await asyncio.to_thread(self.let_go.wait, START_S)
        return web.Response(text="at last")

    async def _private(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if given in ("Bearer token-1", "Basic YWRhOnBhc3M6d29yZA=="):
            return web.Response(text="welcome")
        raise web.HTTPUnauthorized

    async def _digest(self, request: web.Request) -> web.Response:
        """Asks for a digest of ada and her password, as RFC 7616 has it."""
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("Authorization", "")))
        ha1, ha2 = _md5("ada:house:pass:word"), _md5(f"{request.method}:/digest")
        parts = (ha1, "n0nce", given.get("nc"), given.get("cnonce"), given.get("qop"), ha2)
        if given.get("response") == _md5(":".join(map(str, parts))):
            return web.Response(text=f"welcome, {len(await request.read())}")
        await request.read()
        challenge = 'Digest realm="house", nonce="n0nce", qop="auth", algorithm=MD5'
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": challenge})

    async def _latin(self, request: web.Request) -> web.Response:
        return web.Response(body="é".encode("latin-1"), headers={"Content-Type": "text/plain"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(b'id: %d\nevent: step\ndata: {"n": %d}\n\n' % (number, number))
        return response

    async def _proxied(self, request: web.Request) -> web.Response:
        return web.Response(text=f"by proxy: {request.raw_path}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@contextmanager
def http_house(tls_folder: Path | None = None, asks_who: bool = False) -> Iterator[House]:
    """The server until the block ends; with a folder, over TLS with a certificate of its own.

    The certificate and its key are in house.pem there. With `asks_who` clients must show it, too.
    """
    house = House()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(house.app(), shutdown_timeout=1.0)

    async def listen() -> None:
        await runner.setup()
        context = None if tls_folder is None else _tls(tls_folder, asks_who)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        house.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop() -> None:
        await runner.cleanup()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(listen(), loop).result(START_S)
    house.url = f"http{'s' if tls_folder else ''}://127.0.0.1:{house.port}"
    try:
        yield house
    finally:
        house.let_go.set()
        asyncio.run_coroutine_threadsafe(stop(), loop).result(START_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_S)
        loop.close()


def _tls(folder: Path, asks_who: bool) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "house of the test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / "house.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if asks_who:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(path)
    return context
