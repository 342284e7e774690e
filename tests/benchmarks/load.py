"""HTTP load: concurrent clients that start executions and wait for them."""

from __future__ import annotations

import asyncio
import statistics
import time

import aiohttp

#: How long the last executions may take to end after they were all started.
END_TIMEOUT_S = 600.0
#: Between two looks at how many have ended.
LOOK_EVERY_S = 0.05


async def one_at_a_time(url: str, flow: str, count: int) -> list[float]:
    """Seconds of each `POST ?wait=true`."""
    took = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            begin = time.perf_counter()
            path = f"{url}/api/v1/executions/bench/{flow}?wait=true"
            async with session.post(path) as response:
                body = await response.json()
                assert body["state"]["current"] == "SUCCESS", body
            took.append(time.perf_counter() - begin)
    return took


async def many(url: str, flow: str, count: int, clients: int, before: int) -> tuple[float, float]:
    """(seconds until all were accepted, seconds until all had ended)."""
    left = iter(range(count))
    path = f"{url}/api/v1/executions/bench/{flow}"

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(path) as response:
                assert response.status == 200, await response.text()
                await response.read()

    begin = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
        accepted = time.perf_counter() - begin
        await until_ended(session, url, flow, before + count)
    return accepted, time.perf_counter() - begin


async def until_ended(session: aiohttp.ClientSession, url: str, flow: str, count: int) -> None:
    """Wait until the API shows that many successful executions."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while True:
        total = await _count(session, url, flow)
        if total >= count:
            return
        assert time.monotonic() < deadline, f"{total} of {count} executions have ended"
        await asyncio.sleep(LOOK_EVERY_S)


async def ended(url: str, flow: str) -> int:
    """How many executions of a flow have succeeded."""
    async with aiohttp.ClientSession() as session:
        return await _count(session, url, flow)


async def _count(session: aiohttp.ClientSession, url: str, flow: str) -> int:
    query = f"?namespace=bench&flowId={flow}&state=SUCCESS&size=1"
    async with session.get(f"{url}/api/v1/executions/search{query}") as response:
        return int((await response.json())["total"])


def centiles_ms(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50_ms": cuts[49] * 1_000, "p99_ms": cuts[98] * 1_000}
