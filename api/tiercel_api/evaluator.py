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
#: The same for templates of inputs.
INPUT_THREADS = 4
INPUT_RENDER_S = 90.0
INPUT_ANSWER_S = 120.0

#: Whether the time of an evaluation is over.
Expired = Callable[[], bool]


class Evaluator:
    """Runs evaluations in its own threads, so that a slow one keeps nothing else waiting."""

    def __init__(
        self, threads: int = THREADS, render_s: float = RENDER_S, answer_s: float = ANSWER_S
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api-eval")
        self._free = threading.BoundedSemaphore(EVALUATIONS_MAX)
        self._render_s, self._answer_s = render_s, answer_s
        self._closing = threading.Event()

    def close(self) -> None:
        """Wait for what runs, whose time is over then; start nothing more."""
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)

    async def run(self, evaluation: Callable[[Expired], T]) -> T:
        """What `evaluation` returns; it is given the clock that it must obey.

        Raises:
            TransientError: too many evaluations are under way.
            TimeoutError: its turn did not come in time.
        """
        if not self._free.acquire(blocking=False):
            raise TransientError("Too many expressions are being evaluated; try again later.")
        future = self._threads.submit(self._timed, evaluation)
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.wait_for(asyncio.wrap_future(future), self._answer_s)

    def _timed(self, evaluation: Callable[[Expired], T]) -> T:
        deadline = time.monotonic() + self._render_s
        return evaluation(lambda: self._closing.is_set() or time.monotonic() > deadline)


EVALUATOR = web.AppKey("evaluator", Evaluator)
#: Renders inputs that may wait for others: HTTP, other flows.
INPUT_EVALUATOR = web.AppKey("input_evaluator", Evaluator)
