"""A consumer of Kafka: a member of a group, or a tail without one.

What a group does differently from what it seems:
- A static member (one that takes its place back after a restart) does not leave its group when it
  is closed, only when it unsubscribes before.
- When the broker is away for longer than the session, the client joins again in a way that can
  fence itself: the broker sees two members of one name. That error is fatal to the client. So a
  member that had lost its session before it was fenced joins again with a new client; one that
  was fenced out of the blue has a newer holder of its name, and is told so. Should both have lost
  their sessions, the one that joins last stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import confluent_kafka as ck

from tiercel_engine.errors import LogUnavailable, OwnerFenced, PartitionsLost, ProgrammingError
from tiercel_engine.eventlog.base import RebalanceListener, Record, TopicPartition
from tiercel_engine.eventlog.kafka.client import (
    COMMON,
    CONSUMER,
    LOST,
    MEMBER,
    PAUSE_S,
    POLL_SLICE_S,
    REJOIN_TIMEOUT_S,
    REJOINING,
    REQUEST_TIMEOUT_S,
    STATISTICS,
    Cluster,
    cause_of,
    log,
    note_error,
    to_positions,
    to_record,
)

#: How long leaving a group may take, in seconds.
LEAVE_TIMEOUT_S = 5.0


class KafkaReader:
    """What tails and members share: polling, pausing, waking. Belongs to one thread."""

    def __init__(self, client: ck.Consumer) -> None:
        self._client = client
        self._assigned: set[TopicPartition] = set()
        self._batch: list[ck.Message] = []
        self._woken = threading.Event()
        self._closed = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        deadline_s = time.monotonic() + timeout_s
        while not self._woken.is_set():
            remaining_s = max(0.0, deadline_s - time.monotonic())
            self._batch = self._client.consume(1, min(remaining_s, POLL_SLICE_S))
            if self._batch and max_records > 1:
                # A rebalance inside this call takes revoked records out of `_batch`.
                more = self._client.consume(max_records - 1, 0)
                self._batch += more
            records = [to_record(message) for message in self._batch if self._is_record(message)]
            self._batch = []
            if records or remaining_s == 0.0:
                return records
        self._woken.clear()
        return []

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        raise ProgrammingError("Expected a group member to commit, but this one has no group")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._client.pause([ck.TopicPartition(*at) for at in self._assigned & set(partitions)])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._client.resume([ck.TopicPartition(*at) for at in self._assigned & set(partitions)])

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._client.close()

    def _is_record(self, message: ck.Message) -> bool:
        error = message.error()
        if error is not None:
            log.warning("kafka_consumer_error", code=error.name(), reason=str(error))
        return error is None


class KafkaTail(KafkaReader):
    """Reads given partitions from given offsets, without a group."""

    def __init__(self, cluster: Cluster, positions: Mapping[TopicPartition, int]) -> None:
        super().__init__(cluster.reader(STATISTICS))
        self._assigned = set(positions)
        self._client.assign(to_positions(positions))


class KafkaConsumer(KafkaReader):
    """A member of a group."""

    def __init__(
        self,
        cluster: Cluster,
        identity: Mapping[str, Any],
        topics: Sequence[str],
        listener: RebalanceListener | None,
    ) -> None:
        self._listener = listener
        self._topics = list(topics)
        self._settings = cluster.settings(
            COMMON, STATISTICS, CONSUMER, MEMBER, identity, {"error_cb": self._on_error}
        )
        self._fenced = self._session_lost = False
        self._stored: dict[TopicPartition, int] = {}
        super().__init__(self._join())

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        records = super().poll(max_records, timeout_s)
        if self._fenced:
            if not self._session_lost:
                raise OwnerFenced("Expected to be the only member of this name, but a newer joined")
            self._rejoin()
        return records

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.require(offsets)
        deadline_s = time.monotonic() + REJOIN_TIMEOUT_S
        while True:
            try:
                self._client.commit(offsets=to_positions(offsets), asynchronous=False)
                self.stored(offsets)
                return
            except ck.KafkaException as error:
                code = cause_of(error).code()
                if code in REJOINING and time.monotonic() < deadline_s:
                    time.sleep(PAUSE_S)
                elif code in LOST:
                    raise PartitionsLost(f"Expected to own {list(offsets)}, but {error}") from error
                else:
                    raise LogUnavailable(f"Expected to commit offsets, but {error}") from error

    def require(self, partitions: Iterable[TopicPartition]) -> None:
        """Raises `PartitionsLost` when one of these is not assigned."""
        lost = set(partitions) - self._assigned
        if lost:
            raise PartitionsLost(f"Expected to own {sorted(lost)}, but lost them")

    def stored(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Told which offsets the group now has."""
        self._stored.update(offsets)

    def proof(self) -> Mapping[TopicPartition, int]:
        """An offset that the group has already: to store it again is to prove the membership.

        Empty when this member was assigned nothing.

        Raises:
            LogUnavailable: the group's coordinator did not tell the offset in time.
        """
        if not self._assigned:
            return {}
        at = min(self._assigned)
        if at not in self._stored:
            try:
                (known,) = self._client.committed([ck.TopicPartition(*at)], REQUEST_TIMEOUT_S)
            except ck.KafkaException as error:
                raise LogUnavailable(f"Expected the offset of {at}, but {error}") from error
            self._stored[at] = max(0, known.offset)
        return {at: self._stored[at]}

    def metadata(self) -> object:
        """What a transaction shows the group as proof of membership."""
        return self._client.consumer_group_metadata()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._fenced:
            self._client.unsubscribe()
            deadline_s = time.monotonic() + LEAVE_TIMEOUT_S
            while self._assigned and time.monotonic() < deadline_s:
                self._client.consume(1, POLL_SLICE_S)
        self._client.close()
        self._forget(list(self._assigned))

    def _join(self) -> ck.Consumer:
        client = ck.Consumer(self._settings)
        client.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        return client

    def _rejoin(self) -> None:
        log.warning("kafka_consumer_rejoins", topics=self._topics)
        self._client.close()
        self._forget(list(self._assigned))
        self._fenced = self._session_lost = False
        self._client = self._join()

    def _is_record(self, message: ck.Message) -> bool:
        error = message.error()
        if error is not None and error.code() == ck.KafkaError._FATAL:
            # The only error that is fatal to a consumer: its group.instance.id was taken.
            self._fenced = True
        return super()._is_record(message)

    def _on_error(self, error: ck.KafkaError) -> None:
        note_error(error)
        if error.code() == ck.KafkaError._ALL_BROKERS_DOWN:
            # One without partitions is not told that it lost any.
            self._session_lost = True

    def _on_assign(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        arriving = [TopicPartition(at.topic, at.partition) for at in partitions]
        client.incremental_assign(partitions)
        self._session_lost = False
        self._assigned.update(arriving)
        if arriving and self._listener is not None:
            self._listener.assigned(arriving)

    def _on_revoke(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self._forget([TopicPartition(at.topic, at.partition) for at in partitions])
        client.incremental_unassign(partitions)

    def _on_lost(self, client: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        # Being fenced loses the partitions too; only a loss that comes first was the session's.
        self._session_lost = self._session_lost or not self._fenced
        self._on_revoke(client, partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        leaving = self._assigned.intersection(partitions)
        self._assigned -= leaving
        for at in leaving:
            self._stored.pop(at, None)
        self._batch = [
            message
            for message in self._batch
            if (message.topic(), message.partition()) not in leaving
        ]
        if leaving and self._listener is not None:
            self._listener.revoked(sorted(leaving))
