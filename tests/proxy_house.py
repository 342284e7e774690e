"""A real proxy for tests: SOCKS 4 and 5, and HTTP's CONNECT, with or without a password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

START_S = 20.0
BLOCK_BYTES = 64 << 10


class ProxyHouse:
    """Listens on `port`. `seen`: where it was asked to go, as `socks5 host:port`.

    Names ending in `.invalid` lead to this machine: only the proxy knows them.
    """

    def __init__(self, login: tuple[str, str] | None) -> None:
        self.port = 0
        self.seen: list[str] = []
        self._login = login

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first == b"\x05":
            place = await self._socks5(reader, writer)
        elif first == b"\x04":
            place = await self._socks4(reader, writer)
        else:
            place = await self._connect(first, reader, writer)
        if place is not None:
            host, port = place
            there = await asyncio.open_connection(_known(host), port)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    async def _socks5(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 0 if self._login is None else 2
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, wanted]))
        if self._login is not None:
            await reader.readexactly(1)
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            is_right = (user.decode(), password.decode()) == self._login
            writer.write(bytes([1, 0 if is_right else 1]))
            if not is_right:
                return None
        _, _, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = ".".join(str(part) for part in await reader.readexactly(4))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.seen.append(f"socks5 {host}:{port}")
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return host, port

    async def _socks4(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int]:
        _, *port, a, b, c, d = await reader.readexactly(7)
        await reader.readuntil(b"\0")
        host = f"{a}.{b}.{c}.{d}"
        if host.startswith("0.0.0."):
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        place = host, int.from_bytes(bytes(port), "big")
        self.seen.append(f"socks4 {host}:{place[1]}")
        writer.write(b"\x00\x5a" + bytes(6))
        return place

    async def _connect(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        if self._login is not None:
            token = base64.b64encode(":".join(self._login).encode()).decode()
            if f"proxy-authorization: basic {token}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return None
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        host, _, port = target.partition(":")
        self.seen.append(f"connect {target}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return host, int(port)


def _known(host: str) -> str:
    return "127.0.0.1" if host.endswith(".invalid") else host


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK_BYTES):
        writer.write(block)
        await writer.drain()
    writer.close()


@contextmanager
def proxy_house(login: tuple[str, str] | None = None) -> Iterator[ProxyHouse]:
    """The proxy until the block ends. `login`: the user and password that it asks for."""
    house = ProxyHouse(login)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(house.serve, "127.0.0.1", 0)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(START_S)
    house.port = server.sockets[0].getsockname()[1]
    try:
        yield house
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(START_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_S)
        loop.close()
