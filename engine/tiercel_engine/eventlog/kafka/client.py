"""What the clients of a Kafka cluster share: settings, errors, messages as records.

The settings whose reason does not show were measured: the client's default retry back-off makes a
transaction take 100 ms instead of 6, and a fetch that waits for more data delays every hop of an
execution.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogUnavailable, ProgrammingError, RecordTooLarge
from tiercel_engine.eventlog.base import RECORD_BYTES_MAX, NewRecord, Record, TopicPartition
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.topics import partition_for

#: How long the broker may take for a question, in seconds.
REQUEST_TIMEOUT_S = 30.0

#: A hung transaction blocks every reader until the broker gives it up, in milliseconds.
TRANSACTION_TIMEOUT_MS = 10_000

#: How long one look at the cluster's layout may take, in seconds.
PROBE_TIMEOUT_S = 2.0

#: How long a commit is tried again while a rebalance settles, in seconds.
REJOIN_TIMEOUT_S = 10.0

#: Between two tries of anything, in seconds.
PAUSE_S = 0.02

#: `wake` is noticed within this many seconds.
POLL_SLICE_S = 0.05

#: The same complaint of the client is logged once in so many seconds.
REPEAT_S = 30.0

#: A message as the client counts it: the value, its key, headers and framing; Kafka's default.
MESSAGE_BYTES_MAX = 1_048_588

COMMON: Mapping[str, Any] = {
    # With the default the client drops its handle of a broker that was away, while transactions
    # go on waiting for that very handle, for ever.
    "metadata.recovery.strategy": "none",
    "retry.backoff.ms": 2,
    "retry.backoff.max.ms": 10,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
}
#: Only for clients that are polled all the time: elsewhere reports would pile up unread.
STATISTICS: Mapping[str, Any] = {"statistics.interval.ms": 60_000}
PRODUCER: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 2,
    "message.max.bytes": MESSAGE_BYTES_MAX,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 128 * 1_024,
}
CONSUMER: Mapping[str, Any] = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 5,
    "isolation.level": "read_committed",
    "queued.max.messages.kbytes": 16 * 1_024,
    "queued.min.messages": 10_000,
}
MEMBER: Mapping[str, Any] = {
    "heartbeat.interval.ms": 500,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 6_000,
}

#: The group has moved on, but this member may well still own what it commits for.
REJOINING = frozenset({ck.KafkaError.ILLEGAL_GENERATION, ck.KafkaError.REBALANCE_IN_PROGRESS})
LOST = REJOINING | {ck.KafkaError.UNKNOWN_MEMBER_ID, ck.KafkaError.FENCED_INSTANCE_ID}
FENCED = frozenset(
    {
        ck.KafkaError._FENCED,
        ck.KafkaError.INVALID_PRODUCER_EPOCH,
        ck.KafkaError.PRODUCER_FENCED,
    }
)

PASSING = frozenset(
    {
        ck.KafkaError._TIMED_OUT,
        ck.KafkaError._TRANSPORT,
        ck.KafkaError.FENCED_LEADER_EPOCH,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)

log = get_logger()


class QuietLog(logging.Filter):
    """Lets the same complaint of librdkafka through once per `REPEAT_S`: it retries for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            return True
        # The first word is librdkafka's name of the event, such as FAIL.
        event = record.getMessage().partition(" ")[0]
        now_s = time.monotonic()
        if now_s - self._last_s.get(event, -REPEAT_S) < REPEAT_S:
            return False
        self._last_s[event] = now_s
        return True


def client_logger() -> logging.Logger:
    """Where librdkafka's own lines go."""
    logger = logging.getLogger("librdkafka")
    if not any(isinstance(known, QuietLog) for known in logger.filters):
        logger.addFilter(QuietLog())
    return logger


