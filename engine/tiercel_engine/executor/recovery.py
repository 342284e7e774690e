"""Reading a partition's state back from the log: checkpoint and tail, or from offset 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from tiercel_engine.errors import NotFound
from tiercel_engine.eventlog.base import EventLog, Record
from tiercel_engine.execution.apply import EventGap, fold
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.slots import SlotGap
from tiercel_engine.execution.slots import fold as fold_slots
from tiercel_engine.executor import checkpoint as checkpoints
from tiercel_engine.executor.partition import Partition
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_schemas import events as e
from tiercel_schemas.codec import UnreadableRecord, decode
from tiercel_schemas.common import PositionRange
from tiercel_schemas.concurrency import SlotBatch
from tiercel_schemas.ids import FlowKey

log = structlog.get_logger(__name__)

#: What a poison record is handed to: the record and why it could not be read.
OnPoison = Callable[[Record, str], None]


class Recovery:
    """Rebuilds partitions and single executions from the executions topic."""

    def __init__(
        self,
        event_log: EventLog,
        topic: str,
        settings: ExecutorSettings,
        load_checkpoint: Callable[[int], bytes | None],
        on_poison: OnPoison,
    ) -> None:
        self._log = event_log
        self._topic = topic
        self._settings = settings
        self._load_checkpoint = load_checkpoint
        self._on_poison = on_poison

    def partition(self, number: int, use_checkpoint: bool = True) -> Partition:
        """The state of partition `number` at the committed end of its topic."""
        partition = Partition(number, self._settings)
        offset = self._from_checkpoint(partition) if use_checkpoint else 0
        folded = 0
        for record in self._log.read(self._topic, number, offset):
            self._fold(partition, record)
            folded += 1
        partition.start_timers()
        log.info(
            "partition_recovered",
            partition=number,
            from_offset=offset,
            records=folded,
            live_executions=len(partition.executions),
        )
        return partition

    def _from_checkpoint(self, partition: Partition) -> int:
        data = self._load_checkpoint(partition.number)
        checkpoint = checkpoints.decode(data) if data is not None else None
        if checkpoint is None:
            return 0
        checkpoints.restore(checkpoint, partition)
        return checkpoint.offset

    def _fold(self, partition: Partition, record: Record) -> None:
        try:
            batch = decode(record.value)
        except UnreadableRecord as error:
            self._on_poison(record, str(error))
            return
        try:
            if isinstance(batch, e.EventBatch):
                self._fold_events(partition, batch)
            elif isinstance(batch, SlotBatch):
                key = FlowKey(batch.tenant, batch.namespace, batch.flow_id)
                partition.slots[key] = fold_slots(partition.slots_of(key), batch)
        except (EventGap, SlotGap) as error:
            # Transactions leave no gaps, so the record is not ours: the state stands without.
            self._on_poison(record, str(error))

    def _fold_events(self, partition: Partition, batch: e.EventBatch) -> None:
        execution = partition.execution(batch.execution_id)
        if not execution.exists and batch.positions:
            execution = self.execution(partition.number, batch.execution_id, batch.positions)
        self._keep(partition, fold(execution, batch), batch)

    @staticmethod
    def _keep(partition: Partition, execution: Execution, batch: e.EventBatch) -> None:
        for event in batch.events:
            if isinstance(event, e.ExecutionCreated) and event.deduplicate:
                partition.given_ids.add(execution.id)
        partition.keep(execution, batch.at_us)

    def execution(
        self, partition: int, execution_id: str, positions: Iterable[PositionRange]
    ) -> Execution:
        """Fold one execution that has left memory from where its events lie.

        Raises:
            NotFound: its first event is not there.
        """
        execution = Execution(execution_id)
        for where in positions:
            for record in self._log.read(self._topic, partition, where.first, where.last + 1):
                if record.key != execution_id:
                    continue
                batch = decode(record.value)
                if isinstance(batch, e.EventBatch):
                    execution = fold(execution, batch)
        if not execution.exists:
            raise NotFound(
                f"Expected the events of execution {execution_id} at the given positions of "
                "the log, but they are not there. Rebuild the index: tiercel index rebuild."
            )
        return execution
