"""The executor's bounds and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tiercel_engine.execution.skips import NO_SKIPS, Skips

EventsFormat = Literal["off", "json", "avro"]


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Attributes:
    batch_records_max: commands per transaction at most.
    idle_poll_s: how long the loop waits for commands before it looks around again.
    start_timeout_s: a job that no worker has started by then is sent again.
    worker_lost_s: a worker silent for this long is taken for dead.
    checkpoint_every_s: how often live executions are written to internal storage.
    checkpoint_after_records: no checkpoint before a partition took this many commands.
    remembered_ids_max: ids given from outside that stay known per partition ...
    remembered_s: ... and for how long after the execution ended.
    recent_ids_max: other ended ids that stay known per partition.
    skips: executions that are left alone.
    templates: whether Template tasks find the templates that are stored.
    execution_events: how the public topic of executions' states is written.
    """

    batch_records_max: int = 500
    idle_poll_s: float = 0.5
    start_timeout_s: float = 60.0
    worker_lost_s: float = 10.0
    checkpoint_every_s: float = 60.0
    checkpoint_after_records: int = 5_000
    remembered_ids_max: int = 1_000_000
    remembered_s: float = 3_600.0
    recent_ids_max: int = 10_000
    skips: Skips = NO_SKIPS
    templates: bool = False
    execution_events: EventsFormat = "off"
