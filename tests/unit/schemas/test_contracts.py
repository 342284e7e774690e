"""The AsyncAPI document says what the public records are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import ExecutionEvent, TriggerMessage

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENT: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())


@pytest.mark.parametrize("record", [TriggerMessage, ExecutionEvent])
def test_every_field_of_a_public_record_is_described(record: type[msgspec.Struct]) -> None:
    described = DOCUMENT["components"]["schemas"][record.__name__]
    fields = set(record.__struct_fields__)
    in_json_only = {"inputs", "body"}

    assert fields == set(described["properties"]) - in_json_only
    required = {field.name for field in msgspec.structs.fields(record) if field.required}
    assert required <= set(described["required"])


def test_the_channels_are_the_topics() -> None:
    topics = Topics()
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}

    assert addresses == {topics.trigger_messages.name, topics.execution_events.name}


def test_the_guide_shows_a_whole_event() -> None:
    page = (DOCS / "messages.md").read_text()
    shown = [text.partition("```")[0] for text in page.split("```json\n")[1:]]

    assert msgspec.json.decode(shown[1], type=ExecutionEvent).version == 1
    assert msgspec.json.encode(msgspec.json.decode(shown[1], type=ExecutionEvent))
