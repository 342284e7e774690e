"""Following single keys of one topic, live.

A `Tail` owns one thread that reads the topic's end for as long as somebody follows a key of it.
Keys are compared before anything is decoded, so that the cost of a record nobody follows is one
look into a dictionary. What was followed is handed to the event loop in order, through a bounded
number of batches: a slow loop slows the thread, it never fills the memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tiercel_engine.errors import LogError, LogUnavailable
from tiercel_engine.eventlog.base import Consumer, EventLog, Record
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.codec import UnreadableRecord, decode

log = get_logger(component="api")

#: Takes one decoded record and its offset. Called in the event loop; must not block.
Sink = Callable[[Any, int], None]

POLL_RECORDS_MAX = 2_000
POLL_S = 1.0
#: Batches on their way into the event loop before the thread waits.
BATCHES_MAX = 16
#: How long the thread stays after the last follower left.
LINGER_S = 10.0
#: How long a follower waits for the thread to stand at the topic's end.
OPEN_TIMEOUT_S = 10.0
#: Pause before a log that failed is opened again.
REOPEN_S = 1.0


class Tail:
    """The live end of one topic. All methods belong to the event loop."""

    def __init__(
        self,
        event_log: EventLog,
        topic: str,
        key_of: Callable[[str], str] | None = None,
        *,
        with_ends: bool = False,
    ) -> None:
        """`key_of` maps a record's key to the one that is followed; by default itself.

        `with_ends`: a record without a value, the end of its key, is handed over as None.
        """
        self._log = event_log
        self._topic = topic
        self._key_of = key_of
        self._with_ends = with_ends
        self._sinks: dict[str, list[Sink]] = {}
        self._reader: _Reader | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._readers: set[_Reader] = set()

    @asynccontextmanager
    async def following(self, key: str, sink: Sink) -> AsyncIterator[None]:
        """Hand every record of `key` that is appended from now on to `sink`.

        Raises:
            LogUnavailable: the topic could not be opened in time.
        """
        sinks = self._sinks.setdefault(key, [])
        sinks.append(sink)
        try:
            await self._opened()
            yield
        finally:
            sinks.remove(sink)
            if not sinks and self._sinks.get(key) is sinks:
                del self._sinks[key]
            if not self._sinks:
                self._leave_later()

    async def close(self) -> None:
        """Stop reading; wait for the threads."""
        if self._linger is not None:
            self._linger.cancel()
        self._leave()
        for reader in tuple(self._readers):
            await asyncio.to_thread(reader.join)

    async def _opened(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._reader is None:
            reader = _Reader(self._log, self._topic, self._key_of, self._sinks, self._with_ends)
            reader.ended.add_done_callback(lambda _: self._readers.discard(reader))
            self._readers.add(reader)
            self._reader = reader
            reader.start()
        try:
            await asyncio.wait_for(asyncio.shield(self._reader.opened), OPEN_TIMEOUT_S)
        except TimeoutError:
            raise LogUnavailable(
                f"Expected {self._topic} to open in time, but it did not."
            ) from None

    def _leave_later(self) -> None:
        if self._reader is not None and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._leave)

    def _leave(self) -> None:
        self._linger = None
        if self._reader is not None:
            self._reader.stop()
            self._reader = None


class _Reader:
    """The thread of a `Tail`, and the way from it into the event loop."""

    def __init__(
        self,
        event_log: EventLog,
        topic: str,
        key_of: Callable[[str], str] | None,
        sinks: dict[str, list[Sink]],
        with_ends: bool,
    ) -> None:
        self._log = event_log
        self._topic = topic
        self._key_of = key_of
        self._sinks = sinks
        self._with_ends = with_ends
        self._loop = asyncio.get_running_loop()
        #: Done once the thread stands at the topic's end, and once it has gone.
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._stopping = threading.Event()
        self._room = threading.BoundedSemaphore(BATCHES_MAX)
        self._consumer: Consumer | None = None
        self._thread = threading.Thread(target=self._run, name=f"api-tail-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        consumer = self._consumer
        if consumer is not None:
            consumer.wake()

    def join(self) -> None:
        self._thread.join(POLL_S + REOPEN_S + 5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except LogError as error:
                log.warning("tail_failed", topic=self._topic, error=str(error))
                self._stopping.wait(REOPEN_S)
        self._call(_settle, self.ended)

    def _read(self) -> None:
        consumer = self._log.tail([self._topic], from_beginning=False)
        self._consumer = consumer
        try:
            self._call(_settle, self.opened)
            while not self._stopping.is_set():
                wanted = self._wanted(consumer.poll(POLL_RECORDS_MAX, POLL_S))
                if wanted:
                    self._hand_over(wanted)
        finally:
            self._consumer = None
            consumer.close()

    def _wanted(self, records: list[Record]) -> list[tuple[str, Any, int]]:
        wanted: list[tuple[str, Any, int]] = []
        for record in records:
            key = record.key if self._key_of is None else self._key_of(record.key)
            if key not in self._sinks:
                continue
            if record.value is None and self._with_ends:
                wanted.append((key, None, record.offset))
                continue
            try:
                wanted.append((key, decode(record.value), record.offset))
            except UnreadableRecord as error:
                # The executor sends such a record to the dead letters; here it is only not shown.
                log.warning("record_unreadable", topic=self._topic, key=key, error=str(error))
        return wanted

    def _hand_over(self, wanted: list[tuple[str, Any, int]]) -> None:
        while not self._room.acquire(timeout=POLL_S):
            if self._stopping.is_set():
                return
        self._call(self._deliver, wanted)

    def _deliver(self, wanted: list[tuple[str, Any, int]]) -> None:
        self._room.release()
        for key, record, offset in wanted:
            for sink in tuple(self._sinks.get(key, ())):
                sink(record, offset)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """Run it in the event loop; nobody listens any more when that is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
