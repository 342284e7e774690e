"""Users' own topics start executions, and tasks write and read them, on a real broker."""

from __future__ import annotations

import json
import secrets
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from tests.acceptance.running import RunningServer, eventually
from tests.schema_house import schema_house

pytestmark = pytest.mark.kafka

FLOW = """id: {flow_id}
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{message}"
triggers:
  - id: topic
    type: io.kestra.plugin.kafka.{kind}
    topic: {topic}
    properties:
      bootstrap.servers: {bootstrap}
      auto.offset.reset: earliest
    valueDeserializer: JSON
    {rest}
"""
WRITES = """id: writes
namespace: {namespace}
tasks:
  - id: write
    type: io.kestra.plugin.kafka.Produce
    topic: {topic}
    properties: {{bootstrap.servers: "{bootstrap}"}}
    valueSerializer: JSON
    from:
      - {{key: a, value: {{n: 1}}, headers: {{from: test}}}}
      - {{key: b, value: {{n: 2}}}}
  - id: read
    type: io.kestra.plugin.kafka.Consume
    topic: {topic}
    properties: {{bootstrap.servers: "{bootstrap}", auto.offset.reset: earliest}}
    valueDeserializer: JSON
    maxRecords: 2
    pollDuration: PT20S
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ read(outputs.read.uri) }}}}"
"""


def executions(server: RunningServer, namespace: str, flow_id: str) -> list[dict[str, Any]]:
    found = server.client.executions(namespace, flow_id, ["SUCCESS"], 1, 100)
    return list(found["results"])


def new_topic(bootstrap: str) -> str:
    """A topic of three partitions that no other test uses."""
    topic = f"own-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(topic, 3, 1)]).values():
        made.result(30)
    return topic


def write(bootstrap: str, topic: str, numbers: range) -> None:
    producer = ck.Producer({"bootstrap.servers": bootstrap})
    for number in numbers:
        producer.produce(topic, key=f"k{number}", value=json.dumps({"n": number}))
    assert producer.flush(30) == 0


