"""Users' own topics start executions, and tasks write and read them, on a real broker."""

from __future__ import annotations

import json
import secrets
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from tests.acceptance.running import RunningServer, eventually

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
