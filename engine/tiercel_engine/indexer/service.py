"""The indexer: reads executions, logs and metrics, writes the read model.

Theory of operation. The consumer group decides only who owns which partition; where to read from
stands in the database, written in the transaction of the rows. So a member of the group polls for
ownership alone, all its partitions paused, and the records come from a second consumer that starts
at the offsets of the database. Whoever takes a partition over goes on exactly where the database
is; whoever lost it without noticing is refused by `Store.write`, opens its partitions again and
goes on. Nothing is indexed twice, nothing is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing, suppress

from tiercel_engine.clock import Clock
from tiercel_engine.errors import (
    LogBusy,
    LogUnavailable,
    PartitionsLost,
    TiercelError,
    TransientError,
)
from tiercel_engine.eventlog.base import Consumer, EventLog, Record, TopicPartition
from tiercel_engine.indexer.projector import Projector
from tiercel_engine.repository.base import WriteModels
from tiercel_engine.telemetry.logging import get_logger
from tiercel_engine.telemetry.metrics import INDEXER_BATCH_S
from tiercel_schemas.topics import Topics

GROUP = "indexer"

#: Records per SQL transaction at most.
BATCH_RECORDS_MAX = 2_000

#: How far apart transactions are under load, so that many records share one. After a batch of fewer
#: records than this the next may come sooner, in proportion to its square: at rest a record does
#: not wait.
BATCH_INTERVAL_S = 0.03
BATCH_LOADED_RECORDS = 20

#: How long a poll waits for the first record, and how often ownership is looked at.
POLL_TIMEOUT_S = 0.2
OWNERSHIP_INTERVAL_S = 0.1

#: How often the group is told how far the read model is. Nobody reads from there; it lets Kafka's
#: own tools show the lag.
REPORT_INTERVAL_S = 5.0

#: A database that is away is tried again this often, waiting 0.1 s, 0.2 s … up to 5 s.
RETRIES_MAX = 60
RETRY_WAIT_MAX_S = 5.0

#: Called after each commit with execution id -> number of its newest event in the read model.
Listener = Callable[[Mapping[str, int]], None]

log = get_logger()


class Indexer:
    """One indexer; several share the partitions. `run` belongs to one thread.

    Args:
        member: stable name within the group, different for each process.
    """

    def __init__(
        self,
        event_log: EventLog,
        topics: Topics,
        store: WriteModels,
        clock: Clock,
        member: str = "indexer-0",
    ) -> None:
        self._log = event_log
        self._topics = topics
        self._store = store
        self._clock = clock
        self._member = member
        self._listeners: list[Listener] = []
        self._stopped = threading.Event()
        self._reader: Consumer | None = None
        self._owned: frozenset[TopicPartition] = frozenset()
        self._looked_s = self._written_s = self._reported_s = float("-inf")
        self._interval_s = 0.0
        self._failures = 0
        self._lag_us = 0

    @property
    def lag_us(self) -> int:
        """How old the newest record of the last batch was when it had been written."""
        return self._lag_us

    @property
    def owned(self) -> tuple[int, ...]:
        """Partitions of executions that are owned now. From any thread."""
        name = self._topics.executions.name
        return tuple(sorted(at.partition for at in self._owned if at.topic == name))

    def on_indexed(self, listener: Listener) -> None:
        """Call `listener` after each commit, in the indexer's thread; it must be quick."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Make `run` return soon. From any thread, also before `run`."""
        self._stopped.set()
        if self._reader is not None:
            self._reader.wake()

    def run(self) -> None:
        """Index until `stop`.

        Raises:
            DatabaseUnavailable: the database stayed away.
            OwnerFenced: a newer member of the same name joined.
        """
        topics = [topic.name for topic in self._topics.indexed()]
        with ExitStack() as stack:
            stack.callback(self._close_reader)
            letters = self._log.appender()
            stack.callback(letters.close)
            member = self._log.consumer(self._topics.prefix + GROUP, topics, self._member, None)
            stack.callback(member.close)
            projector = Projector(self._topics, self._store, letters)
            while not self._stopped.is_set():
                try:
                    self._turn(member, projector)
                    self._failures = 0
                except (TransientError, LogUnavailable, LogBusy) as error:
                    self._await_recovery(error)

    def _turn(self, member: Consumer, projector: Projector) -> None:
        """Look at what we own, read a batch, write it."""
        self._look(member, projector)
        if self._reader is None:
            return
        records = self._poll(self._reader, any(projector.purges.lanes))
        records += self._purge(self._reader, projector)
        if not records:
            return
        with INDEXER_BATCH_S.time():
            sequences = projector.index(records)
        self._reader.pause(TopicPartition(*lane) for lane in projector.purges.lanes)
        self._written_s = time.monotonic()
        load = min(1.0, len(records) / BATCH_LOADED_RECORDS)
        self._interval_s = BATCH_INTERVAL_S * load * load
        self._lag_us = max(0, self._clock.now_us() - records[-1].timestamp_ms * 1_000)
        if sequences:
            for listener in self._listeners:
                listener(sequences)
        if self._written_s > self._reported_s + REPORT_INTERVAL_S:
            self._reported_s = self._written_s
            offsets = {TopicPartition(*lane): at for lane, at in projector.offsets().items()}
            # Said again in a while; a lost partition shows at the next look.
            with suppress(LogUnavailable, PartitionsLost):
                member.commit(offsets)

    @staticmethod
    def _purge(reader: Consumer, projector: Projector) -> list[Record]:
        """Go on with deletions; what waited for those that are done."""
        records = projector.purges.step()
        reader.resume({TopicPartition(record.topic, record.partition) for record in records})
        return records

    def _look(self, member: Consumer, projector: Projector) -> None:
        """Follow the group: read exactly the partitions that are ours."""
        if self._reader is not None and time.monotonic() < self._looked_s + OWNERSHIP_INTERVAL_S:
            return
        # Nothing comes from a paused partition; what slips through is read again by the reader.
        member.poll(1, POLL_TIMEOUT_S if self._reader is None else 0.0)
        self._looked_s = time.monotonic()
        owned = member.assignment()
        if owned == self._owned and self._reader is not None:
            return
        self._close_reader()
        member.pause(owned)
        self._owned = owned
        if owned:
            offsets = projector.open([(at.topic, at.partition) for at in owned])
            self._reader = self._log.tail_from({TopicPartition(*k): v for k, v in offsets.items()})
            log.info("indexer_opened", partitions=len(owned))

    def _poll(self, reader: Consumer, is_busy: bool) -> list[Record]:
        """The next batch: what is there, and what comes until the next transaction is due.

        `is_busy`: something else waits to be done.
        """
        records = reader.poll(BATCH_RECORDS_MAX, 0.0 if is_busy else POLL_TIMEOUT_S)
        wait_s = self._written_s + self._interval_s - time.monotonic()
        if records and len(records) < BATCH_RECORDS_MAX and wait_s > 0:
            # Not by the reader: it would wake for each append, and that costs more than the rows.
            self._stopped.wait(wait_s)
            records += reader.poll(BATCH_RECORDS_MAX - len(records), 0.0)
        return records

    def _await_recovery(self, error: TiercelError) -> None:
        """Wait, then start over from the database's offsets; give up after `RETRIES_MAX`."""
        self._close_reader()
        self._failures += 1
        if self._failures > RETRIES_MAX:
            raise error
        wait_s = min(0.1 * self._failures, RETRY_WAIT_MAX_S)
        log.warning("indexer_retries", failures=self._failures, wait_s=wait_s, error=str(error))
        self._stopped.wait(wait_s)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def rebuild(
    event_log: EventLog,
    topics: Topics,
    store: WriteModels,
    progress: Callable[[str, int, int, int], None] | None = None,
) -> int:
    """Drop all rows and index the whole log again; no indexer may run meanwhile.

    Lines and metrics that the log no longer holds stay. Executions come back from their first
    event.

    Args:
        progress: called after each batch with topic, partition, next offset, end offset.

    Returns:
        How many records were read.

    Raises:
        OffsetsMoved: an indexer ran meanwhile; stop it and rebuild again.
    """
    kinds = topics.indexed()
    lanes = [(t.name, p) for t in kinds for p in range(event_log.partition_count(t.name))]
    ends = {lane: event_log.end_offset(*lane) for lane in lanes}
    store.clear(
        _first_offsets(
            event_log,
            [lane for lane in lanes if lane[0] in (topics.logs.name, topics.metrics.name)],
        ),
        topics.logs.name,
        topics.metrics.name,
    )
    count = 0
    with closing(event_log.appender()) as letters:
        projector = Projector(topics, store, letters)
        projector.open(lanes)
        for topic, partition in lanes:
            for records in _batches(event_log.read(topic, partition, 0)):
                projector.index_all(records)
                count += len(records)
                if progress is not None:
                    progress(topic, partition, records[-1].offset + 1, ends[topic, partition])
    return count


def _first_offsets(
    event_log: EventLog, lanes: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """The first offset that the log still holds; partitions without records are left out."""
    first = {}
    for lane in lanes:
        record = next(iter(event_log.read(*lane, 0)), None)
        if record is not None:
            first[lane] = record.offset
    return first


def _batches(records: Iterable[Record]) -> Iterable[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == BATCH_RECORDS_MAX:
            yield batch
            batch = []
    if batch:
        yield batch
