"""Clients of users' clusters. One of the doors of confluent_kafka, beside the event log's.

A reader reads from positions that it is given and says how far it came: who asked keeps that. A
group is told of positions that somebody keeps already, for people's tools and for who comes first.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import confluent_kafka as ck

from tiercel_engine.errors import TaskError

REQUEST_TIMEOUT_S = 30.0
#: How long one wait for records may take before it is asked whether to stop.
POLL_S = 0.2
#: After the first records of a look, how long it waits for those that come along.
LINGER_S = 0.05
BATCH_RECORDS_MAX = 500
#: Java's settings that librdkafka does not know, left out.
FOREIGN = (
    "key.",
    "value.",
    "schema.registry.",
    "auto.register.",
    "basic.auth.",
    "specific.avro.",
)

#: topic -> partition (as text, for JSON) -> next offset.
Positions = dict[str, dict[str, int]]


def settings_of(properties: Mapping[str, Any]) -> dict[str, str]:
    """The cluster's settings. Raises TaskError: there is no address."""
    found = {k: str(v) for k, v in properties.items() if not k.startswith(FOREIGN)}
    if not found.get("bootstrap.servers"):
        raise TaskError("Expected properties with bootstrap.servers, but there are none.")
    return found


class Reader:
    """Reads topics from given positions."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        positions: Positions,
        partitions: Sequence[int] | None = None,
        since_ms: int | None = None,
    ) -> None:
        """Stand at the positions; where there is none, where the group stands that `properties`
        name, else at `since_ms` or `auto.offset.reset`.

        `partitions`: only these; all of them when None.
        """
        self._partitions = None if partitions is None else frozenset(partitions)
        self._since_ms = since_ms
        own = settings_of(properties)
        reset = own.pop("auto.offset.reset", "latest")
        self._has_group = bool(own.get("group.id"))
        own.setdefault("group.id", f"tiercel-{uuid.uuid4().hex}")
        own |= {"enable.auto.commit": "false", "log_level": "0"}
        self.positions: Positions = {t: dict(positions.get(t, {})) for t in topics}
        with _told():
            self._client = ck.Consumer({**own, "isolation.level": "read_committed"})
            try:
                self._client.assign(self._starts(topics, reset))
            except BaseException:
                self._client.close()
                raise

    def _starts(self, topics: Sequence[str], reset: str) -> list[ck.TopicPartition]:
        starts = []
        for topic in topics:
            found = self._client.list_topics(topic, REQUEST_TIMEOUT_S).topics[topic]
            if found.error is not None or not found.partitions:
                raise TaskError(f"Expected the topic {topic}, but {found.error or 'it is empty'}.")
            for number in found.partitions:
                if self._partitions is not None and number not in self._partitions:
                    continue
                known = self.positions[topic].get(str(number))
                if known is None:
                    known = self._first(topic, number, reset)
                    self.positions[topic][str(number)] = known
                starts.append(ck.TopicPartition(topic, number, known))
        return starts

    def _first(self, topic: str, number: int, reset: str) -> int:
        """Where a partition is read from the first time."""
        where = ck.TopicPartition(topic, number)
        if self._has_group:
            (stands,) = self._client.committed([where], REQUEST_TIMEOUT_S)
            if stands.offset >= 0:
                return int(stands.offset)
        low, high = self._client.get_watermark_offsets(where, REQUEST_TIMEOUT_S)
        if self._since_ms is not None:
            asked = ck.TopicPartition(topic, number, self._since_ms)
            (found,) = self._client.offsets_for_times([asked], REQUEST_TIMEOUT_S)
            return int(high if found.offset < 0 else found.offset)
        return int(low if reset in ("earliest", "beginning", "smallest") else high)

    def read(
        self, records_max: int, first_s: float, whole_s: float, stop: Callable[[], bool]
    ) -> Iterator[ck.Message]:
        """Records as they come.

        Args:
            first_s: how long to wait while there is none.
            whole_s: how long to go on altogether once there is one.
        """
        begin_s = time.monotonic()
        count = 0
        while count < records_max and not stop():
            now_s = time.monotonic()
            left_s = begin_s + (whole_s if count else first_s) - now_s
            if left_s <= 0:
                return
            with _told():
                wanted = min(records_max - count, BATCH_RECORDS_MAX)
                messages = self._client.consume(wanted, min(left_s, POLL_S))
            for message in messages:
                if message.error() is not None:
                    raise TaskError(f"Expected records, but Kafka says: {message.error()}")
                count += 1
                self._came(message)
                yield message

    def _came(self, message: Any) -> None:
        self.positions[message.topic()][str(message.partition())] = message.offset() + 1

    def tell_group(self, positions: Positions) -> None:
        """Commit positions to the group that the properties name, if they name one.

        Raises:
            TaskError: the group does not take them, because others are members of it.
        """
        offsets = [
            ck.TopicPartition(topic, int(number), offset)
            for topic, of_topic in positions.items()
            for number, offset in of_topic.items()
        ]
        if self._has_group and offsets:
            with _told():
                self._client.commit(offsets=offsets, asynchronous=False)

    def close(self) -> None:
        """Let go of the cluster."""
        self._client.close()


def produce(
    properties: Mapping[str, Any],
    records: Iterator[dict[str, Any]],
    stop: Callable[[], bool],
    transactional: bool,
) -> int:
    """Write records (arguments of `Producer.produce`); return how many are durable.

    Raises:
        TaskError: one is not; with `transactional` none is then.
    """
    own = {"acks": "all", "enable.idempotence": "true", "log_level": "0"} | settings_of(properties)
    if transactional:
        own.setdefault("transactional.id", f"tiercel-{uuid.uuid4().hex}")
    errors: list[str] = []
    with _told():
        client = ck.Producer(own)
        if transactional:
            client.init_transactions(REQUEST_TIMEOUT_S)
            client.begin_transaction()
        count = 0
        try:
            for record in records:
                _queue(client, record, errors)
                count += 1
                if errors or stop():
                    break
            if client.flush(REQUEST_TIMEOUT_S):
                errors.append("it did not take all of them in time")
            if errors:
                raise TaskError(f"Expected Kafka to take the records, but {errors[0]}.")
            if transactional:
                client.commit_transaction(REQUEST_TIMEOUT_S)
        except BaseException:
            if transactional:
                with suppress(ck.KafkaException):
                    client.abort_transaction(REQUEST_TIMEOUT_S)
            raise
    return count


def _queue(client: ck.Producer, record: dict[str, Any], errors: list[str]) -> None:
    def delivered(error: ck.KafkaError | None, _: ck.Message) -> None:
        if error is not None:
            errors.append(str(error))

    deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
    while True:
        try:
            client.produce(**record, on_delivery=delivered)
            client.poll(0)
            return
        except BufferError:
            if time.monotonic() > deadline_s:
                raise TaskError("Expected Kafka to take the records, but it is too slow.") from None
            client.poll(POLL_S)


@contextmanager
def _told() -> Iterator[None]:
    """What the client says, as the task's error."""
    try:
        yield
    except ck.KafkaException as error:
        raise TaskError(f"Expected the Kafka cluster to answer, but: {error.args[0]}") from error
