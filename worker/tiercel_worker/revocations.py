"""What this worker must not start any more: the recent revocations, bounded."""

from __future__ import annotations

from collections import OrderedDict

from tiercel_schemas.jobs import Revocation, TaskJob

#: How many attempts' revocations are remembered. One that is forgotten does no harm: the executor
#: refuses the start of a revoked attempt, and revokes it again.
REMEMBERED_MAX = 100_000

AttemptKey = tuple[str, int]


class Revocations:
    """Belongs to the main loop."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._epochs: OrderedDict[AttemptKey, int] = OrderedDict()

    def add(self, revocation: Revocation) -> bool:
        """Remember it; False when it is for another worker."""
        if revocation.worker_id not in (None, self._worker_id):
            return False
        key = (revocation.task_run_id, revocation.attempt)
        self._epochs[key] = max(revocation.epoch, self._epochs.get(key, 0))
        self._epochs.move_to_end(key)
        if len(self._epochs) > REMEMBERED_MAX:
            self._epochs.popitem(last=False)
        return True

    def covers(self, job: TaskJob) -> bool:
        """Whether this job was revoked."""
        return self._epochs.get((job.task_run_id, job.attempt), 0) >= job.epoch
