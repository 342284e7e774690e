"""A loop over partitions that it owns, with one transaction a turn: executor and scheduler.

Theory of operation. Owning a partition of the topics read means keeping what was folded from it
in memory. `poll` brings records and, inside it, news of partitions won and lost. A turn changes
what is in memory at once and then commits all it wrote with the consumed offsets. When the outcome
is not a plain yes, everything in memory is dropped and read back: what the log says is what
happened.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import structlog

from tiercel_engine.errors import CommitUncertain, LogError, OwnerFenced, PartitionsLost
from tiercel_engine.eventlog.base import Consumer, EventLog, NewRecord, Record, TopicPartition
from tiercel_engine.eventlog.dead_letters import dead_letter
from tiercel_schemas.topics import Topic, Topics

log = structlog.get_logger(__name__)


class PartitionOwner(ABC):
    """One member of a group. `run` blocks in one thread; `stop` may be called from any.

    Args:
        log: what is read and written.
        topics: the names and sizes of all topics.
        group: the group's name without the topics' prefix; also the owner's, with `instance`.
        reads: the topics that the group shares.
        instance: this process's stable name: a new one of the same name fences it.
    """

    def __init__(
        self, log: EventLog, topics: Topics, group: str, reads: Sequence[Topic], instance: str
    ) -> None:
        self.ready = threading.Event()
        self._log = log
        self._topics = topics
        self._group = topics.prefix + group
        self._reads = [topic.name for topic in reads]
        self._instance = instance
        self._stopping = threading.Event()
        #: Dead letters that the next transaction takes along.
        self._poison: list[NewRecord] = []

    def run(self) -> None:
        """Own partitions and take turns until `stop`.

        Raises:
            AssertionError: an invariant is broken; better stop than write what does not hold.
            LogUnavailable: the log did not come back in time.
        """
        self.open()
        try:
            while not self._stopping.is_set():
                self.turn()
            self._leaving()
        finally:
            self.close()

    def open(self) -> None:
        """Join the group; fences whoever used this instance name before."""
        self._transactions = self._log.transactions(f"{self._group}-{self._instance}")
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

    @property
    @abstractmethod
    def owned(self) -> tuple[int, ...]:
        """Numbers of the partitions that are owned now. From any thread."""

    @abstractmethod
    def turn(self) -> None:
        """Wait for records or a time, do what there is to do, commit it."""

    @abstractmethod
    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Read what partitions won hold back from the log, before their first record."""

    @abstractmethod
    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget partitions lost: their new owner reads the log."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop everything in memory that follows from the log."""

    def _leaving(self) -> None:  # noqa: B027 a hook that may stay empty
        """Called after the last turn, while the partitions are still owned."""

    def _join(self) -> Consumer:
        return self._log.consumer(self._group, self._reads, self._instance, self)

    def _commit(self, records: Sequence[NewRecord], consumed: Mapping[TopicPartition, int]) -> bool:
        """Whether it was written, the poison with it. If not, or in doubt, all is read back."""
        batch = [*records, *self._poison]
        self._poison.clear()
        try:
            self._transactions.commit(batch, consumed, self._consumer)
        except (CommitUncertain, OwnerFenced, PartitionsLost) as error:
            log.warning("transaction_in_doubt", error=str(error), kind=type(error).__name__)
        except LogError:
            log.exception("transaction_failed", records=len(batch))
        else:
            return True
        self._rebuild()
        return False

    def _rebuild(self) -> None:
        self._transactions.close()
        self._transactions = self._log.transactions(f"{self._group}-{self._instance}")
        self._consumer.close()
        self._forget()
        self._consumer = self._join()

    def _bury(self, record: Record, reason: str) -> None:
        """Put a record that cannot be used among the dead letters of the next transaction."""
        log.error(
            "record_refused",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        self._poison.append(dead_letter(record, reason, self._topics.dead_letters.name))
