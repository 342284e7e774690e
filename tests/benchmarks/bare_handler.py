"""The least that an HTTP server of this kind can do: one aiohttp handler, an answer from memory.

    python tests/benchmarks/bare_handler.py

prints its port and serves until its standard input ends. Any path, POST or GET, is answered with
the JSON text of an execution with one task run, encoded anew each time.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
from aiohttp import web

_STATE = {
    "current": "SUCCESS",
    "histories": [{"state": s, "date": "2026-11-25T20:00:00Z"} for s in ("CREATED", "SUCCESS")],
    "duration": "PT0.01S",
    "startDate": "2026-11-25T20:00:00Z",
    "endDate": "2026-11-25T20:00:00Z",
}
EXECUTION: dict[str, Any] = {
    "id": "0353x2wpCNb3Idf2dwnY4x",
    "namespace": "bench",
    "flowId": "log",
    "flowRevision": 1,
    "labels": [{"key": "system.correlationId", "value": "0353x2wpCNb3Idf2dwnY4x"}],
    "state": _STATE,
    "originalId": "0353x2wpCNb3Idf2dwnY4x",
    "deleted": False,
    "metadata": {"attemptNumber": 1, "originalCreatedDate": "2026-11-25T20:00:00Z"},
    "taskRunList": [
        {
            "id": "5Kq6f0rJ2mWv1e8Zt3yB7c",
            "executionId": "0353x2wpCNb3Idf2dwnY4x",
            "namespace": "bench",
            "flowId": "log",
            "taskId": "hello",
            "attempts": [{"state": _STATE}],
            "outputs": {},
            "state": _STATE,
        }
    ],
}


async def answer(request: web.Request) -> web.Response:
    """The execution."""
    return web.Response(body=msgspec.json.encode(EXECUTION), content_type="application/json")


async def serve() -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
