"""Trigger messages: every encoding, exactly one execution per id, bad ones put aside."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from tests.executor_harness import TOPICS
from tests.scheduler_harness import SETTINGS, Stage, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.eventlog.schema_registry import RegistryUnavailable, SchemaRegistry
from tiercel_scheduler.messages import BadMessage, read_message
from tiercel_scheduler.service import Scheduler
from tiercel_schemas import codec
from tiercel_schemas.common import Label
from tiercel_schemas.triggers import TriggerMessage

FLOW = """id: orders
namespace: tests
inputs:
  - {id: n, type: INT, defaults: 1}
  - {id: needed, type: STRING}
tasks:
  - {id: work, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.body.total }}"}
"""
#: A producer's own schema.
OWN = {
    "type": "record",
    "name": "Ask",
    "fields": [{"name": name, "type": "string"} for name in ("messageId", "namespace", "flowId")],
}
MESSAGE: dict[str, Any] = {"message_id": "m1", "namespace": "tests", "flow_id": "orders"}


class KnownSchemas(SchemaRegistry):
    """A registry that a test fills."""

    def __init__(self, schemas: dict[int, Any]) -> None:
        super().__init__("http://localhost:1")
        self.known = schemas
        self.is_away = False

    def schema(self, schema_id: int) -> Any | None:
        if self.is_away:
            raise RegistryUnavailable("away")
        return self.known.get(schema_id)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2025-03-05T10:00:00"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    stage.scheduler()
    stage.save(FLOW, "orders")
    yield stage
    stage.close()


def publish(stage: Stage, value: bytes | dict[str, Any], key: str = "k") -> None:
    text = json.dumps(value).encode() if isinstance(value, dict) else value
    stage.bench.appender.append(NewRecord(TOPICS.trigger_messages.name, key, text))


def test_a_json_message_starts_an_execution_with_its_body_and_headers(stage: Stage) -> None:
    more = {
        "inputs": {"n": 7},
        "labels": {"source": "shop"},
        "body": {"total": 12.5},
        "headers": {"x": "y"},
    }
    publish(stage, {**MESSAGE, **more})

    stage.turns(3)

    (created,) = stage.created()
    assert created.inputs.json == '{"n":7}'
    assert stage.variables(created) == {
        "messageId": "m1",
        "body": {"total": 12.5},
        "headers": {"x": "y"},
    }
    labels = {label.key: label.value for label in created.labels}
    assert (labels["source"], labels["system.messageId"]) == ("shop", "m1")


def test_a_message_starts_one_execution_however_often_it_comes(stage: Stage) -> None:
    for round_ in range(4):
        publish(stage, MESSAGE, key=f"k{round_}")
        stage.turns(3)
    publish(stage, {**MESSAGE, "message_id": "m2"})
    stage.turns(8)

    assert len(stage.created()) == 2
    assert stage.bench.records(TOPICS.dead_letters.name) == []


def avro(schema: Any, value: dict[str, Any], schema_id: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return b"\x00" + struct.pack(">I", schema_id) + out.getvalue()


def test_avro_comes_in_either_encoding() -> None:
    message = TriggerMessage(
        message_id="m1",
        namespace="tests",
        flow_id="orders",
        body_json='{"total":3}',
        labels=(Label("a", "b"),),
    )
    path = Path(codec.__file__).parent / "avro" / "history"
    (file,) = path.glob("TriggerMessage-*.avsc")
    schema = fastavro.parse_schema(json.loads(file.read_text()), named_schemas={})

    assert read_message(codec.encode(message), None) == message
    wire = avro(schema, msgspec.to_builtins(message), 42)
    assert read_message(wire, KnownSchemas({42: schema})) == message


def test_producers_may_register_a_schema_of_their_own() -> None:
    parsed = fastavro.parse_schema(OWN, named_schemas={})
    wire = avro(parsed, {"messageId": "a", "namespace": "b", "flowId": "c"}, 7)

    assert read_message(wire, KnownSchemas({7: parsed})) == TriggerMessage("a", "b", "c")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "empty"),
        (b"hello", "JSON object"),
        (b"[1]", "JSON object"),
        (b"\xc3\x01short", "Avro record"),
        (b"\x00\x00\x00\x00\x09xx", "schema registry"),
        ({"namespace": "tests", "flow_id": "orders"}, "message_id"),
        ({**MESSAGE, "message_id": ""}, "message_id"),
        ({**MESSAGE, "namespace": "a/b"}, "namespace"),
        ({**MESSAGE, "flow": "x"}, "'flow'"),
        ({**MESSAGE, "revision": "x"}, "revision"),
        ({**MESSAGE, "labels": [1]}, "labels"),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(value: Any, words: str) -> None:
    text = json.dumps(value).encode() if isinstance(value, dict) else value
    with pytest.raises(BadMessage, match=words):
        read_message(text, None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"flow_id": "nope"}, "There is no flow tests.nope"),
        ({"revision": 9}, "There is no revision 9"),
        ({"inputs": {"n": "many"}}, "many"),
        ({"inputs_json": "[1]"}, "JSON object"),
        ({"body_json": "{"}, "body"),
    ],
)
def test_what_cannot_start_goes_to_the_dead_letters_with_reason_and_origin(
    stage: Stage, more: dict[str, Any], words: str
) -> None:
    publish(stage, {**MESSAGE, **more})
    publish(stage, {**MESSAGE, "message_id": "good"})

    stage.turns(4)

    assert len(stage.created()) == 1
    (letter,) = stage.bench.records(TOPICS.dead_letters.name)
    assert letter.headers is not None
    assert words in letter.headers["tiercel-reason"].decode()
    assert letter.headers["tiercel-source-topic"].decode() == TOPICS.trigger_messages.name
    assert letter.value == json.dumps({**MESSAGE, **more}).encode()


def test_a_disabled_flow_starts_nothing(stage: Stage) -> None:
    stage.save(FLOW + "disabled: true\n", "orders")
    publish(stage, MESSAGE)

    stage.turns(4)

    assert stage.created() == []
    assert len(stage.bench.records(TOPICS.dead_letters.name)) == 1


def test_messages_wait_in_order_while_the_schema_registry_is_away(stage: Stage) -> None:
    registry = KnownSchemas({7: fastavro.parse_schema(OWN, named_schemas={})})
    registry.is_away = True
    stage.crash(stage.schedulers[0])
    scheduler = Scheduler(
        log=stage.bench.log,
        topics=TOPICS,
        catalog=stage.catalog(),
        storage=stage.bench.storage,
        clock=stage.clock,
        instance="1",
        registry=registry,
        settings=SETTINGS,
    )
    scheduler.open()
    stage.schedulers.append(scheduler)
    for name in ("a", "b"):
        value = {"messageId": name, "namespace": "tests", "flowId": "orders"}
        publish(stage, avro(registry.known[7], value, 7))
    publish(stage, MESSAGE)
    stage.turns(3)
    assert stage.created() == []

    registry.is_away = False
    stage.clock.advance(1.1)
    stage.turns(4)

    assert sorted(stage.variables(x)["messageId"] for x in stage.created()) == ["a", "b", "m1"]
    assert stage.bench.records(TOPICS.dead_letters.name) == []
