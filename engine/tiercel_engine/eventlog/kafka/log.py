"""The log on a Kafka cluster: topics, ends, reading one partition."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import confluent_kafka as ck
from confluent_kafka.cimpl import NewTopic

from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogUnavailable
from tiercel_engine.eventlog.base import (
    Appender,
    Consumer,
    RebalanceListener,
    Record,
    TopicPartition,
    Transactions,
)
from tiercel_engine.eventlog.kafka.client import (
    MESSAGE_BYTES_MAX,
    PAUSE_S,
    POLL_SLICE_S,
    REQUEST_TIMEOUT_S,
    TRANSACTION_TIMEOUT_MS,
    Cluster,
    cause_of,
    fetch,
    to_record,
)
from tiercel_engine.eventlog.kafka.consumer import KafkaConsumer, KafkaTail
from tiercel_engine.eventlog.kafka.producer import KafkaAppender, KafkaTransactions
from tiercel_schemas.topics import Topic

#: Idle consumers kept for `read`, and how many records they take at once.
READERS_MAX = 4
READ_CHUNK = 500

#: Producers may overshoot their own limit by one message per batch.
TOPIC_MESSAGE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX


class KafkaLog:
    """An `EventLog` on a Kafka cluster.

    Args:
        bootstrap: comma-separated `host:port`.
        clock: stamps the records.
        overrides: librdkafka settings put over ours in every client, such as those for TLS.
    """

    def __init__(
        self, bootstrap: str, clock: Clock, overrides: Mapping[str, Any] | None = None
    ) -> None:
        self._cluster = Cluster(bootstrap, clock, overrides or {})
        self._readers: list[ck.Consumer] = []
        self._readers_lock = threading.Lock()

    # ---- topics

    def create_topics(self, topics: Iterable[Topic]) -> None:
        wanted = [
            NewTopic(topic.name, num_partitions=topic.partitions, config=_policy(topic))
            for topic in topics
        ]
        created = self._cluster.admin.create_topics(wanted, request_timeout=REQUEST_TIMEOUT_S)
        for name, outcome in created.items():
            try:
                outcome.result(REQUEST_TIMEOUT_S)
            except ck.KafkaException as error:
                if cause_of(error).code() != ck.KafkaError.TOPIC_ALREADY_EXISTS:
                    raise LogUnavailable(f"Expected to create {name!r}, but {error}") from error
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while (
            not {topic.topic for topic in wanted} <= self._cluster.admin.list_topics().topics.keys()
        ):
            if time.monotonic() > deadline_s:
                raise LogUnavailable("Expected the created topics to show, but they did not")
            time.sleep(PAUSE_S)
        # Before the leader of a new partition answers, the idempotent producer may report a record
        # as durable that the partition never holds (its offset is unknown then): one topic in ten.
        # Those that exist are asked, too: another process may have created them just now.
        self.ends([topic.topic for topic in wanted])

    def partition_count(self, topic: str) -> int:
        return self._cluster.partition_count(topic)

    def end_offset(self, topic: str, partition: int) -> int:
        at = TopicPartition(topic, partition)
        return self._cluster.ends([at], ck.IsolationLevel.READ_UNCOMMITTED)[at]

    def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        return self._cluster.ends(self._places(topics), ck.IsolationLevel.READ_UNCOMMITTED)

    def group_offsets(self, group: str, topic: str) -> dict[TopicPartition, int]:
        return self._cluster.group_offsets(group, self._places([topic]))

    def _places(self, topics: Sequence[str]) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(self._cluster.partition_count(topic))
        ]

    # ---- writing

    def appender(self) -> Appender:
        return KafkaAppender(self._cluster)

    def transactions(self, owner: str) -> Transactions:
        return KafkaTransactions(self._cluster, owner)

    # ---- reading

    def consumer(
        self, group: str, topics: Sequence[str], member: str, listener: RebalanceListener | None
    ) -> Consumer:
        identity = {"group.id": group, "group.instance.id": f"{group}.{member}"}
        return KafkaConsumer(self._cluster, identity, topics, listener)

    def tail(self, topics: Sequence[str], from_beginning: bool) -> Consumer:
        places = self._places(topics)
        if from_beginning:
            return self.tail_from(dict.fromkeys(places, 0))
        return self.tail_from(self._cluster.ends(places, ck.IsolationLevel.READ_UNCOMMITTED))

    def tail_from(self, positions: Mapping[TopicPartition, int]) -> Consumer:
        return KafkaTail(self._cluster, positions)

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[Record]:
        at = TopicPartition(topic, partition)
        stop = self.end_offset(topic, partition)
        if end is not None:
            stop = min(stop, end)
        if start >= stop:
            return iter(())
        deadline_s = time.monotonic() + TRANSACTION_TIMEOUT_MS / 1_000 + REQUEST_TIMEOUT_S
        while self._cluster.ends([at], ck.IsolationLevel.READ_COMMITTED)[at] < stop:
            if time.monotonic() > deadline_s:
                raise LogUnavailable(
                    f"Expected {topic}, partition {partition}, to be settled up to {stop}, but a "
                    "transaction in it stays open. If this goes on, the broker has lost its end: "
                    "`kafka-transactions.sh find-hanging` and `abort` of Kafka's tools tell more."
                )
            time.sleep(PAUSE_S)
        return self._read(at, start, stop)

    def _read(self, at: TopicPartition, start: int, stop: int) -> Iterator[Record]:
        with self._readers_lock:
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            reader = self._cluster.reader({"enable.partition.eof": True})
        try:
            reader.assign([ck.TopicPartition(*at, start)])
            position, waited_s = start, 0.0
            while position < stop:
                waited_s += POLL_SLICE_S
                for message in fetch(reader, READ_CHUNK, POLL_SLICE_S):
                    offset, error = message.offset() or 0, message.error()
                    if error is not None and error.code() != ck.KafkaError._PARTITION_EOF:
                        continue
                    waited_s = 0.0
                    if error is None and position <= offset < stop:
                        yield to_record(message)
                    position = max(position, offset if error else offset + 1)
                if waited_s > REQUEST_TIMEOUT_S:
                    raise LogUnavailable(f"Expected {at} to be read up to {stop}, not {position}")
        finally:
            reader.unassign()
            with self._readers_lock:
                kept = len(self._readers) < READERS_MAX
                if kept:
                    self._readers.append(reader)
            if not kept:
                reader.close()

    def close(self) -> None:
        with self._readers_lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
        self._cluster.close()


def _policy(topic: Topic) -> dict[str, str]:
    policy = {"max.message.bytes": str(TOPIC_MESSAGE_BYTES_MAX)}
    if topic.compacted:
        return policy | {"cleanup.policy": "compact"}
    return policy | {"cleanup.policy": "delete", "retention.ms": str(topic.retained_ms)}
