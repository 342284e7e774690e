"""What the API takes: POST executions, GET execution, search, streams; beside a bare handler."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.benchmarks import load
from tests.benchmarks.server import Server

CLIENTS = 8
#: Followed executions, and readers of each.
FOLLOWED, READERS = 50, 10

FOLLOWED_FLOW = "id: followed\nnamespace: bench\ntasks:\n" + "".join(
    f"  - id: t{n}\n    type: io.kestra.plugin.core.flow.Sleep\n    duration: PT0.2S\n"
    for n in range(5)
)
START = "/api/v1/executions/bench/log"
SEARCH = "/api/v1/executions/search?namespace=bench&flowId=log&size=10"


def api(server: Server, bare: dict[str, float], add: Any, sizes: Sequence[int]) -> None:
    """So many requests of each kind, by 8 clients, to the bare handler and to the server."""
    (count,) = sizes
    # The server is new: it starts executions of the same flow before it is measured.
    asyncio.run(requested(server.url, "POST", [START] * 200))
    before = asyncio.run(load.ended(server.url, "log"))
    with bare_handler() as bare_url:
        bare_post = asyncio.run(requested(bare_url, "POST", [START] * count))
        bare_get = asyncio.run(requested(bare_url, "GET", [START] * count))
    post = asyncio.run(requested(server.url, "POST", [START] * count))
    # Reads are measured on a server that has nothing else to do.
    asyncio.run(all_ended(server.url, before + count))
    paths = [f"/api/v1/executions/{document['id']}" for document in post.documents]
    get = asyncio.run(requested(server.url, "GET", paths))
    search = asyncio.run(requested(server.url, "GET", [SEARCH] * count))
    for name, found, least in (
        ("post", post, bare_post),
        ("get", get, bare_get),
        ("search", search, bare_get),
    ):
        add(f"{name}_per_s", found.per_s, "1/s", least.per_s)
        for metric, value in load.centiles_ms(found.took_s).items():
            add(f"{name}_{metric}", value, "ms", load.centiles_ms(least.took_s)[metric])
    server.add_flow(FOLLOWED_FLOW)
    events, seconds = asyncio.run(followed(server.url))
    add("streams", FOLLOWED * READERS, "", None)
    add("stream_events_per_s", events / seconds, "1/s", None)


class Requested:
    """Answers, the time of each, and how many came per second."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.took_s: list[float] = []
        self.per_s = 0.0


async def requested(url: str, method: str, paths: Sequence[str]) -> Requested:
    """Ask for all paths, by `CLIENTS` at a time."""
    found, left = Requested(), iter(paths)

    async def client(session: aiohttp.ClientSession) -> None:
        for path in left:
            begin = time.perf_counter()
            async with session.request(method, url + path) as response:
                document = await response.json()
            found.took_s.append(time.perf_counter() - begin)
            assert response.status == 200, document
            found.documents.append(document)

    async with aiohttp.ClientSession() as session:
        begin = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
        found.per_s = len(paths) / (time.perf_counter() - begin)
    return found


async def all_ended(url: str, count: int) -> None:
    async with aiohttp.ClientSession() as session:
        await load.until_ended(session, url, "log", count)


async def followed(url: str) -> tuple[int, float]:
    """(events of all streams, seconds until the last has ended)."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        started = await requested(url, "POST", ["/api/v1/executions/bench/followed"] * FOLLOWED)
        begin = time.perf_counter()
        counts = await asyncio.gather(
            *(_events(session, url, one["id"]) for one in started.documents * READERS)
        )
        return sum(counts), time.perf_counter() - begin


async def _events(session: aiohttp.ClientSession, url: str, execution_id: str) -> int:
    count, last = 0, b""
    async with session.get(f"{url}/api/v1/executions/{execution_id}/follow") as response:
        async for line in response.content:
            if line.startswith(b"id: "):
                count, last = count + 1, line
    assert last == b"id: end\n", last
    return count


@contextmanager
def bare_handler() -> Iterator[str]:
    """The address of a bare handler in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("bare_handler.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.communicate()
