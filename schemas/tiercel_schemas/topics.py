"""The street map: every topic, its key, its values, its clean-up policy.

The wings of the house meet here and nowhere else. Names are given without prefix; `Topics`
puts the configured prefix in front.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

DAY_MS = 86_400_000
FOREVER_MS = -1
#: The group that reads commands, without the prefix.
EXECUTORS = "executor"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created.

    Attributes:
        name: full name, prefix included.
        partitions: how many lanes.
        compacted: keep the latest value per key for ever, instead of deleting by age.
        retained_ms: age in milliseconds after which records go; -1 for never.
    """

    name: str
    partitions: int
    compacted: bool = False
    retained_ms: int = FOREVER_MS


class Topics:
    """Every topic of one installation."""

    def __init__(self, prefix: str = "tiercel.", partitions: int = 8) -> None:
        def topic(
            name: str, days: int = -1, compacted: bool = False, count: int = partitions
        ) -> Topic:
            retained_ms = FOREVER_MS if days < 0 else days * DAY_MS
            return Topic(prefix + name, count, compacted, retained_ms)

        #: In front of every name that a broker keeps: topics, groups, transactional ids.
        self.prefix = prefix
        #: The group that reads commands.
        self.executors = prefix + EXECUTORS
        #: key: execution id, or flow key for those to flows. Values: any of commands.avsc.
        self.commands = topic("commands", days=7)
        #: key: execution id. Values: EventBatch, CommandRejected. Same partitions as commands.
        self.executions = topic("executions")
        #: key: tenant/namespace/id/revision, on the partition of tenant/namespace/id.
        self.flows = topic("flows", compacted=True)
        #: key: task run id, on the partition whose worker is most free. Values: TaskJob.
        self.jobs = topic("jobs", days=7)
        #: key: execution id. Values: Revocation; every worker reads all of it.
        self.revocations = topic("revocations", days=1, count=1)
        #: key: worker id. Values: TaskJob, SessionClose: for the worker that holds a folder open.
        #: A worker reads the partition of its own id.
        self.inboxes = topic("inboxes", days=1)
        #: key: worker id. Values: WorkerHeartbeat.
        self.workers = topic("workers", compacted=True, count=1)
        #: key: service id. Values: ServiceHeartbeat.
        self.services = topic("services", compacted=True, count=1)
        #: key: execution id. Values: LogEntry.
        self.logs = topic("logs", days=7)
        #: key: execution id. Values: MetricEntry.
        self.metrics = topic("metrics", days=7)
        #: key: tenant/namespace/flow/trigger, on the partition of tenant/namespace/flow. Values:
        #: TriggerState.
        self.triggers = topic("triggers", compacted=True)
        #: key: flow key. Values: what the scheduler is told and asked, of triggers.avsc. Same
        #: partitions as triggers.
        self.trigger_commands = topic("trigger-commands", days=7)
        #: key: any. Values: TriggerMessage, the public inbound contract.
        self.trigger_messages = topic("trigger-messages", days=7)
        #: key: execution id. Values: ExecutionEvent as JSON, the public outbound contract.
        self.execution_events = topic("execution-events", days=7)
        #: key: user's name. Values: UserSaved, TokenSaved. One lane, so that everybody takes and
        #: refuses the same of them.
        self.accounts = topic("accounts", count=1)
        #: key: user's name. Values: AuditEntry.
        self.audit = topic("audit", days=365, count=1)
        #: key, value: as received; reason and origin in the headers.
        self.dead_letters = topic("dead-letters", days=30, count=1)

    def indexed(self) -> tuple[Topic, ...]:
        """The topics that the read model follows."""
        return (self.executions, self.logs, self.metrics, self.triggers)

    def jobs_of(self, group: str) -> Topic:
        """The jobs of a worker group; "" for those of none. Made when first named."""
        jobs = self.jobs
        if not group:
            return jobs
        return Topic(f"{jobs.name}.{group}", jobs.partitions, jobs.compacted, jobs.retained_ms)

    def all(self) -> tuple[Topic, ...]:
        """Every topic, for creating them."""
        return tuple(value for value in vars(self).values() if isinstance(value, Topic))


def partition_for(key: str, partitions: int) -> int:
    """The partition of `key`: the same on every log and in every process, for ever."""
    return zlib.crc32(key.encode()) % partitions
