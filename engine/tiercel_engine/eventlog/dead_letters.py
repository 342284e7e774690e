"""What becomes of a record that cannot be read or accepted: a copy with its reason, to look at."""

from __future__ import annotations

from tiercel_engine.eventlog.base import NewRecord, Record
from tiercel_engine.telemetry.metrics import DEAD_LETTERS

#: Headers of a dead letter; the key, the value and the other headers are those received.
REASON = "tiercel-reason"
SOURCE_TOPIC = "tiercel-source-topic"
SOURCE_PARTITION = "tiercel-source-partition"
SOURCE_OFFSET = "tiercel-source-offset"

#: A reason may quote what was received; this much of it is kept.
REASON_BYTES_MAX = 2_000


def dead_letter(record: Record, reason: str, topic: str) -> NewRecord:
    """The record to append to `topic` (`Topics.dead_letters`) so that nobody loses `record`.

    It is counted, so that somebody hears of it.
    """
    DEAD_LETTERS.labels(record.topic).inc()
    headers = {
        **(record.headers or {}),
        REASON: reason.encode()[:REASON_BYTES_MAX],
        SOURCE_TOPIC: record.topic.encode(),
        SOURCE_PARTITION: str(record.partition).encode(),
        SOURCE_OFFSET: str(record.offset).encode(),
    }
    return NewRecord(topic=topic, key=record.key, value=record.value, headers=headers)
