"""Kafka: writing records into topics, and reading what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.eventlog.schema_registry import SchemaRegistry
from tiercel_engine.expression.ion import ion_text
from tiercel_engine.flow.base import Text
from tiercel_engine.flow.task import DurationS
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.plugin.polling import STARTS_MAX, Answer, Wish
from tiercel_engine.storage.rows import read_rows
from tiercel_engine.storage.uri import file_name, is_storage_uri
from tiercel_worker.kafka import serdes
from tiercel_worker.kafka.avro import AvroReader, AvroWriter
from tiercel_worker.kafka.clients import LINGER_S, Positions, Reader, produce
from tiercel_worker.kafka.unreadable import OnSerdeError, Unread
from tiercel_worker.tasks.properties import flag, number, text_map

ROWS_MAX = 10_000_000
#: Settings of (de)serializers that authors write among those of the client.
SERDE_PREFIXES = ("schema.registry.", "auto.register.", "basic.auth.")

#: A value and its topic -> bytes; bytes -> a value.
Write = Callable[[Any, str], bytes | None]
Read = Callable[[bytes | None], Any]


class KafkaTask(RunnableTask):
    """The properties that all Kafka tasks have."""

    properties_: dict[str, Any] = Field(alias="properties")
    serde_properties: dict[str, Any] = Field({}, alias="serdeProperties")
    key_avro_schema: Any = Field(None, alias="keyAvroSchema")
    value_avro_schema: Any = Field(None, alias="valueAvroSchema")

    def settings(self, context: RunContext) -> dict[str, Any]:
        """The client's settings, rendered."""
        return text_map(context, self.properties_, "properties")

    def serde_settings(self, context: RunContext) -> dict[str, str]:
        """What (de)serializers are told: `serdeProperties`, and those among `properties`."""
        own = {k: v for k, v in self.properties_.items() if str(k).startswith(SERDE_PREFIXES)}
        return text_map(context, {**own, **self.serde_properties}, "serdeProperties")

    def avro_schema(self, context: RunContext, part: str) -> Any:
        """The schema of keys or values that the task names; None: it names none."""
        return context.render_value(
            self.key_avro_schema if part == "key" else self.value_avro_schema
        )


def registry_of(settings: Mapping[str, str]) -> SchemaRegistry | None:
    """The schema registry that (de)serializers are told of."""
    url = settings.get("schema.registry.url")
    if not url:
        return None
    user = settings.get("basic.auth.user.info")
    scheme, _, place = url.partition("://")
    return SchemaRegistry(url if user is None or "@" in place else f"{scheme}://{user}@{place}")


class ProduceOutput(BaseModel):
    """`messagesCount`: how many records were written."""

    model_config = ConfigDict(populate_by_name=True)

    messages_count: int = Field(alias="messagesCount")


