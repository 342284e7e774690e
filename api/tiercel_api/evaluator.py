"""Evaluations beside the event loop: few at a time, each with little time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from tiercel_engine.errors import TransientError

T = TypeVar("T")

#: Evaluations that run at once, and those that run or wait.
THREADS = 2
EVALUATIONS_MAX = 32
#: What a render may take. The answer is waited for somewhat longer: it may wait its turn.
RENDER_S = 5.0
ANSWER_S = 20.0

#: Whether the time of an evaluation is over.
Expired = Callable[[], bool]


class Evaluator:
    """Runs evaluations in its own threads, so that a slow one keeps nothing else waiting."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api-eval")
        self._free = threading.BoundedSemaphore(EVALUATIONS_MAX)

    def close(self) -> None:
        """Wait for what runs, start nothing more."""
        self._threads.shutdown(cancel_futures=True)

    async def run(self, evaluation: Callable[[Expired], T]) -> T:
        """What `evaluation` returns; it is given the clock that it must obey.

        Raises:
            TransientError: too many evaluations are under way.
            TimeoutError: its turn did not come in time.
        """
        if not self._free.acquire(blocking=False):
            raise TransientError("Too many expressions are being evaluated; try again later.")
        future = self._threads.submit(_timed, evaluation)
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.wait_for(asyncio.wrap_future(future), ANSWER_S)


def _timed(evaluation: Callable[[Expired], T]) -> T:
    deadline = time.monotonic() + RENDER_S
    return evaluation(lambda: time.monotonic() > deadline)


EVALUATOR = web.AppKey("evaluator", Evaluator)
