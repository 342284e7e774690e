"""A thousand readers at once in one process."""

from __future__ import annotations

import asyncio
import gc
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.api_harness import DEADLINE_S, ApiServer, api_server, flow_source, until

from tiercel_api.follow import FOLLOWERS
from tiercel_schemas.jobs import TaskJob

STREAMS = 1_000
EXECUTIONS = 20
#: Sockets of both sides, and what else is open.
FILES = 2 * STREAMS + 500
#: Each side has two minutes; it takes seconds.
PATIENCE_S = 6 * DEADLINE_S
#: Of the whole process per stream: request, response, buffers, both ends of the connection.
BYTES_PER_STREAM_MAX = 100_000


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"Expected to be allowed {FILES} open files, but {hard} are.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def follow(session: aiohttp.ClientSession, url: str) -> str:
    """The id of the last event of a stream."""
    last = ""
    async with session.get(url) as response:
        assert response.status == 200
        async for line in response.content:
            if line.startswith(b"id: "):
                last = line[4:].strip().decode()
    return last


async def all_followed(api: ApiServer, jobs: list[TaskJob], grown: list[int]) -> list[str]:
    """The last ids of all streams; ends the executions once all are open."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        streams = [
            asyncio.create_task(
                follow(session, f"{api.url}/api/v1/executions/{job.execution_id}/follow")
            )
            for job in jobs * (STREAMS // EXECUTIONS)
        ]
        open_streams = api.app[FOLLOWERS]._streams
        await asyncio.to_thread(until, lambda: len(open_streams) == STREAMS)
        gc.collect()
        grown.append(tracemalloc.get_traced_memory()[0])
        for job in jobs:
            await asyncio.to_thread(api.finish, job)
        return await asyncio.gather(*streams)


def test_a_thousand_streams_are_open_and_all_see_the_end(tmp_path: Path, many_files: None) -> None:
    with api_server(tmp_path) as api:
        # given
        api.save_flow(flow_source("plain"))
        jobs = [
            api.next_job(api.post("/executions/house.kitchen/plain").json()["id"])
            for _ in range(EXECUTIONS)
        ]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        grown: list[int] = []

        # when
        last = asyncio.run(all_followed(api, jobs, grown))
        until(lambda: not api.app[FOLLOWERS]._streams)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

        # then
        assert last == ["end"] * STREAMS
        assert (grown[0] - before) / STREAMS < BYTES_PER_STREAM_MAX
        assert after - before < (grown[0] - before) / 3
