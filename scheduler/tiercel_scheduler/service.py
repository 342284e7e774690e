"""The scheduler's loop: read what it is told, fire what is due, commit once.

Theory of operation. Owning a partition of trigger-commands means owning the same partition of
triggers: the states of all triggers of the flows hashed to it. Taking one over reads its states
back from the log. Each turn takes a batch of records and of due triggers, and writes states, the
commands that start executions and the consumed offsets in one transaction. When its outcome is
not a plain yes, everything in memory is dropped and read back. Ids of executions derive from the
trigger and the date, so that even a turn that two schedulers take starts nothing twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock
from tiercel_engine.errors import CommitUncertain, LogError, OwnerFenced, PartitionsLost
from tiercel_engine.eventlog.base import Consumer, EventLog, Record, TopicPartition
from tiercel_engine.eventlog.dead_letters import dead_letter
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


class Scheduler:
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
        self.ready = threading.Event()
        self._log = log
        self._topics = topics
        self._catalog = catalog
        self._clock = clock
        self._instance = instance
        self._settings = settings or SchedulerSettings()
        starter = Starter(storage, clock, encrypt)
        self._handler = Handler(catalog, clock, starter, self._settings.timezone)
        self._flow_triggers = FlowTriggers(
            self._handler, starter, storage, clock, self._settings.timezone
        )
        self._polls = Polls(self._handler, starter, storage, clock)
        self._inbound = Inbound(catalog, starter, registry)
        self._waiting = Waiting(clock)
        self._shelves: dict[int, Shelf] = {}
        #: Flows whose newest revision the states of their triggers may not follow yet.
        self._unseen: deque[FlowKey] = deque()
        self._poison: list[Any] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Own partitions and look after their triggers until `stop`.

        Raises:
            LogUnavailable: the log did not come back in time.
        """
        self.open()
        try:
            while not self._stopping.is_set():
                self.turn()
        finally:
            self.close()

    def open(self) -> None:
        """Read the flows and join the group; fences whoever used this instance name before."""
        self._catalog.catch_up()
        self._transactions = self._log.transactions(self._owner)
        self._consumer = self._join()

    def close(self) -> None:
        """Leave the group, so that others take the partitions over at once."""
        self.ready.clear()
        self._consumer.close()
        self._transactions.close()

    def stop(self) -> None:
        """Let `run` end after the transaction in hand."""
        self._stopping.set()
        consumer = getattr(self, "_consumer", None)
        if consumer is not None:
            consumer.wake()

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
    def _owner(self) -> str:
        return f"{self._topics.prefix}{GROUP}-{self._instance}"

    def _join(self) -> Consumer:
        topics = [self._topics.trigger_commands.name, self._topics.trigger_messages.name]
        return self._log.consumer(self._topics.prefix + GROUP, topics, self._instance, self)

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

    def _rebuild(self) -> None:
        """The last transaction's outcome is in doubt: the log decides."""
        self._transactions.close()
        self._transactions = self._log.transactions(self._owner)
        self._consumer.close()
        self._shelves.clear()
        self._unseen.clear()
        self._waiting.clear()
        self._consumer = self._join()

    # -- one turn -------------------------------------------------------------------------------

    def turn(self) -> None:
        """Wait for records or a date, do what there is to do, commit it."""
        records = self._consumer.poll(self._settings.batch_records_max, self._wait_s())
        outbox = Outbox(self._topics)
        outbox.records += self._poison
        self._poison.clear()
        consumed: dict[TopicPartition, int] = {}
        for lane, held in self._waiting.due():
            self._take_all(held, outbox, consumed)
            if lane not in self._waiting:
                self._consumer.resume([lane])
        self._take_all(records, outbox, consumed)
        self._reconcile(outbox)
        self._fire(outbox)
        outbox.records += self._poison
        self._poison.clear()
        if outbox.records or consumed:
            self._commit(outbox, consumed)

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
            log.exception("trigger_message_failed", offset=record.offset)
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            self._bury(record, reason)
        return True

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
                else:
                    self._handler.fire(shelf, state, outbox)
                SCHEDULER_STARTS.inc()
            if left <= 0:
                break

    def _commit(self, outbox: Outbox, consumed: dict[TopicPartition, int]) -> None:
        try:
            with SCHEDULER_COMMIT_S.time():
                self._transactions.commit(outbox.records, consumed, self._consumer)
        except (CommitUncertain, OwnerFenced, PartitionsLost) as error:
            log.warning("transaction_in_doubt", error=str(error), kind=type(error).__name__)
            self._rebuild()
        except LogError:
            log.exception("transaction_failed", records=len(outbox.records))
            self._rebuild()

    def _bury(self, record: Record, reason: str) -> None:
        log.error("record_refused", topic=record.topic, offset=record.offset, reason=reason)
        self._poison.append(dead_letter(record, reason, self._topics.dead_letters.name))
