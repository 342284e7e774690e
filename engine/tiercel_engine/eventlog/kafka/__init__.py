"""The log on Apache Kafka. The only package of the engine that imports `confluent_kafka`.

`log` has topics and plain reading, `consumer` groups and tails, `producer` appends and
transactions, `client` what they share. Offsets have gaps here (commit markers, compaction): where a
partition ends is told by its end event, never by counting.
"""

from __future__ import annotations

from tiercel_engine.eventlog.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