def test_each_record_starts_one_execution_in_real_time(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    topic = new_topic(kafka_bootstrap)
    write(kafka_bootstrap, topic, range(3))
    source = FLOW.format(
        flow_id="each",
        namespace=namespace,
        kind="RealtimeTrigger",
        topic=topic,
        bootstrap=kafka_bootstrap,
        message="{{ trigger.key }}={{ trigger.value.n }}",
        rest="",
    )
    kafka_server.save(source)
    eventually(lambda: executions(kafka_server, namespace, "each"), lambda x: len(x) == 3)

    write(kafka_bootstrap, topic, range(3, 8))

    found = eventually(lambda: executions(kafka_server, namespace, "each"), lambda x: len(x) >= 8)
    values = sorted(x["trigger"]["variables"]["value"]["n"] for x in found)
    assert values == list(range(8))


def test_a_batch_starts_one_execution_with_a_file(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    topic = new_topic(kafka_bootstrap)
    write(kafka_bootstrap, topic, range(5))
    source = FLOW.format(
        flow_id="batch",
        namespace=namespace,
        kind="Trigger",
        topic=topic,
        bootstrap=kafka_bootstrap,
        message="{{ trigger.messagesCount }} {{ read(trigger.uri) }}",
        rest="interval: PT1S\n    pollDuration: PT2S",
    )
    kafka_server.save(source)

    first = eventually(
        lambda: kafka_server.client.executions(namespace, "batch", [], 1, 10)["results"], bool
    )
    assert kafka_server.ended(first[0]["id"])["state"]["current"] == "SUCCESS"
    found = executions(kafka_server, namespace, "batch")

    counts = [x["trigger"]["variables"]["messagesCount"] for x in found]
    assert sum(counts) == 5
    text = "".join(kafka_server.messages(found[0]["id"]))
    assert 'key:"k0"' in text


def test_tasks_write_and_read_records(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    topic = new_topic(kafka_bootstrap)
    source = WRITES.format(namespace=namespace, topic=topic, bootstrap=kafka_bootstrap)
    kafka_server.save(source)

    created = kafka_server.client.create_execution(namespace, "writes", wait=True)

    ended = kafka_server.ended(created["id"])
    assert ended["state"]["current"] == "SUCCESS", kafka_server.messages(created["id"])
    outputs = {run["taskId"]: run["outputs"] for run in ended["taskRunList"]}
    assert outputs["write"]["messagesCount"] == 2
    assert outputs["read"]["messagesCount"] == 2


ORDER = """{"type": "record", "name": "Order", "fields": [{"name": "n", "type": "int"},
 {"name": "on", "type": {"type": "int", "logicalType": "date"}}]}"""
AVRO = """id: avro
namespace: {namespace}
tasks:
  - id: write
    type: io.kestra.plugin.kafka.Produce
    topic: {topic}
    properties: {{bootstrap.servers: "{bootstrap}"}}
    keySerializer: AVRO
    keyAvroSchema: string
    valueSerializer: AVRO
    valueAvroSchema: SCHEMA
    {serde}
    from:
      - {{key: a, value: {{n: 1, "on": "2026-11-25"}}}}
      - {{key: b, value: {{n: 2, "on": "2024-02-29"}}}}
  - id: read
    type: io.kestra.plugin.kafka.Consume
    topic: {topic}
    groupId: {group}
    properties: {{bootstrap.servers: "{bootstrap}", auto.offset.reset: earliest}}
    keyDeserializer: AVRO
    keyAvroSchema: string
    valueDeserializer: AVRO
    valueAvroSchema: SCHEMA
    {serde}
    maxRecords: 2
    pollDuration: PT20S
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ read(outputs.read.uri) }}}}"
"""


def committed(bootstrap: str, group: str, topic: str) -> int:
    """How many records of a topic a group has gone past."""
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        lanes = [ck.TopicPartition(topic, number) for number in range(3)]
        return sum(max(0, found.offset) for found in consumer.committed(lanes, 30))
    finally:
        consumer.close()


@pytest.mark.parametrize("is_registered", [True, False])
def test_tasks_write_and_read_avro(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str, is_registered: bool
) -> None:
    topic, group = new_topic(kafka_bootstrap), f"avro-{secrets.token_hex(4)}"
    with schema_house() as house:
        serde = f"serdeProperties: {{schema.registry.url: '{house.url}'}}" if is_registered else ""
        source = AVRO.format(
            namespace=namespace, topic=topic, bootstrap=kafka_bootstrap, serde=serde, group=group
        )
        kafka_server.save(source.replace("SCHEMA", f"'{ORDER.replace(chr(10), '')}'"))

        # when
        created = kafka_server.client.create_execution(namespace, "avro", wait=True)

        # then
        ended = kafka_server.ended(created["id"])
        said = "".join(kafka_server.messages(created["id"]))
        assert ended["state"]["current"] == "SUCCESS", said
        assert 'key:"a",value:{n:1,on:"2026-11-25"}' in said
        assert 'key:"b",value:{n:2,on:"2024-02-29"}' in said
        subjects = {f"{topic}-key", f"{topic}-value"} if is_registered else set()
        assert set(house.subjects) == subjects
    assert committed(kafka_bootstrap, group, topic) == 2


def test_a_group_is_told_how_far_its_trigger_is_and_where_a_new_one_begins(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    topic, group = new_topic(kafka_bootstrap), f"lag-{secrets.token_hex(4)}"
    write(kafka_bootstrap, topic, range(4))
    source = FLOW.format(
        flow_id="grouped",
        namespace=namespace,
        kind="RealtimeTrigger",
        topic=topic,
        bootstrap=kafka_bootstrap,
        message="{{ trigger.value.n }}",
        rest=f"groupId: {group}",
    )
    kafka_server.save(source)
    eventually(lambda: executions(kafka_server, namespace, "grouped"), lambda x: len(x) == 4)

    # then: what has started, and no more
    eventually(lambda: committed(kafka_bootstrap, group, topic), lambda count: count == 4)

    # when: the trigger is gone, and another one of the group comes
    kafka_server.delete(f"/flows/{namespace}/grouped")
    write(kafka_bootstrap, topic, range(4, 6))
    kafka_server.save(source.replace("id: grouped", "id: heir"))

    # then
    found = eventually(lambda: executions(kafka_server, namespace, "heir"), lambda x: len(x) >= 2)
    assert sorted(x["trigger"]["variables"]["value"]["n"] for x in found) == [4, 5]


@pytest.mark.parametrize("kind", ["RealtimeTrigger", "Trigger"])
def test_a_record_that_does_not_read_stops_no_trigger_and_is_put_aside(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str, kind: str
) -> None:
    topic, aside = new_topic(kafka_bootstrap), new_topic(kafka_bootstrap)
    rest = f"onSerdeError: {{type: DLQ, topic: {aside}}}\n    pollDuration: PT1S"
    source = FLOW.format(
        flow_id="robust",
        namespace=namespace,
        kind=kind,
        topic=topic,
        bootstrap=kafka_bootstrap,
        message="{{ trigger }}",
        rest=rest if kind == "Trigger" else rest.partition("\n")[0],
    )
    producer = ck.Producer({"bootstrap.servers": kafka_bootstrap})
    for value in (b'{"n": 1}', b"no JSON", b'{"n": 2}'):
        producer.produce(topic, key="k", value=value, partition=0)
    assert producer.flush(30) == 0

    # when
    kafka_server.save(source)
    wanted = 2 if kind == "RealtimeTrigger" else 1
    found = eventually(
        lambda: executions(kafka_server, namespace, "robust"), lambda x: len(x) == wanted
    )

    # then
    given = [x["trigger"]["variables"] for x in found]
    if kind == "Trigger":
        assert given[0]["messagesCount"] == 2
    else:
        assert sorted(x["value"]["n"] for x in given) == [1, 2]
    consumer = ck.Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": aside})
    consumer.assign([ck.TopicPartition(aside, number, 0) for number in range(3)])
    (letter,) = consumer.consume(1, 30)
    consumer.close()
    assert letter.value() == b"no JSON"
    headers = dict(letter.headers())
    assert (headers["tiercel-source-topic"], headers["tiercel-source-offset"]) == (
        topic.encode(),
        b"1",
    )
    logs = f"/logs/search?namespace={namespace}&flowId=robust&triggerId=topic&minLevel=WARN"
    eventually(lambda: kafka_server.get(logs).json()["total"], bool)