class Cluster:
    """The cluster's address, settings and layout. Thread-safe."""

    def __init__(self, bootstrap: str, clock: Clock, overrides: Mapping[str, Any]) -> None:
        self.clock = clock
        self._bootstrap = bootstrap
        self._overrides = overrides
        self._counts: dict[str, int] = {}
        self._askers: dict[str, ck.Consumer] = {}
        self._asking = threading.Lock()
        self.admin = AdminClient(self.settings(COMMON))

    def settings(self, *layers: Mapping[str, Any]) -> dict[str, Any]:
        """Client settings: the layers, the later over the earlier, the overrides over all."""
        merged: dict[str, Any] = {
            "bootstrap.servers": self._bootstrap,
            "error_cb": note_error,
            "stats_cb": note_statistics,
            "logger": client_logger(),
        }
        for layer in (*layers, self._overrides):
            merged |= layer
        return merged

    def reader(self, extra: Mapping[str, Any]) -> ck.Consumer:
        """A consumer without a group; the client asks for the name of one all the same."""
        name = {"group.id": f"tiercel-tail-{uuid.uuid4()}"}
        return ck.Consumer(self.settings(COMMON, CONSUMER, name, extra))

    def partition_count(self, topic: str) -> int:
        count = self._counts.get(topic)
        if count is None:
            try:
                found = self.admin.list_topics(topic, REQUEST_TIMEOUT_S).topics[topic]
            except ck.KafkaException as error:
                raise LogUnavailable(f"Expected to find {topic!r}, but {error}") from error
            count = len(found.partitions)
            if not count:
                raise ProgrammingError(f"Expected topic {topic!r} to exist, but it does not")
            self._counts[topic] = count
        return count

    def place(self, record: NewRecord) -> int:
        """The record's partition. Raises `RecordTooLarge`."""
        if record.value is not None and len(record.value) > RECORD_BYTES_MAX:
            raise RecordTooLarge(
                f"Expected a value of at most {RECORD_BYTES_MAX} bytes for {record.topic!r}, "
                f"but it has {len(record.value)}"
            )
        if record.partition is not None:
            return record.partition
        return partition_for(record.key, self.partition_count(record.topic))

    def ends(
        self, places: Iterable[TopicPartition], isolation: ck.IsolationLevel
    ) -> dict[TopicPartition, int]:
        """The next offset of each partition. Raises `LogUnavailable`."""
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {ck.TopicPartition(*at): newest for at in places}
        self.admin.poll(0)  # its errors and log lines, which wait to be served
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while True:
            told = self.admin.list_offsets(
                asked, isolation_level=isolation, request_timeout=REQUEST_TIMEOUT_S
            )
            try:
                return {
                    TopicPartition(at.topic, at.partition): outcome.result(REQUEST_TIMEOUT_S).offset
                    for at, outcome in told.items()
                }
            except TimeoutError:
                raise LogUnavailable(
                    f"Expected the ends of partitions in {REQUEST_TIMEOUT_S:g} s, but none came"
                ) from None
            except ck.KafkaException as error:
                # Leaders move, and this client learns of it by asking for the topics.
                if not is_passing(cause_of(error)) or time.monotonic() > deadline_s:
                    raise LogUnavailable(f"Expected the ends of partitions, but {error}") from error
                self.refresh()

    def group_offsets(
        self, group: str, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The next offset that a group reads of each partition; 0: it stored none.

        Raises:
            LogUnavailable: the cluster does not say.
        """
        # Not by the admin client: its answer to this question crashes the process when the
        # coordinator dies meanwhile. A consumer that subscribes to nothing joins no group.
        with self._asking:
            if group not in self._askers:
                settings = self.settings(COMMON, {"group.id": group, "enable.auto.commit": False})
                self._askers[group] = ck.Consumer(settings)
            try:
                asked = [ck.TopicPartition(*at) for at in places]
                found = self._askers[group].committed(asked, PROBE_TIMEOUT_S)
            except ck.KafkaException as error:
                raise LogUnavailable(f"Expected the offsets of {group!r}, but {error}") from error
        return {TopicPartition(at.topic, at.partition): max(0, at.offset) for at in found}

    def close(self) -> None:
        """Close what asks for offsets."""
        with self._asking:
            for asker in self._askers.values():
                asker.close()
            self._askers.clear()

    def refresh(self) -> None:
        """Ask for the layout of the cluster anew; that it cannot be had now is noted only."""
        try:
            self.admin.list_topics(timeout=PROBE_TIMEOUT_S)
        except ck.KafkaException as error:
            note_error(cause_of(error))
            time.sleep(PAUSE_S)


def fetch(client: ck.Consumer, max_messages: int, timeout_s: float) -> list[ck.Message]:
    """Wait for one message, then take what is there: a plain `consume` waits for all of them."""
    batch = client.consume(1, timeout_s)
    return batch + client.consume(max_messages - 1, 0) if batch else batch


def to_record(message: ck.Message) -> Record:
    """A message as a record. Producers outside Tiercel may leave out the key or use other text."""
    pairs = cast("list[tuple[str, bytes | None]] | None", message.headers())
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        (message.key() or b"").decode(errors="replace"),
        message.value(),
        message.timestamp()[1],
        {name: value or b"" for name, value in pairs} if pairs else None,
    )


def to_positions(offsets: Mapping[TopicPartition, int]) -> list[ck.TopicPartition]:
    return [ck.TopicPartition(*at, offset) for at, offset in offsets.items()]


def cause_of(error: ck.KafkaException) -> ck.KafkaError:
    cause: ck.KafkaError = error.args[0]
    return cause


def is_passing(error: ck.KafkaError) -> bool:
    """Whether asking again may help: leaders moved, or the broker is away."""
    return error.retriable() or error.code() in PASSING


def to_error(error: ck.KafkaError) -> RecordTooLarge | LogUnavailable:
    kind = RecordTooLarge if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE else LogUnavailable
    return kind(f"Expected the record to be appended, but {error}")


def note_error(error: ck.KafkaError) -> None:
    log.warning("kafka_error", code=error.name(), reason=str(error), fatal=error.fatal())


def note_statistics(text: str) -> None:
    facts = msgspec.json.decode(text)
    log.debug("kafka_statistics", **{name: facts[name] for name in ("name", "msg_cnt", "replyq")})
