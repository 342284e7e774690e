"""The AsyncAPI document says what the public records are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
import yaml

from tiercel_schemas import codec
from tiercel_schemas.common import Label
from tiercel_schemas.contracts import PUBLIC, asyncapi, avro_schema
from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import ExecutionEvent, TriggerMessage

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENT: dict[str, Any] = yaml.safe_load(asyncapi())


def test_the_public_records_are_those_of_the_document() -> None:
    assert set(PUBLIC) == {"TriggerMessage", "ExecutionEvent"}
    assert {one["name"] for one in DOCUMENT["components"]["messages"].values()} == set(PUBLIC)


@pytest.mark.parametrize("record", PUBLIC.values())
def test_every_field_of_a_public_record_is_described(record: type[msgspec.Struct]) -> None:
    described = DOCUMENT["components"]["schemas"][record.__name__]
    fields = set(record.__struct_fields__)
    in_json_only = {"inputs", "body"}

    assert fields == set(described["properties"]) - in_json_only
    required = {field.name for field in msgspec.structs.fields(record) if field.required}
    assert required <= set(described["required"])


@pytest.mark.parametrize("prefix", ["tiercel.", "shop."])
def test_the_channels_are_the_topics(prefix: str) -> None:
    topics = Topics(prefix)
    document = yaml.safe_load(asyncapi(prefix))
    addresses = {channel["address"] for channel in document["channels"].values()}

    assert addresses == {topics.trigger_messages.name, topics.execution_events.name}


def test_the_guide_shows_a_whole_event() -> None:
    page = (DOCS / "messages.md").read_text()
    shown = [text.partition("```")[0] for text in page.split("```json\n")[1:]]

    assert msgspec.json.decode(shown[1], type=ExecutionEvent).version == 1
    assert msgspec.json.encode(msgspec.json.decode(shown[1], type=ExecutionEvent))


def test_others_read_and_write_avro_by_the_schemas_alone() -> None:
    event = ExecutionEvent("e1", 3, "main", "shop", "orders", 1, "FAILED", at_us=5)
    message = TriggerMessage("m1", "shop", "orders", labels=(Label("a", "b"),))

    for record in (event, message):
        schema = fastavro.parse_schema(avro_schema(type(record).__name__), named_schemas={})
        wire = codec.encode(record)
        assert wire[:2] == b"\xc3\x01"
        theirs = fastavro.schemaless_reader(io.BytesIO(wire[10:]), schema, None)
        assert theirs == msgspec.json.decode(msgspec.json.encode(record))
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, theirs)
        assert codec.decode(wire[:10] + out.getvalue()) == record


def test_only_public_records_have_a_public_schema() -> None:
    with pytest.raises(KeyError):
        avro_schema("TriggerState")
