"""The executor's loop: read a batch of commands, step each, commit once.

Theory of operation. Every command is processed against the state in memory, whose changes are kept
at once, since the next command of the batch may need them. Then one transaction writes all events,
jobs and consumed offsets (`eventlog/owner.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

import structlog

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock, to_datetime
from tiercel_engine.eventlog.base import EventLog, Record, TopicPartition
from tiercel_engine.eventlog.owner import PartitionOwner
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.submit import group_of
from tiercel_engine.execution.templates import with_opened
from tiercel_engine.execution.timers import StartOverdue
from tiercel_engine.executor.announcer import Announcer
from tiercel_engine.executor.checkpointer import Checkpointer
from tiercel_engine.executor.dispatch import Dispatcher
from tiercel_engine.executor.handler import Handler
from tiercel_engine.executor.outbox import Outbox
from tiercel_engine.executor.partition import Partition
from tiercel_engine.executor.recovery import Recovery
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_engine.executor.tally import Tally
from tiercel_engine.executor.world import ExecutorWorld
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.limits import QUICK_MATCH_S
from tiercel_engine.expression.quick import QuickRenderer
from tiercel_engine.expression.server import ServerVariables
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_engine.telemetry.metrics import EXECUTOR_RECOVERY_S
from tiercel_schemas.codec import UnreadableRecord, decode
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.jobs import WorkerHeartbeat
from tiercel_schemas.topics import EXECUTORS, Topic, Topics

log = structlog.get_logger(__name__)

US = 1_000_000
#: How often silent workers are looked for.
LIVENESS_EVERY_S = 1.0


def _renderer(clock: Clock, rng: Random) -> QuickRenderer:
    """Renders where `process` decides: dates and chance go into its events."""
    return QuickRenderer(
        RenderContext(now=lambda: to_datetime(clock.now_us()), rng=rng, match_s=QUICK_MATCH_S)
    )


class Executor(PartitionOwner):
    """One executor process. `run` blocks in one thread; `stop` may be called from any."""

    def __init__(
        self,
        *,
        log: EventLog,
        topics: Topics,
        catalog: FlowCatalog,
        storage: Storage,
        clock: Clock,
        rng: Random,
        instance: str,
        settings: ExecutorSettings | None = None,
        server: ServerVariables | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        super().__init__(log, topics, EXECUTORS, [topics.commands], instance)
        self._catalog = catalog
        self._clock = clock
        self._settings = settings or ExecutorSettings()
        self._world = ExecutorWorld(catalog, clock, rng, _renderer(clock, rng), server, sealer)
        self._world.skips = self._settings.skips
        self._world.keeps_templates = self._settings.templates
        self._partitions: dict[int, Partition] = {}
        self._made: set[str] = set()
        self._dispatcher = Dispatcher(
            topics.jobs.partitions, self._settings.worker_lost_s, time.monotonic(), rng.random
        )
        self._announcer = Announcer(topics, catalog, self._settings.execution_events)
        self._world.has_workers = self._dispatcher.has_workers
        self._checkpoints = Checkpointer(
            log, topics.executions.name, storage, self._settings.checkpoint_every_s
        )
        self._recovery = Recovery(
            log,
            topics.executions.name,
            self._settings,
            self._checkpoints.load,
            self._bury,
        )
        self._tally = Tally()
        self._handler = Handler(self._world, self._recovery, self._tally)
        self._liveness_due_s = 0.0

    def open(self) -> None:
        """Read the flows and join the group; fences whoever used this instance name before."""
        self._catalog.catch_up()
        self._workers = self._log.tail([self._topics.workers.name], from_beginning=True)
        super().open()

    def close(self) -> None:
        """Leave the group, so that others take the partitions over at once."""
        super().close()
        self._workers.close()
        self._checkpoints.close()

    def _leaving(self) -> None:
        self._checkpoints.take_all(self._partitions.values(), final=True)

    def live_executions(self) -> dict[str, Execution]:
        """What is in memory now, by id. For tests; the read model is for everyone else."""
        partitions = self._partitions.values()
        return {key: x for partition in partitions for key, x in partition.executions.items()}

    @property
    def owned(self) -> tuple[int, ...]:
        return tuple(sorted(self._partitions))

    # -- partitions -----------------------------------------------------------------------------

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Read the state of partitions won back from the log, before their first command."""
        self._catalog.catch_up()
        for where in partitions:
            with EXECUTOR_RECOVERY_S.time():
                self._partitions[where.partition] = self._recovery.partition(where.partition)
        self.ready.set()

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions lost: their new owner reads the log."""
        for where in partitions:
            self._partitions.pop(where.partition, None)

    def _forget(self) -> None:
        self._world.dropped()
        self._tally.dropped()
        self._partitions.clear()

    # -- one turn -------------------------------------------------------------------------------

    def turn(self) -> None:
        """Wait for commands or a timer, process a batch, commit it."""
        records = self._consumer.poll(self._settings.batch_records_max, self._wait_s())
        self._hear_workers()
        self._catalog.refresh()
        outbox = Outbox(self._topics, self._dispatcher, self._announcer, self._ensure)
        consumed: dict[TopicPartition, int] = {}
        for record in records:
            partition = self._partitions.get(record.partition)
            if partition is None:
                continue
            self._command(partition, record, outbox)
            consumed[TopicPartition(record.topic, record.partition)] = record.offset + 1
        for partition in self._partitions.values():
            self._fire_timers(partition, outbox)
        self._lose_workers(outbox)
        if outbox.records or consumed or self._poison:
            begin_s = time.monotonic()
            if self._commit(outbox.records, consumed):
                self._world.committed()
                took_s = time.monotonic() - begin_s
                self._tally.committed(len(records), took_s, self._partitions.values())
        self._checkpoints.take_due(self._partitions.values(), self._settings)

    def _wait_s(self) -> float:
        """How long to wait for commands: until the next timer, at most."""
        wait_s = self._settings.idle_poll_s
        now_us = self._clock.now_us()
        for partition in self._partitions.values():
            due_us = partition.next_due_us()
            if due_us is not None:
                wait_s = min(wait_s, max(0.0, (due_us - now_us) / US))
        return wait_s

    def _command(self, partition: Partition, record: Record, outbox: Outbox) -> None:
        partition.commands_since_checkpoint += 1
        try:
            command = decode(record.value)
        except UnreadableRecord as error:
            self._bury(record, str(error))
            return
        reason = self._handler.handle(partition, command, outbox)
        if reason is not None:
            self._bury(record, reason)

    def _fire_timers(self, partition: Partition, outbox: Outbox) -> None:
        now_us = self._clock.now_us()
        for timer in partition.due_timers(now_us, self._settings.batch_records_max):
            if isinstance(timer, StartOverdue) and not self._can_start(partition, timer):
                # Every worker is busy: the job waits its turn, sending it again would not help.
                due_us = now_us + round(self._settings.start_timeout_s * US)
                partition.add_timer(due_us, timer)
                continue
            self._handler.handle(partition, timer, outbox)

    def _can_start(self, partition: Partition, timer: StartOverdue) -> bool:
        x = partition.executions.get(timer.execution_id)
        run = None if x is None else x.task_runs.get(timer.task_run_id)
        if x is None or run is None:
            return True
        plan = self._world.plan(FlowKey(x.tenant, x.namespace, x.flow_id), x.flow_revision)
        plan = None if plan is None else with_opened(plan, x, self._world)
        group = "" if plan is None else group_of(x, plan, self._world, run)
        return self._dispatcher.has_free_slot(group)

    def _ensure(self, topic: Topic) -> None:
        """Make the topic of a worker group when a job first needs it."""
        if topic.name not in self._made:
            self._log.create_topics([topic])
            self._made.add(topic.name)

    def _hear_workers(self) -> None:
        for record in self._workers.poll(self._settings.batch_records_max, 0.0):
            try:
                beat = decode(record.value)
            except UnreadableRecord as error:
                log.warning("heartbeat_unreadable", offset=record.offset, error=str(error))
                continue
            if isinstance(beat, WorkerHeartbeat) and self._dispatcher.heard(beat, time.monotonic()):
                self._liveness_due_s = 0.0

    def _lose_workers(self, outbox: Outbox) -> None:
        now_s = time.monotonic()
        if now_s < self._liveness_due_s:
            return
        self._liveness_due_s = now_s + LIVENESS_EVERY_S
        for partition in self._partitions.values():
            partition.prune_leases()
            for worker_id in self._dispatcher.lost(partition.lease_holders(), now_s):
                log.warning("worker_lost", worker_id=worker_id, partition=partition.number)
                for command in partition.lost_leases(worker_id):
                    self._handler.handle(partition, command, outbox)
