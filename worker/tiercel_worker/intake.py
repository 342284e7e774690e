"""Takes jobs from the log while there is room for them.

Pausing partitions throws away what a Kafka client has fetched ahead, so a worker that is full for
a moment just waits; one that stays full pauses its partitions and goes on polling, which keeps it
in the group and tells it of rebalances.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from tiercel_engine.eventlog.base import Consumer, Record, TopicPartition

#: A worker that is full for longer than this pauses its partitions.
FULL_S = 1.0


class Intake:
    """One member of the group of workers. For the main loop, except for `freed` and `wake`."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._paused: frozenset[TopicPartition] = frozenset()
        self._full_since_s: float | None = None
        self._is_polling_full = False
        self._freed = threading.Event()

    def expect(self) -> None:
        """Call before counting free slots: a slot that gets free after that ends the wait."""
        self._freed.clear()

    def poll(self, free_slots: int, timeout_s: float) -> list[Record]:
        """Return at most `free_slots` jobs; wait up to `timeout_s` for a job or a slot."""
        if free_slots > 0:
            self._full_since_s = None
            self._is_polling_full = False
            if self._paused:
                self._consumer.resume(self._paused & self._consumer.assignment())
                self._paused = frozenset()
            return self._consumer.poll(free_slots, timeout_s)
        now_s = time.monotonic()
        if self._full_since_s is None:
            self._full_since_s = now_s
        if now_s - self._full_since_s < FULL_S:
            self._freed.wait(timeout_s)
            return []
        return self._poll_paused(timeout_s)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._consumer.commit(offsets)

    def close(self) -> None:
        """Leave the group at once."""
        self._consumer.close()

    def freed(self) -> None:
        """A slot got free. From any thread."""
        self._freed.set()
        if self._is_polling_full:
            self._consumer.wake()

    def wake(self) -> None:
        """End the wait of `poll`. From any thread."""
        self._freed.set()
        self._consumer.wake()

    def _poll_paused(self, timeout_s: float) -> list[Record]:
        assignment = self._consumer.assignment()
        if unpaused := assignment - self._paused:
            self._consumer.pause(unpaused)
        self._paused = assignment
        self._is_polling_full = True
        if self._freed.is_set():
            return []
        # One job may slip through with a partition that is assigned within this call.
        return self._consumer.poll(1, timeout_s)
