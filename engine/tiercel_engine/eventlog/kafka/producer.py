"""What writes to Kafka: the appender and the transactions.

A transactional producer belongs to one thread. The appender's is shared by all: librdkafka's own
send queue is its bounded queue, and a thread serves its delivery reports.

A commit carries a group generation, not partitions: a member that has heard of a rebalance could
commit for what it no longer owns, so the consumer's assignment is checked first. While a
cooperative rebalance settles, commits of members that lose nothing are refused too; the generation
is refreshed in the background, so those are tried again for `REJOIN_TIMEOUT_S`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import confluent_kafka as ck

from tiercel_engine.errors import (
    CommitUncertain,
    LogBusy,
    LogUnavailable,
    OwnerFenced,
    PartitionsLost,
    RecordTooLarge,
)
from tiercel_engine.eventlog.base import Consumer, Delivered, NewRecord, TopicPartition
from tiercel_engine.eventlog.kafka.client import (
    COMMON,
    FENCED,
    LOST,
    PAUSE_S,
    POLL_SLICE_S,
    PRODUCER,
    REJOIN_TIMEOUT_S,
    REJOINING,
    STATISTICS,
    TRANSACTION_TIMEOUT_MS,
    Cluster,
    cause_of,
    to_error,
    to_positions,
)
from tiercel_engine.eventlog.kafka.consumer import KafkaConsumer

#: How long the broker may take, in seconds: for a commit, for an appended record.
COMMIT_TIMEOUT_S = 30.0
DELIVERY_TIMEOUT_S = 120.0


class KafkaAppender:
    """Appends through one idempotent producer; a thread serves its delivery reports."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        delivery = {"message.timeout.ms": round(DELIVERY_TIMEOUT_S * 1_000)}
        self._producer = ck.Producer(cluster.settings(COMMON, STATISTICS, PRODUCER, delivery))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka-appender", daemon=True)
        self._thread.start()

    def append(self, record: NewRecord, delivered: Delivered | None = None) -> None:
        def report(error: ck.KafkaError | None, _: ck.Message) -> None:
            if delivered is not None:
                delivered(None if error is None else to_error(error))

        try:
            _produce(self._producer, record, self._cluster, report)
        except BufferError as error:
            raise LogBusy("Expected room in the append queue, but it is full") from error
        except ck.KafkaException as error:
            raise to_error(cause_of(error)) from error

    def flush(self, timeout_s: float) -> None:
        if self._producer.flush(timeout_s):
            raise LogUnavailable(f"Expected the queue to drain in {timeout_s} s, but it did not")

    def close(self) -> None:
        if not self._closing.is_set():
            self.flush(DELIVERY_TIMEOUT_S)
            self._closing.set()
            self._thread.join()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_SLICE_S)


class KafkaTransactions:
    """Transactions under one transactional id, which is the owner's name."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        identity = {"transactional.id": name, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
        self._producer = ck.Producer(cluster.settings(COMMON, PRODUCER, identity))
        self._deadline_s = 0.0
        try:
            self._producer.init_transactions(COMMIT_TIMEOUT_S)
        except ck.KafkaException as error:
            raise LogUnavailable(f"Expected to own {name!r}, but {error}") from error

    def commit(
        self,
        records: Sequence[NewRecord],
        consumed: Mapping[TopicPartition, int],
        consumer: Consumer,
    ) -> None:
        assert isinstance(consumer, KafkaConsumer), "a consumer of this log is needed"
        consumer.require(consumed)
        offsets = consumed or consumer.proof()
        self._producer.poll(0)  # its errors and log lines, which wait to be served
        for record in records:
            self._cluster.place(record)
        rejoin_s = time.monotonic() + REJOIN_TIMEOUT_S
        self._deadline_s = time.monotonic() + COMMIT_TIMEOUT_S
        while True:
            try:
                self._write(records, offsets, consumer)
                consumer.stored(offsets)
                return
            except ck.KafkaException as error:
                self._abort(cause_of(error))
                if cause_of(error).code() not in REJOINING or time.monotonic() > rejoin_s:
                    self._raise(cause_of(error))
            except BufferError as error:
                self._abort(ck.KafkaError(ck.KafkaError._QUEUE_FULL))
                raise RecordTooLarge(f"Expected a smaller transaction, but {error}") from error
            time.sleep(PAUSE_S)

    def close(self) -> None:
        # What is still queued belongs to a transaction that nobody will commit.
        self._producer.purge()

    def _write(
        self,
        records: Sequence[NewRecord],
        offsets: Mapping[TopicPartition, int],
        consumer: KafkaConsumer,
    ) -> None:
        self._producer.begin_transaction()
        for record in records:
            _produce(self._producer, record, self._cluster)
        if offsets:
            self._insist(
                lambda left_s: self._producer.send_offsets_to_transaction(
                    to_positions(offsets), consumer.metadata(), left_s
                )
            )
        self._insist(self._producer.commit_transaction)

    def _insist(self, call: Callable[[float], object]) -> None:
        """Call with the seconds left, again after errors that the client calls retriable."""
        while True:
            try:
                call(max(0.1, self._deadline_s - time.monotonic()))
                return
            except ck.KafkaException as error:
                if not cause_of(error).retriable() or time.monotonic() > self._deadline_s:
                    raise
                time.sleep(PAUSE_S)

    def _abort(self, error: ck.KafkaError) -> None:
        """Abort what `error` ended; raises when that cannot be told to have worked."""
        if error.fatal() or error.code() in FENCED:
            self._raise(error)
        try:
            self._producer.abort_transaction(COMMIT_TIMEOUT_S)
        except ck.KafkaException as failure:
            self._raise(cause_of(failure))

    @staticmethod
    def _raise(error: ck.KafkaError) -> NoReturn:
        if error.code() in FENCED:
            raise OwnerFenced(f"Expected to be the only one of this owner name, but {error}")
        if error.code() in LOST:
            raise PartitionsLost(f"Expected to own the partitions, but {error}")
        if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
            raise RecordTooLarge(str(error))
        raise CommitUncertain(f"Expected the transaction to commit, but {error}")


def _produce(
    producer: ck.Producer, record: NewRecord, cluster: Cluster, report: Any = None
) -> None:
    producer.produce(
        record.topic,
        value=record.value,
        key=record.key.encode(),
        partition=cluster.place(record),
        on_delivery=report,
        timestamp=cluster.clock.now_us() // 1_000,
        headers=dict(record.headers) if record.headers else None,
    )