class KafkaProduce(KafkaTask):
    """Write records into a topic.

    Properties: `topic`, `properties` (`bootstrap.servers` and whatever else the client takes),
    `from` (one record, a list of them, or the address of a file of rows), `keySerializer` and
    `valueSerializer` (STRING, JSON, AVRO, INTEGER, LONG, SHORT, FLOAT, DOUBLE, UUID, BYTE_ARRAY,
    VOID), `transactional` (true: all or none). AVRO takes `keyAvroSchema` and `valueAvroSchema`
    (JSON), and with `serdeProperties` (`schema.registry.url`, `basic.auth.user.info`,
    `auto.register.schemas`) writes the Confluent wire format; without a schema of its own, by the
    newest one of the registry. A record has `key`, `value`, `headers`,
    `timestamp` (ISO or milliseconds), `partition`, `topic`. Outputs: `messagesCount`. Metrics:
    `records`.

    Example:
        ```yaml
        id: tell
        namespace: docs.tasks
        tasks:
          - id: write
            type: io.kestra.plugin.kafka.Produce
            topic: orders
            properties:
              bootstrap.servers: localhost:9092
            valueSerializer: JSON
            from:
              key: order-1
              value: {total: 12}
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.kafka.Produce"
    OUTPUTS: ClassVar[type[BaseModel] | None] = ProduceOutput

    topic: Text | None = None
    from_: Any = Field(alias="from")
    key_serializer: Text = Field("STRING", alias="keySerializer")
    value_serializer: Text = Field("STRING", alias="valueSerializer")
    transactional: bool | str = True

    def run(self, context: RunContext) -> ProduceOutput:
        topic = None if self.topic is None else context.render(self.topic)
        key = self._writer(context, self.key_serializer, "key")
        value = self._writer(context, self.value_serializer, "value")
        records = (_outgoing(row, topic, key, value) for row in self._rows(context))
        is_whole = flag(context, self.transactional)
        count = produce(self.settings(context), records, context.is_cancelled, is_whole)
        context.metric("records", count)
        return ProduceOutput(messagesCount=count)

    def _writer(self, context: RunContext, serializer: str, part: str) -> Write:
        name = serdes.checked(context.render(serializer))
        avro = None
        if name == "AVRO":
            settings = self.serde_settings(context)
            registers = settings.get("auto.register.schemas", "true").lower() != "false"
            schema = self.avro_schema(context, part)
            avro = AvroWriter(schema, registry_of(settings), part, registers)
        return lambda written, topic: serdes.write(written, name, topic, avro)

    def _rows(self, context: RunContext) -> Iterator[Mapping[str, Any]]:
        given = context.render_value(self.from_)
        if isinstance(given, str) and is_storage_uri(given):
            with context.open_stored(given) as source:
                for row in read_rows(source, file_name(given)):
                    yield _record(row.value)
            return
        if isinstance(given, str):
            try:
                given = msgspec.json.decode(given)
            except msgspec.DecodeError as error:
                raise TaskError(f"Expected from to be records or an address: {error}") from error
        for one in given if isinstance(given, list) else [given]:
            yield _record(one)


def _record(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise TaskError(f"Expected a record with key and value, but it was {str(row)[:200]!r}.")
    return row


def _outgoing(
    row: Mapping[str, Any], topic: str | None, key: Write, value: Write
) -> dict[str, Any]:
    """What the client takes."""
    name = row.get("topic") or topic
    if not name:
        raise TaskError("Expected a topic, but neither the task nor the record has one.")
    made: dict[str, Any] = {
        "topic": str(name),
        "key": key(row.get("key"), str(name)),
        "value": value(row.get("value"), str(name)),
    }
    if row.get("headers"):
        made["headers"] = [(str(k), str(v).encode()) for k, v in dict(row["headers"]).items()]
    if row.get("partition") is not None:
        made["partition"] = int(row["partition"])
    if row.get("timestamp") is not None:
        made["timestamp"] = _millis(row["timestamp"])
    return made


def _millis(value: Any) -> int:
    if isinstance(value, int | float):
        return int(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise TaskError(f"Expected a timestamp, but it was {value!r}.") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


class ConsumeOutput(BaseModel):
    """`messagesCount` and `uri`: a file of Ion rows."""

    model_config = ConfigDict(populate_by_name=True)

    messages_count: int = Field(alias="messagesCount")
    uri: str


class KafkaReading(KafkaTask):
    """The properties of everything that reads."""

    #: What becomes of records that do not read, when the author does not say; None: it fails.
    UNREAD: ClassVar[OnSerdeError | None] = None

    topic: Text | list[Text]
    group_id: Text | None = Field(None, alias="groupId")
    partitions: list[int] | None = None
    since: Text | None = None
    key_deserializer: Text = Field("STRING", alias="keyDeserializer")
    value_deserializer: Text = Field("STRING", alias="valueDeserializer")
    poll_duration: DurationS = Field(5.0, alias="pollDuration")
    max_records: int | str | None = Field(None, alias="maxRecords")
    max_duration: DurationS | None = Field(None, alias="maxDuration")
    on_serde_error: OnSerdeError | None = Field(None, alias="onSerdeError")

    def topics(self, context: RunContext) -> list[str]:
        """The topics' names."""
        found = context.render_value(self.topic)
        return [str(one) for one in found] if isinstance(found, list) else [str(found)]

    def rows(self, context: RunContext, reader: Reader, limit: int) -> Iterator[dict[str, Any]]:
        """Records as rows, until there are enough, or no more come in time."""
        key = self._read(context, self.key_deserializer, "key")
        value = self._read(context, self.value_deserializer, "value")
        wanted = limit if self.max_records is None else int(number(context, self.max_records))
        whole_s = self.poll_duration if self.max_duration is None else self.max_duration
        policy = self.on_serde_error or self.UNREAD
        unread = None if policy is None else Unread(context, self.settings(context), policy)
        for message in reader.read(
            min(wanted, limit), self.poll_duration, whole_s, context.is_cancelled
        ):
            try:
                row = _row(message, key, value)
            except serdes.Unreadable as error:
                if unread is None:
                    raise
                unread.take(message, error)
            else:
                yield row
        if unread is not None:
            unread.close()

    def reader(self, context: RunContext, positions: Positions) -> Reader:
        """A reader at the positions; where there is none, at `since`, or as the settings say."""
        settings = self.settings(context)
        if self.group_id is not None:
            settings["group.id"] = context.render(self.group_id)
        since_ms = None if self.since is None else _millis(context.render(self.since))
        return Reader(settings, self.topics(context), positions, self.partitions, since_ms)

    def _read(self, context: RunContext, deserializer: str, part: str) -> Read:
        name = serdes.checked(context.render(deserializer))
        avro = None
        if name == "AVRO":
            registry = registry_of(self.serde_settings(context))
            avro = AvroReader(self.avro_schema(context, part), registry, part)
        return lambda data: serdes.read(data, name, avro)


