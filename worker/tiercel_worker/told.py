"""What a worker is told: revocations, which all workers hear, and what lies in its own inbox."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tiercel_engine.eventlog.base import EventLog, Record, TopicPartition
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.codec import UnreadableRecord, decode
from tiercel_schemas.jobs import Revocation, SessionClose, TaskJob
from tiercel_schemas.topics import Topics, partition_for

#: How much of it is read at once.
READ_MAX = 1_000

Message = Revocation | TaskJob | SessionClose

log = get_logger()


class Told:
    """Readers of both. For the main loop.

    Several workers may share a partition of the inboxes, so what is another's is left out. An
    inbox is read from its end: what was told to an earlier life of this worker is of no use.
    """

    def __init__(self, event_log: EventLog, topics: Topics, worker_id: str) -> None:
        self._log = event_log
        self._worker_id = worker_id
        self._revocations = topics.revocations.name
        # Taken before reading: what comes in between is heard twice, which does no harm.
        self._ends = self._ends_of(self._revocations, range(topics.revocations.partitions))
        own = partition_for(worker_id, topics.inboxes.partitions)
        self._tails = (
            event_log.tail_from(self._ends),
            event_log.tail_from(self._ends_of(topics.inboxes.name, [own])),
        )

    def so_far(self) -> Iterator[Message]:
        """What was revoked before this worker was there."""
        for at in self._ends:
            yield from self._mine(self._log.read(at.topic, at.partition, 0))

    def poll(self, timeout_s: float = 0.0) -> Iterator[Message]:
        """What is new; waits up to `timeout_s` for each of both."""
        for tail in self._tails:
            yield from self._mine(tail.poll(READ_MAX, timeout_s))

    def close(self) -> None:
        """Stop reading."""
        for tail in self._tails:
            tail.close()

    def _ends_of(self, name: str, partitions: Iterable[int]) -> dict[TopicPartition, int]:
        return {TopicPartition(name, p): self._log.end_offset(name, p) for p in partitions}

    def _mine(self, records: Iterable[Record]) -> Iterator[Message]:
        for record in records:
            if record.topic != self._revocations and record.key != self._worker_id:
                continue
            try:
                message = decode(record.value)
            except UnreadableRecord as error:
                # Every worker reads it, so it is logged here and not put aside once per worker.
                log.error("told_unreadable", offset=record.offset, reason=str(error))
                continue
            if isinstance(message, Revocation | TaskJob | SessionClose):
                yield message
            else:
                log.error("told_unreadable", offset=record.offset, reason=type(message).__name__)
