"""Reading the read models, off the event loop, and waiting for them to catch up.

The read model follows the log; how far behind it is nobody promises. Whoever must see a certain
event waits here until the row holds it: told by the indexer when that runs in this process, else
by looking again after short, growing pauses.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aiohttp import web

from tiercel_engine.errors import LogBusy
from tiercel_engine.repository.base import JsonObject, ReadModels

P = ParamSpec("P")
T = TypeVar("T")

#: Pauses between two looks: they double from the first to the last.
PAUSE_S_MIN = 0.002
PAUSE_S_MAX = 0.25
#: The pause when the indexer tells of itself: it runs in the same process and says what it wrote.
PAUSE_TOLD_S = 1.0
#: Requests that may wait for the read model at a time.
WAITING_MAX = 2_000
#: Executions whose newest indexed event is remembered, where the indexer tells of it.
REMEMBERED_MAX = 50_000

#: Takes execution id -> number of its newest event in the read model. Called in any thread.
Indexed = Callable[[Mapping[str, int]], None]
#: Registers such a callback (`Indexer.on_indexed`).
IndexedHook = Callable[[Indexed], None]


class Reads:
    """The read models as the event loop sees them."""

    def __init__(self, models: ReadModels, threads: int, hook: IndexedHook | None) -> None:
        self._models = models
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api-read")
        self._loop = asyncio.get_running_loop()
        #: By execution id: who waits for it.
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0
        self._is_told = hook is not None
        #: What the indexer told last, oldest first: execution id -> number of its newest event.
        self._told: OrderedDict[str, int] = OrderedDict()
        if hook is not None:
            hook(self._indexed)

    def close(self) -> None:
        """Wait for what runs, start nothing more."""
        self._threads.shutdown()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in one of the reading threads."""
        return await self._loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def execution_at(
        self, execution_id: str, sequence: int, timeout_s: float
    ) -> JsonObject | None:
        """The document once it holds event number `sequence`, or later ones; None: not in time.

        Raises:
            LogBusy: too many are waiting already.
        """
        return await self._awaited(self._models.execution, execution_id, sequence, timeout_s)

    async def progress(
        self, execution_id: str, sequence: int, timeout_s: float
    ) -> tuple[JsonObject, int] | None:
        """As `execution_at`, with the number of the last event that the document holds."""
        return await self._awaited(self._models.execution_at, execution_id, sequence, timeout_s)

    async def _awaited(
        self, read: Callable[[str], T | None], execution_id: str, sequence: int, timeout_s: float
    ) -> T | None:
        deadline = time.monotonic() + timeout_s
        if self._is_told and sequence > 1:
            await self._until_told(execution_id, sequence, min(PAUSE_TOLD_S, timeout_s))
        pause_s = PAUSE_TOLD_S if self._is_told else PAUSE_S_MIN
        while True:
            woken = self._wait_for(execution_id)
            # What was written and is not there any more was deleted: it does not come.
            was_written = self._told.get(execution_id, 0) >= sequence
            try:
                document: T | None = await self._loop.run_in_executor(
                    self._threads, self._look, read, execution_id, sequence
                )
                left_s = deadline - time.monotonic()
                if document is not None or was_written or left_s <= 0:
                    return document
                await asyncio.wait({woken}, timeout=min(pause_s, left_s))
            finally:
                self._forget(execution_id, woken)
            if not self._is_told:
                pause_s = min(pause_s * 2, PAUSE_S_MAX)

    async def _until_told(self, execution_id: str, sequence: int, timeout_s: float) -> None:
        """Wait for the indexer's word, so that the first look finds what it looks for."""
        deadline = time.monotonic() + timeout_s
        while self._told.get(execution_id, 0) < sequence:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            woken = self._wait_for(execution_id)
            try:
                # It may have been told of between the look and the registration.
                if self._told.get(execution_id, 0) < sequence:
                    await asyncio.wait({woken}, timeout=left_s)
            finally:
                self._forget(execution_id, woken)

    async def gone(self, execution_id: str, timeout_s: float) -> None:
        """Wait until the read model does not hold an execution any more, or for so long."""
        await self.until(lambda: not self._models.execution_sequence(execution_id), timeout_s)

    async def indexed_up_to(
        self, topic: str, partition: int, offset: int, timeout_s: float
    ) -> bool:
        """Wait until the read model holds a partition up to `offset`; False: not in time."""
        lane = (topic, partition)
        return await self.until(
            lambda: self._models.indexed_offsets().get(lane, 0) >= offset, timeout_s
        )

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Look again and again, in a reading thread, until it holds; False: not in time."""
        deadline = time.monotonic() + timeout_s
        pause_s = PAUSE_S_MIN
        while not await self.call(holds):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
        return True

    def _look(self, read: Callable[[str], T | None], execution_id: str, sequence: int) -> T | None:
        """What is read if it holds the event. Runs in a reading thread."""
        is_told = self._told.get(execution_id, 0) >= sequence
        if (
            sequence > 1
            and not is_told
            and self._models.execution_sequence(execution_id) < sequence
        ):
            return None
        return read(execution_id)

    def _wait_for(self, execution_id: str) -> asyncio.Future[None]:
        if self._count >= WAITING_MAX:
            raise LogBusy("Too many requests wait for the index; try again later.")
        woken: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(execution_id, set()).add(woken)
        self._count += 1
        return woken

    def _forget(self, execution_id: str, woken: asyncio.Future[None]) -> None:
        waiting = self._waiting[execution_id]
        waiting.discard(woken)
        self._count -= 1
        if not waiting:
            del self._waiting[execution_id]

    def _indexed(self, sequences: Mapping[str, int]) -> None:
        """These rows were written. Runs in the indexer's thread, which alone changes `_told`."""
        for execution_id, sequence in sequences.items():
            self._told[execution_id] = sequence
            self._told.move_to_end(execution_id)
        while len(self._told) > REMEMBERED_MAX:
            self._told.popitem(last=False)
        if self._waiting and not self._loop.is_closed():
            wanted = [name for name in tuple(self._waiting) if name in sequences]
            if wanted:
                self._loop.call_soon_threadsafe(self._wake, wanted)

    def _wake(self, execution_ids: list[str]) -> None:
        for execution_id in execution_ids:
            for woken in self._waiting.get(execution_id, ()):
                if not woken.done():
                    woken.set_result(None)


READS = web.AppKey("reads", Reads)
