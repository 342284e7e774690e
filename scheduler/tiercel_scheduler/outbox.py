"""What one transaction of the scheduler writes."""

from __future__ import annotations

from tiercel_engine.eventlog.base import NewRecord
from tiercel_schemas import codec
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.ids import TriggerKey
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.topics import Topics, partition_for
from tiercel_schemas.triggers import TriggerState


class Outbox:
    """Collects the records of one transaction."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.records: list[NewRecord] = []

    def state(self, key: TriggerKey, state: TriggerState | None) -> None:
        """A trigger's state, or the end of it."""
        topic = self._topics.triggers
        value = None if state is None else codec.encode(state)
        lane = partition_for(str(key.flow), topic.partitions)
        self.records.append(NewRecord(topic.name, str(key), value, lane))

    def log(self, line: LogEntry) -> None:
        """A line of a trigger's log."""
        self.records.append(
            NewRecord(self._topics.logs.name, line.trigger_id or "", codec.encode(line))
        )

    def job(self, job: TaskJob) -> None:
        """Work for whichever worker gets it."""
        name = self._topics.jobs.name
        self.records.append(NewRecord(name, job.task_run_id, codec.encode(job)))

    def create(self, command: CreateExecution) -> None:
        """Start an execution."""
        name = self._topics.commands.name
        self.records.append(NewRecord(name, command.execution_id, codec.encode(command)))
