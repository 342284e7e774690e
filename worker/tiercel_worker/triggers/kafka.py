"""Kafka triggers: users' own topics start executions, a batch at a time or one per record.

How far a trigger has read is its cursor: it commits with the executions that it started, so each
record counts once whoever dies. The group of `groupId` is told of it afterwards, so that tools see
the lag; a trigger without a cursor begins where its group stands. A record that does not read is
left out with a warning in the trigger's log, or goes where `onSerdeError` says.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tiercel_engine.flow.base import Text
from tiercel_engine.flow.task import DurationS
from tiercel_engine.plugin.polling import PollingTrigger, RealtimeTrigger
from tiercel_worker.kafka.unreadable import OnSerdeError
from tiercel_worker.tasks.kafka import BatchLook, RealtimeLook


class KafkaTrigger(PollingTrigger):
    """Starts an execution with a file of the records that have come: `trigger.uri`.

    Properties: those of `kafka.Consume`; `interval` (PT60S). Executions see `trigger.messagesCount`
    and `trigger.uri`.
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.kafka.Trigger"
    LOOKS: ClassVar[str] = BatchLook.TYPE

    topic: Text | list[Text]
    properties_: dict[str, Any] = Field(alias="properties")
    serde_properties: dict[str, Any] = Field({}, alias="serdeProperties")
    group_id: Text | None = Field(None, alias="groupId")
    partitions: list[int] | None = None
    since: Text | None = None
    key_deserializer: Text = Field("STRING", alias="keyDeserializer")
    value_deserializer: Text = Field("STRING", alias="valueDeserializer")
    key_avro_schema: Any = Field(None, alias="keyAvroSchema")
    value_avro_schema: Any = Field(None, alias="valueAvroSchema")
    on_serde_error: OnSerdeError | None = Field(None, alias="onSerdeError")
    poll_duration: DurationS = Field(5.0, alias="pollDuration")
    max_records: int | str | None = Field(None, alias="maxRecords")
    max_duration: DurationS | None = Field(None, alias="maxDuration")


class KafkaRealtimeTrigger(RealtimeTrigger):
    """Starts an execution per record, as soon as it has come.

    Properties: those of `kafka.Consume` without the bounds. Executions see `trigger.key`, `.value`,
    `.topic`, `.headers`, `.timestamp`, `.partition`, `.offset`.
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.kafka.RealtimeTrigger"
    LOOKS: ClassVar[str] = RealtimeLook.TYPE

    topic: Text | list[Text]
    properties_: dict[str, Any] = Field(alias="properties")
    serde_properties: dict[str, Any] = Field({}, alias="serdeProperties")
    group_id: Text | None = Field(None, alias="groupId")
    partitions: list[int] | None = None
    since: Text | None = None
    key_deserializer: Text = Field("STRING", alias="keyDeserializer")
    value_deserializer: Text = Field("STRING", alias="valueDeserializer")
    key_avro_schema: Any = Field(None, alias="keyAvroSchema")
    value_avro_schema: Any = Field(None, alias="valueAvroSchema")
    on_serde_error: OnSerdeError | None = Field(None, alias="onSerdeError")


PLUGINS: tuple[type[PollingTrigger], ...] = (KafkaTrigger, KafkaRealtimeTrigger)
