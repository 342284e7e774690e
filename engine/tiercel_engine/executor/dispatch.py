"""Which workers live, and which partition of the jobs topic a job goes to.

Workers say how many slots are free and which partitions they read. A job goes to the freest
worker's partitions; when none is known, to any. What a worker says is a hint: a wrong one costs
time, never a task.

A worker that starts again under its instance's name has a new id (`ids.worker_id`). Its first
heartbeat tells that its earlier life is over: what that one held is lost at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tiercel_schemas.ids import worker_life
from tiercel_schemas.jobs import WorkerHeartbeat

RUNNING = "RUNNING"


class _Worker:
    __slots__ = ("free", "group", "partitions", "seen_s", "turn")

    def __init__(self, beat: WorkerHeartbeat, now_s: float) -> None:
        self.free = beat.free_slots
        self.group = beat.group
        self.partitions = beat.job_partitions
        self.seen_s = now_s
        self.turn = 0


class Dispatcher:
    """The workers as their heartbeats show them. Times are seconds of a monotonic clock."""

    def __init__(
        self, job_partitions: int, lost_s: float, now_s: float, random: Callable[[], float]
    ) -> None:
        self._job_partitions = job_partitions
        self._lost_s = lost_s
        self._random = random
        self._workers: dict[str, _Worker] = {}
        #: Holders of leases that have not been heard of yet, and since when.
        self._silent_since: dict[str, float] = {}
        self._started_s = now_s
        #: Instance -> when the newest life that was heard of started.
        self._newest: dict[str, int] = {}

    def heard(self, beat: WorkerHeartbeat, now_s: float) -> bool:
        """Take a heartbeat in; a worker that is draining or has stopped gets no more jobs.

        Returns:
            whether an instance was heard of in a new life: look for what its last one held.
        """
        instance, started_us = worker_life(beat.worker_id)
        if self._is_past(beat.worker_id):
            return False
        is_reborn = started_us > self._newest.get(instance, 0)
        self._newest[instance] = started_us
        self._take(beat, now_s)
        return is_reborn

    def _is_past(self, worker_id: str) -> bool:
        """Whether its instance has started again since."""
        instance, started_us = worker_life(worker_id)
        return started_us < self._newest.get(instance, 0)

    def _take(self, beat: WorkerHeartbeat, now_s: float) -> None:
        self._silent_since.pop(beat.worker_id, None)
        if beat.state == "STOPPED":
            self._workers.pop(beat.worker_id, None)
            self._silent_since[beat.worker_id] = float("-inf")
            return
        self._workers[beat.worker_id] = worker = _Worker(beat, now_s)
        if beat.state != RUNNING:
            worker.free = 0
            worker.partitions = ()

    def lost(self, holders: Iterable[str], now_s: float) -> list[str]:
        """Those of `holders` (worker ids with leases) that have been silent for too long."""
        lost = []
        for worker_id in holders:
            if self._is_past(worker_id):
                lost.append(worker_id)
                continue
            worker = self._workers.get(worker_id)
            if worker is not None:
                since_s = worker.seen_s
            else:
                since_s = self._silent_since.setdefault(worker_id, now_s)
            if now_s - since_s > self._lost_s:
                lost.append(worker_id)
        for worker_id in lost:
            self._workers.pop(worker_id, None)
        return lost

    def has_free_slot(self, group: str = "") -> bool:
        """Whether any worker of the group says that it could take a job now."""
        return any(w.free > 0 for w in self._workers.values() if w.group == group)

    def has_workers(self, group: str) -> bool:
        """Whether a worker of the group lives and takes jobs."""
        return any(w.partitions for w in self._workers.values() if w.group == group)

    def partition(self, group: str = "") -> int:
        """The partition of the group's jobs topic for the next job."""
        best: _Worker | None = None
        for worker in self._workers.values():
            if worker.group != group:
                continue
            if worker.partitions and (best is None or worker.free > best.free):
                best = worker
        if best is None:
            return int(self._random() * self._job_partitions)
        best.free -= 1
        best.turn += 1
        return best.partitions[best.turn % len(best.partitions)]
