"""The scheduler's loop: read what it is told, fire what is due, commit once.

Theory of operation. Owning a partition of trigger-commands means owning the same partition of
triggers: the states of all triggers of the flows hashed to it. Taking one over reads its states
back from the log. Each turn takes a batch of records and of due triggers, and writes states, the
commands that start executions and the consumed offsets in one transaction (`eventlog/owner.py`).
Ids of executions derive from the trigger and the date, so that even a turn that two schedulers take
starts nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogError, TransientError
from tiercel_engine.eventlog.base import EventLog, Record, TopicPartition
from tiercel_engine.eventlog.owner import PartitionOwner
from tiercel_engine.eventlog.schema_registry import RegistryUnavailable, SchemaRegistry
from tiercel_engine.flow.inputs import Encrypt
from tiercel_engine.plugin.dates import US
from tiercel_engine.storage.objects import Storage
from tiercel_engine.telemetry.metrics import SCHEDULER_COMMIT_S, SCHEDULER_STARTS
from tiercel_scheduler.flow_triggers import FlowTriggers
from tiercel_scheduler.handler import Handler
from tiercel_scheduler.inbound import Inbound
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.polls import KINDS, Polls
from tiercel_scheduler.settings import SchedulerSettings
from tiercel_scheduler.shelf import Shelf
from tiercel_scheduler.starts import Starter
from tiercel_scheduler.waiting import Waiting
from tiercel_schemas import commands as c
from tiercel_schemas import triggers as t
from tiercel_schemas.codec import UnreadableRecord, decode, decode_as
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.topics import Topics, partition_for
from tiercel_schemas.triggers import TriggerState

log = structlog.get_logger(__name__)

GROUP = "scheduler"
#: Turns dropped in a row after which a record that still cannot be taken is buried.
DROPS_MAX = 60


class Scheduler(PartitionOwner):
    """One scheduler process. `run` blocks in one thread; `stop` may be called from any."""

    def __init__(
        self,
        *,
        log: EventLog,
        topics: Topics,
        catalog: FlowCatalog,
        storage: Storage,
        clock: Clock,
        instance: str,
        encrypt: Encrypt | None = None,
        registry: SchemaRegistry | None = None,
        settings: SchedulerSettings | None = None,
    ) -> None:
        reads = [topics.trigger_commands, topics.trigger_messages]
        super().__init__(log, topics, GROUP, reads, instance)
        self._catalog = catalog
        self._clock = clock
        self._settings = settings or SchedulerSettings()
        starter = Starter(storage, clock, encrypt)
        self._handler = Handler(catalog, clock, starter, self._settings)
        self._flow_triggers = FlowTriggers(
            self._handler, starter, storage, clock, self._settings.timezone
        )
        self._polls = Polls(self._handler, starter, storage, clock)
        self._inbound = Inbound(catalog, starter, registry)
        self._waiting = Waiting(clock)
        self._shelves: dict[int, Shelf] = {}
        #: Flows whose newest revision the states of their triggers may not follow yet.
        self._unseen: deque[FlowKey] = deque()
        #: Turns in a row that came to nothing because storage did not answer.
        self._dropped = 0

    def open(self) -> None:
        """Read the flows and join the group; fences whoever used this instance name before."""
        self._catalog.catch_up()
        super().open()

    def states(self) -> dict[str, TriggerState]:
        """What is in memory now, by trigger. For tests; the read model is for everyone else."""
        return {
            f"{key}/{state.trigger_id}": state
            for shelf in self._shelves.values()
            for key in shelf.flows()
            for state in shelf.of_flow(key).values()
            if state.trigger_id
        }

    @property
    def owned(self) -> tuple[int, ...]:
        return tuple(sorted(self._shelves))

    # -- partitions -----------------------------------------------------------------------------

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Read the states of partitions won back from the log, before their first record."""
        self._catalog.catch_up()
        won = {at.partition for at in partitions if at.topic == self._topics.trigger_commands.name}
        for number in won:
            self._shelves[number] = self._recover(number)
        self._look_for_unseen(won)
        self.ready.set()

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions lost: their new owner reads the log."""
        for at in partitions:
            self._waiting.drop(at)
            if at.topic == self._topics.trigger_commands.name:
                self._shelves.pop(at.partition, None)

    def _recover(self, number: int) -> Shelf:
        shelf = Shelf(number, self._clock.now_us())
        states: dict[str, TriggerState] = {}
        for record in self._log.read(self._topics.triggers.name, number, 0):
            if record.value is None:
                states.pop(record.key, None)
                continue
            try:
                states[record.key] = decode_as(TriggerState, record.value)
            except UnreadableRecord as error:
                self._bury(record, str(error))
        shelf.load(states)
        log.info("triggers_recovered", partition=number, triggers=len(states))
        return shelf

    def _look_for_unseen(self, partitions: set[int]) -> None:
        """Revisions that were saved while no scheduler was told of them."""
        count = self._topics.triggers.partitions
        for entry in self._catalog.latest_all():
            key = FlowKey(entry.tenant, entry.namespace, entry.flow_id)
            number = partition_for(str(key), count)
            if number in partitions:
                known = self._shelves[number].of_flow(key).values()
                if "trigger" in entry.source or known:
                    newest = max((state.flow_revision for state in known), default=0)
                    if newest < entry.revision:
                        self._unseen.append(key)

    def _forget(self) -> None:
        self._shelves.clear()
        self._unseen.clear()
        self._waiting.clear()

    # -- one turn -------------------------------------------------------------------------------

    def turn(self) -> None:
        """Wait for records or a date, do what there is to do, commit it.

        When storage does not answer nothing is committed, and the log is read again.
        """
        try:
            self._turn()
            self._dropped = 0
        except TransientError as error:
            self._dropped += 1
            log.warning("turn_dropped", error=str(error), times=self._dropped)
            self._poison.clear()
            self._rebuild()
            self._stopping.wait(self._settings.dropped_wait_s)

    def _turn(self) -> None:
        records = self._consumer.poll(self._settings.batch_records_max, self._wait_s())
        outbox = Outbox(self._topics)
        consumed: dict[TopicPartition, int] = {}
        for lane, held in self._waiting.due():
            self._take_all(held, outbox, consumed)
            if lane not in self._waiting:
                self._consumer.resume([lane])
        self._take_all(records, outbox, consumed)
        self._reconcile(outbox)
        self._fire(outbox)
        if outbox.records or consumed or self._poison:
            with SCHEDULER_COMMIT_S.time():
                self._commit(outbox.records, consumed)

    def _wait_s(self) -> float:
        if self._unseen:
            return 0.0
        now_us = self._clock.now_us()
        due = [at for at in (s.next_due_us() for s in self._shelves.values()) if at is not None]
        wait_s = min(((at - now_us) / US for at in due), default=self._settings.idle_poll_s)
        return max(0.0, min(wait_s, self._settings.idle_poll_s))

    def _take_all(
        self, records: Sequence[Record], outbox: Outbox, consumed: dict[TopicPartition, int]
    ) -> None:
        for record in records:
            lane = TopicPartition(record.topic, record.partition)
            if lane not in self._waiting and self._take(record, outbox):
                consumed[lane] = record.offset + 1
            else:
                self._consumer.pause([self._waiting.hold(record)])

    def _take(self, record: Record, outbox: Outbox) -> bool:
        """Whether the record is done with."""
        if record.topic == self._topics.trigger_messages.name:
            return self._take_message(record, outbox)
        self._take_command(record, outbox)
        return True

    def _take_command(self, record: Record, outbox: Outbox) -> None:
        shelf = self._shelves.get(record.partition)
        if shelf is None:
            return
        try:
            command = decode(record.value)
            self._handle(shelf, command, outbox)
        except UnreadableRecord as error:
            self._bury(record, str(error))
        except Exception as error:
            if self._may_pass(error):
                raise
            # A command that breaks the scheduler must not stop the partition.
            log.exception("trigger_command_failed", key=record.key)
            self._bury(record, f"{type(error).__name__}: {error}")

    def _take_message(self, record: Record, outbox: Outbox) -> bool:
        try:
            reason = self._inbound.take(record, outbox)
        except RegistryUnavailable as error:
            log.warning("registry_unavailable", error=str(error))
            return False
        except LogError:
            raise
        except Exception as error:
            if self._may_pass(error):
                raise
            log.exception("trigger_message_failed", offset=record.offset)
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            self._bury(record, reason)
        return True

    def _may_pass(self, error: Exception) -> bool:
        """Whether trying again may help: then the turn is dropped instead of the record."""
        return isinstance(error, TransientError) and self._dropped < DROPS_MAX

    def _handle(self, shelf: Shelf, command: Any, outbox: Outbox) -> None:
        match command:
            case t.FlowChanged():
                key = FlowKey(command.tenant, command.namespace, command.flow_id)
                known = self._catalog.revisions(key)
                if not known or known[-1].revision < command.revision:
                    self._catalog.catch_up()
                self._handler.reconcile(shelf, key, outbox)
            case t.ExecutionChanged():
                self._flow_triggers.changed(shelf, command, outbox)
            case c.StartAttempt() | c.EndAttempt() | c.ReturnJob():
                self._polls.reply(shelf, command, outbox)
            case t.TriggerExecutionEnded():
                self._handler.ended(shelf, command, outbox)
            case _ if getattr(command, "trigger_id", None) and hasattr(command, "command_id"):
                self._handler.ask(shelf, command, outbox)
            case _:
                raise UnreadableRecord(
                    f"Expected a command to triggers, but it is a {type(command).__name__}."
                )

    def _reconcile(self, outbox: Outbox) -> None:
        for _ in range(min(len(self._unseen), self._settings.flows_max)):
            key = self._unseen.popleft()
            shelf = self._shelves.get(partition_for(str(key), self._topics.triggers.partitions))
            if shelf is not None:
                self._handler.reconcile(shelf, key, outbox)

    def _fire(self, outbox: Outbox) -> None:
        now_us = self._clock.now_us()
        left = self._settings.fires_max
        for shelf in self._shelves.values():
            for state in shelf.due(now_us, left):
                left -= 1
                if state.kind in KINDS:
                    self._polls.look(shelf, state, outbox)
                elif state.kind == "FLOW":
                    self._flow_triggers.missed(shelf, state, outbox)
                else:
                    self._handler.fire(shelf, state, outbox)
                SCHEDULER_STARTS.inc()
            if left <= 0:
                break
