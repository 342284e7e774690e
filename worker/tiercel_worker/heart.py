"""What a worker says of itself: that it lives, where it stands, what it has room for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

from tiercel_engine.clock import Clock
from tiercel_engine.eventlog.base import NewRecord, TopicPartition
from tiercel_engine.telemetry.metrics import WORKER_SLOTS, WORKER_SLOTS_BUSY
from tiercel_schemas.codec import encode
from tiercel_schemas.jobs import WorkerHeartbeat
from tiercel_schemas.state import State
from tiercel_worker.sender import Outgoing, Sender


class Heart:
    """Beats on the topic of workers. For the worker's main loop.

    Args:
        topic: where the beats go.
        sender: what sends them.
        worker_id, member, group, slots: what it says of the worker.
        clock: dates the beats.
        every_s: the longest time between two of them.
    """

    def __init__(
        self,
        topic: str,
        sender: Sender,
        worker_id: str,
        member: str,
        group: str,
        slots: int,
        clock: Clock,
        every_s: float,
    ) -> None:
        self.state = State.RUNNING.value
        self._topic = topic
        self._sender = sender
        self._worker_id = worker_id
        self._member = member
        self._group = group
        self._slots = slots
        self._clock = clock
        self._every_s = every_s
        self._started_us = clock.now_us()
        self._partitions: frozenset[int] = frozenset()
        self._due_s = 0.0
        WORKER_SLOTS.set(slots)

    @property
    def owned(self) -> tuple[int, ...]:
        """Partitions of jobs that are this worker's now. From any thread."""
        return tuple(sorted(self._partitions))

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to beat, by the monotonic clock."""
        return now_s >= self._due_s

    def won(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions of jobs that are this worker's from now on: said at once."""
        self._partitions |= {at.partition for at in partitions}
        self._due_s = 0.0

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions of jobs that are another worker's from now on: said at once."""
        self._partitions -= {at.partition for at in partitions}
        self._due_s = 0.0

    def beat(self, busy: int, free: int) -> None:
        """Say how many slots are at work and how many take jobs; 0 free ones while it drains."""
        self._due_s = time.monotonic() + self._every_s
        WORKER_SLOTS_BUSY.set(busy)
        beat = WorkerHeartbeat(
            self._worker_id,
            self._slots,
            free,
            self.state,
            self._started_us,
            self._clock.now_us(),
            self._group,
            self.owned,
            socket.gethostname(),
        )
        self._sender.send([Outgoing(NewRecord(self._topic, self._member, encode(beat)))])
