"""What one transaction writes: a step's outcome as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tiercel_engine.errors import Rejected
from tiercel_engine.eventlog.base import RECORD_BYTES_MAX, NewRecord
from tiercel_engine.execution.step import Step
from tiercel_engine.executor.announcer import Announcer
from tiercel_engine.executor.dispatch import Dispatcher
from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.common import PositionRange
from tiercel_schemas.concurrency import SlotBatch
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, is_dashboard
from tiercel_schemas.topics import Topic, Topics, partition_for
from tiercel_schemas.triggers import FlowChanged, TriggerExecutionEnded

#: Commands to the scheduler, keyed by the flow of the trigger.
TO_TRIGGERS = (FlowChanged, TriggerExecutionEnded)

#: Above this size a step's events are spread over several records of the same transaction.
BATCH_BYTES_MAX = RECORD_BYTES_MAX // 2


class Outbox:
    """Collects the records of one transaction."""

    def __init__(
        self,
        topics: Topics,
        dispatcher: Dispatcher,
        announcer: Announcer,
        ensure: Callable[[Topic], None],
    ) -> None:
        """`ensure`: makes the topic of a worker group unless it is there."""
        self._ensure = ensure
        self._topics = topics
        self._dispatcher = dispatcher
        self._announcer = announcer
        self.records: list[NewRecord] = []

    def add_step(
        self,
        partition: int,
        step: Step,
        cause: str,
        command_id: str | None,
        positions: tuple[PositionRange, ...],
    ) -> None:
        """Add everything that a step writes.

        Raises:
            Rejected: one event alone is too large for the log; nothing was added.
        """
        records: list[NewRecord] = []
        if step.events:
            batch = e.EventBatch(
                execution_id=step.execution.id,
                first_seq=step.first_sequence,
                at_us=step.at_us,
                cause=cause,
                command_id=command_id,
                events=tuple(step.events),
                positions=positions,
            )
            records += self._event_records(partition, batch)
        key = step.execution.id
        for job in step.jobs:
            value = codec.encode(job)
            group = step.groups.get(job.task_run_id, "")
            topic = self._topics.jobs_of(group)
            if group:
                self._ensure(topic)
            to = self._dispatcher.partition(group)
            records.append(NewRecord(topic.name, job.task_run_id, value, to))
        for worker_id, record in step.inbox:
            value = codec.encode(record)
            records.append(NewRecord(self._topics.inboxes.name, worker_id, value))
        for revocation in step.revocations:
            value = codec.encode(revocation)
            records.append(NewRecord(self._topics.revocations.name, key, value))
        for line in step.logs:
            records.append(NewRecord(self._topics.logs.name, key, codec.encode(line)))
        for metric in step.metrics:
            records.append(NewRecord(self._topics.metrics.name, key, codec.encode(metric)))
        for flow in step.flows:
            records.append(self._flow_record(flow))
            if not flow.purged and not is_dashboard(flow.tenant):
                changed = FlowChanged(flow.tenant, flow.namespace, flow.flow_id, flow.revision)
                records.append(self._command_record(key, changed))
        records += [self._command_record(to, command) for to, command in step.commands]
        records += self._announcer.records(step)
        self.records += records

    def _event_records(self, partition: int, batch: e.EventBatch) -> Iterator[NewRecord]:
        value = codec.encode(batch)
        if len(value) <= BATCH_BYTES_MAX:
            name = self._topics.executions.name
            yield NewRecord(name, batch.execution_id, value, partition)
            return
        if len(batch.events) == 1:
            if len(value) > RECORD_BYTES_MAX:
                raise Rejected(
                    f"Expected one event to take at most {RECORD_BYTES_MAX} bytes, but "
                    f"{type(batch.events[0]).__name__} takes {len(value)}.",
                    "INVALID",
                )
            yield NewRecord(self._topics.executions.name, batch.execution_id, value, partition)
            return
        middle = len(batch.events) // 2
        for first, events in ((0, batch.events[:middle]), (middle, batch.events[middle:])):
            part = e.EventBatch(
                execution_id=batch.execution_id,
                first_seq=batch.first_seq + first,
                at_us=batch.at_us,
                cause=batch.cause,
                command_id=batch.command_id,
                events=events,
                positions=batch.positions if first == 0 else (),
            )
            yield from self._event_records(partition, part)

    def _flow_record(self, flow: FlowRevision) -> NewRecord:
        key = str(FlowKey(flow.tenant, flow.namespace, flow.flow_id))
        topic = self._topics.flows
        return NewRecord(
            topic.name,
            f"{key}/{flow.revision}",
            codec.encode(flow),
            partition_for(key, topic.partitions),
        )

    def _command_record(self, key: str, command: codec.AvroRecord) -> NewRecord:
        topic = self._topics.commands
        if isinstance(command, TO_TRIGGERS):
            topic = self._topics.trigger_commands
        return NewRecord(topic.name, key, codec.encode(command))

    def add_slots(self, partition: int, batch: SlotBatch) -> None:
        """Add what happened to the slots of a flow."""
        key = str(FlowKey(batch.tenant, batch.namespace, batch.flow_id))
        name = self._topics.executions.name
        self.records.append(NewRecord(name, key, codec.encode(batch), partition))

    def add_command(self, key: str, command: codec.AvroRecord) -> None:
        """Send a command to another execution."""
        self.records.append(self._command_record(key, command))

    def add_rejection(self, partition: int, rejection: e.CommandRejected) -> None:
        """Say that a command was refused, to whoever waits for it."""
        name = self._topics.executions.name
        value = codec.encode(rejection)
        self.records.append(NewRecord(name, rejection.execution_id, value, partition))