def _row(message: Any, key: Read, value: Read) -> dict[str, Any]:
    _, timestamp_ms = message.timestamp()
    headers = {
        name: (data or b"").decode(errors="replace") for name, data in message.headers() or ()
    }
    return {
        "key": key(message.key()),
        "value": value(message.value()),
        "topic": message.topic(),
        "headers": headers,
        "timestamp": datetime.fromtimestamp(timestamp_ms / 1_000, UTC).isoformat(
            timespec="milliseconds"
        ),
        "partition": message.partition(),
        "offset": message.offset(),
    }


def stored(context: RunContext, rows: Iterator[dict[str, Any]]) -> tuple[str, int]:
    """Rows as a file of Ion lines: (address, how many)."""
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for row in rows:
            count += 1
            yield ion_text(row).encode() + b"\n"

    uri = context.store_stream(lines(), "messages.ion")
    context.metric("records", count)
    return uri, count


class KafkaConsume(KafkaReading):
    """Read records of topics into a file.

    Properties: `topic` (or a list), `partitions`, `since` (a date), `properties`
    (`bootstrap.servers`, `auto.offset.reset`: earliest or latest), `keyDeserializer`,
    `valueDeserializer` (as of Produce), `pollDuration` (PT5S: how long to wait for records),
    `maxRecords`, `maxDuration`, `groupId`, `serdeProperties` (`schema.registry.url`), or
    `keyAvroSchema` and `valueAvroSchema` for plain Avro. With a `groupId` it goes on where the
    group stands, and at its end tells the group how far it came; else it reads from the beginning
    or the end, as `auto.offset.reset` says, or from `since`. A record that does not read fails it;
    `onSerdeError` of `type` SKIPPED leaves it out, of DLQ also writes it to a `topic`. Outputs:
    `messagesCount`, `uri` (rows with `key`, `value`, `topic`, `headers`, `timestamp`, `partition`,
    `offset`). Metrics: `records`.

    Example:
        ```yaml
        id: read
        namespace: docs.tasks
        tasks:
          - id: orders
            type: io.kestra.plugin.kafka.Consume
            topic: orders
            properties:
              bootstrap.servers: localhost:9092
              auto.offset.reset: earliest
            valueDeserializer: JSON
            maxRecords: 1000
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.kafka.Consume"
    OUTPUTS: ClassVar[type[BaseModel] | None] = ConsumeOutput

    def run(self, context: RunContext) -> ConsumeOutput:
        with closing(self.reader(context, {})) as reader:
            uri, count = stored(context, self.rows(context, reader, ROWS_MAX))
            # The last thing it does: an attempt that ends before reads the same again.
            reader.tell_group(reader.positions)
        return ConsumeOutput(messagesCount=count, uri=uri)


class KafkaLook(KafkaReading):
    """What the looks of both triggers begin with. A record that does not read stops none."""

    UNREAD: ClassVar[OnSerdeError | None] = OnSerdeError()

    def look(self, context: RunContext) -> Reader:
        """A reader at the trigger's cursor.

        The cursor has committed with what it started, so now the group is told of it: a look late,
        and never of more than has started.
        """
        cursor: Positions = context.variables.get("cursor") or {}
        reader = self.reader(context, cursor)
        try:
            reader.tell_group(cursor)
        except TaskError as error:
            context.logger.log("WARN", f"The consumer group was not told how far it is: {error}")
        return reader


class BatchLook(KafkaLook):
    """One look of a Kafka trigger: a file of what has come, when something has."""

    TYPE: ClassVar[str] = "tiercel.kafka$BatchLook"
    INTERNAL: ClassVar[bool] = True

    def run(self, context: RunContext) -> dict[str, Any]:
        with closing(self.look(context)) as reader:
            uri, count = stored(context, self.rows(context, reader, ROWS_MAX))
            wish = Wish({"messagesCount": count, "uri": uri})
            return Answer((wish,) if count else (), reader.positions).outputs()


class RealtimeLook(KafkaLook):
    """One look of a realtime trigger: an execution per record."""

    TYPE: ClassVar[str] = "tiercel.kafka$RealtimeLook"
    INTERNAL: ClassVar[bool] = True

    poll_duration: DurationS = Field(10.0, alias="pollDuration")
    max_duration: DurationS | None = Field(LINGER_S, alias="maxDuration")

    def run(self, context: RunContext) -> dict[str, Any]:
        with closing(self.look(context)) as reader:
            rows = list(self.rows(context, reader, STARTS_MAX))
            wishes = tuple(Wish(row, _key(row)) for row in rows)
            return Answer(wishes, reader.positions).outputs()


def _key(row: Mapping[str, Any]) -> str:
    return f"{row['topic']}/{row['partition']}/{row['offset']}"


PLUGINS: Sequence[type[RunnableTask]] = (KafkaProduce, KafkaConsume, BatchLook, RealtimeLook)
