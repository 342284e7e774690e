"""Trigger messages and execution events over Kafka, as outside services see them.

The examples of docs/messages.md run here as they stand there, under names of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import TIERCEL, RunningServer, eventually

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.kafka import KafkaLog

PAGE = (Path(__file__).parents[2] / "docs" / "messages.md").read_text()
FLOW = """id: orders
namespace: {namespace}
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "order {{{{ trigger.body.order }}}}"}}
"""

pytestmark = pytest.mark.kafka


def example(fence: str) -> str:
    (found,) = re.findall(rf"^```{fence}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def prefix_of(server: RunningServer) -> str:
    """The topic prefix of a running server, from its command line."""
    words = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode().split("\0")
    return words[words.index("--topic-prefix") + 1]


def executions(server: RunningServer, namespace: str, count: int) -> list[dict[str, Any]]:
    return eventually(
        lambda: server.client.executions(namespace, "orders", ["SUCCESS"], 1, 100)["results"],
        lambda found: len(found) >= count,
    )


def test_the_producers_of_the_guide_start_executions_and_consumers_hear_of_them(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    kafka_server.save(FLOW.format(namespace=namespace))
    topic = prefix_of(kafka_server) + "trigger-messages"
    python = example("python").replace('"shop"', f'"{namespace}"')
    environment = {**os.environ, "KAFKA": kafka_bootstrap, "TOPIC": topic}
    for _ in range(2):  # the same message twice
        subprocess.run([sys.executable, "-c", python], env=environment, check=True, timeout=60)
    shell = example("sh").replace('"shop"', f'"{namespace}"')
    shell = shell.replace("python3", shlex.quote(sys.executable))
    shell = shell.replace("localhost:9092", kafka_bootstrap)
    shell = shell.replace("tiercel.trigger-messages", topic)
    subprocess.run(["bash", "-ec", shell], check=True, timeout=120)

    found = executions(kafka_server, namespace, 2)

    assert len(found) == 2
    assert {x["trigger"]["variables"]["body"]["order"] for x in found} == {1, 2}
    labels = {label["value"] for x in found for label in x["labels"]}
    assert {"order-1", "order-2"} <= labels
    log = KafkaLog(kafka_bootstrap, clock=SystemClock())
    told: dict[str, list[str]] = {}
    name = prefix_of(kafka_server) + "execution-events"
    for partition in range(log.partition_count(name)):
        for record in log.read(name, partition, 0):
            event = json.loads(record.value or b"")
            if event["namespace"] == namespace:
                told.setdefault(record.key, []).append(event["state"])
    log.close()
    assert told == {x["id"]: ["CREATED", "RUNNING", "SUCCESS"] for x in found}


def test_a_message_that_came_too_early_is_shown_and_replayed(
    kafka_server: RunningServer, kafka_bootstrap: str, namespace: str
) -> None:
    message = {"message_id": "early", "namespace": namespace, "flow_id": "orders", "body": {}}
    log = KafkaLog(kafka_bootstrap, clock=SystemClock())
    appender = log.appender()
    topic = prefix_of(kafka_server) + "trigger-messages"
    appender.append(NewRecord(topic, "k", json.dumps(message).encode()))
    appender.flush(30)
    appender.close()
    log.close()

    def tiercel(*words: str) -> Any:
        command = [*TIERCEL, "dead-letters", *words, "--server", kafka_server.url, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    letters = eventually(
        lambda: tiercel("list", "--topic", "trigger-messages")["results"],
        lambda found: any(namespace in letter["reason"] for letter in found),
    )
    letter = next(x for x in letters if namespace in x["reason"])
    assert letter["reason"] == f"There is no flow {namespace}.orders."
    shown = tiercel("show", str(letter["offset"]))
    assert json.loads(shown["value"]) == message
    assert shown["topic"] == topic
    kafka_server.save(FLOW.format(namespace=namespace).replace("trigger.body.order", "flow.id"))

    tiercel("replay", str(letter["offset"]))

    (started,) = executions(kafka_server, namespace, 1)
    assert started["trigger"]["variables"]["messageId"] == "early"
