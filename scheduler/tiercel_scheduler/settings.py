"""The scheduler's bounds and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Attributes:
    timezone: zone of schedules that name none.
    batch_records_max: records taken from the log per transaction at most.
    fires_max: due triggers per transaction at most.
    flows_max: flows per transaction whose new revision is read at most.
    idle_poll_s: how long the loop waits for records before it looks around again.
    miss_grace_s: how long after the end of its window a Flow trigger with onMiss is judged.
    dropped_wait_s: how long it waits when storage does not answer, before it tries again.
    """

    timezone: str = "UTC"
    batch_records_max: int = 500
    fires_max: int = 500
    flows_max: int = 200
    idle_poll_s: float = 0.5
    miss_grace_s: float = 5.0
    dropped_wait_s: float = 1.0
