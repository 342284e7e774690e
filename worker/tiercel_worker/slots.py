"""The threads that run attempts: as many as there are slots, started when first needed.

They are daemons: a task that ignores its cancellation cannot keep a stopped worker alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Slots:
    """At most `count` calls at once; what comes on top of that waits its turn.

    A call must not raise. `submit` and `close` belong to one thread.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, call: Callable[[], None]) -> None:
        """Run this in one of the threads, soon."""
        if not self._idle.acquire(blocking=False) and self._threads < self._count:
            threading.Thread(target=self._work, name=f"worker_{self._threads}", daemon=True).start()
            self._threads += 1
        self._queue.put(call)

    def close(self) -> None:
        """Let every thread end as soon as its call has ended; does not wait for it."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            call()
            self._idle.release()
