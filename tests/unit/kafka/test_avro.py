"""Avro keys and values: plain and with a registry, every kind of type, what does not fit."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from tests.schema_house import USER, SchemaHouse, schema_house

from tiercel_engine.errors import TaskError
from tiercel_engine.eventlog.schema_registry import SchemaRegistry
from tiercel_worker.kafka import serdes
from tiercel_worker.kafka.avro import HEADER, AvroReader, AvroWriter
from tiercel_worker.tasks.kafka import registry_of

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "total", "type": ["null", "double"], "default": None},
        {"name": "lines", "type": {"type": "array", "items": "int"}, "default": []},
        {
            "name": "by",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Person",
                    "fields": [{"name": "name", "type": "string"}],
                },
            ],
            "default": None,
        },
        {"name": "to", "type": ["null", "Person"], "default": None},
    ],
}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


@pytest.fixture
def house() -> Iterator[SchemaHouse]:
    with schema_house() as house:
        yield house


def test_a_plain_value_is_avro_without_a_header() -> None:
    value = {"id": "a", "total": 3, "lines": [1, 2], "by": {"name": "x"}, "to": {"name": "y"}}

    data = AvroWriter(json.dumps(ORDER), None, "value").write(value, "orders")

    parsed = fastavro.parse_schema(ORDER, named_schemas={})
    assert fastavro.schemaless_reader(io.BytesIO(data), parsed, None) == value
    assert AvroReader(ORDER, None, "value").read(data) == value


def test_defaults_fill_what_is_not_given() -> None:
    data = AvroWriter(ORDER, None, "value").write({"id": "a"}, "orders")

    wanted = {"id": "a", "total": None, "lines": [], "by": None, "to": None}
    assert AvroReader(ORDER, None, "value").read(data) == wanted


@pytest.mark.parametrize(
    ("schema", "value", "held", "seen"),
    [
        (
            logical("long", "timestamp-millis"),
            "2026-11-25T10:00:00.5+01:00",
            datetime(2026, 11, 25, 9, 0, 0, 500_000, UTC),
            "2026-11-25T09:00:00.500000+00:00",
        ),
        (logical("long", "timestamp-micros"), 1_500_000,
         datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "1970-01-01T00:00:01.500000+00:00"),
        (logical("int", "date"), "2024-02-29", date(2024, 2, 29), "2024-02-29"),
        (logical("bytes", "decimal", precision=6, scale=2), "12.50", Decimal("12.50"), "12.50"),
        (logical("bytes", "decimal", precision=6, scale=2), 12.5, Decimal("12.50"), "12.50"),
        ("bytes", "\u00ff\u0001", b"\xff\x01", "\u00ff\u0001"),
        (["null", logical("int", "date")], "2024-02-29", date(2024, 2, 29), "2024-02-29"),
        (["null", "string"], None, None, None),
        (["string", "int"], 3, 3, 3),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B", "B"),
        ({"type": "map", "values": logical("int", "date")}, {"a": "2024-02-29"},
         {"a": date(2024, 2, 29)}, {"a": "2024-02-29"}),
        (logical("string", "uuid"), "7f000001-0000-4000-8000-000000000001", None,
         "7f000001-0000-4000-8000-000000000001"),
    ],
)  # fmt: skip
def test_texts_become_what_the_schema_asks_for(
    schema: Any, value: Any, held: Any, seen: Any
) -> None:
    data = AvroWriter(schema, None, "value").write(value, "t")

    parsed = fastavro.parse_schema(schema, named_schemas={})
    if held is not None:
        assert fastavro.schemaless_reader(io.BytesIO(data), parsed, None) == held
    if seen is not None:
        assert AvroReader(schema, None, "value").read(data) == seen


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        (ORDER, {"total": 3}, "Avro schema"),
        (ORDER, {"id": 3}, "Avro schema"),
        (ORDER, "text", "Avro schema"),
        (logical("int", "date"), "yesterday", "yesterday"),
        (logical("bytes", "decimal", precision=6, scale=2), "many", "Avro schema"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "B", "Avro schema"),
    ],
)
def test_what_does_not_fit_is_refused(schema: Any, value: Any, words: str) -> None:
    writer = AvroWriter(schema, None, "value")

    with pytest.raises(TaskError, match=words):
        writer.write(value, "t")


@pytest.mark.parametrize("written", ["{", "{}", '{"type": "nothing"}', "nothing", 3])
def test_a_schema_that_is_none_is_refused(written: Any) -> None:
    with pytest.raises(TaskError, match="Expected an Avro schema"):
        AvroWriter(written, None, "value")


def test_a_registry_gives_the_schema_its_id(house: SchemaHouse) -> None:
    writer = AvroWriter(ORDER, SchemaRegistry(house.url), "value")

    # when
    first = writer.write({"id": "a"}, "orders")
    second = writer.write({"id": "b"}, "orders")
    other = writer.write({"id": "c"}, "returns")

    # then
    assert [HEADER.unpack_from(data) for data in (first, second, other)] == [(0, 1)] * 3
    assert house.subjects == {"orders-value": [1], "returns-value": [1]}
    assert len(house.asked) == 2
    reader = AvroReader(None, SchemaRegistry(house.url), "value")
    assert [reader.read(data)["id"] for data in (first, second, other)] == ["a", "b", "c"]


def test_without_a_schema_the_newest_of_the_registry_counts(house: SchemaHouse) -> None:
    registry = SchemaRegistry(house.url)
    registry.register("orders-key", "string")

    data = AvroWriter(None, registry, "key").write("k1", "orders")

    assert data == HEADER.pack(0, 1) + b"\x04k1"


def test_a_schema_may_have_to_be_there_already(house: SchemaHouse) -> None:
    writer = AvroWriter(ORDER, SchemaRegistry(house.url), "value", registers=False)

    with pytest.raises(TaskError, match="orders-value"):
        writer.write({"id": "a"}, "orders")

    SchemaRegistry(house.url).register("orders-value", ORDER)
    assert writer.write({"id": "a"}, "orders").startswith(HEADER.pack(0, 1))


def test_a_registry_may_ask_who_it_is(house: SchemaHouse) -> None:
    house.needs_user = True
    known = registry_of({"schema.registry.url": house.url, "basic.auth.user.info": USER})
    unknown = registry_of({"schema.registry.url": house.url})

    assert AvroWriter("string", known, "value").write("a", "t") == HEADER.pack(0, 1) + b"\x02a"
    with pytest.raises(TaskError, match="401"):
        AvroWriter("string", unknown, "value").write("a", "t")


def test_a_registry_that_is_away_fails_the_task() -> None:
    registry = SchemaRegistry("http://127.0.0.1:9")

    with pytest.raises(TaskError, match="schema registry"):
        AvroWriter("string", registry, "value").write("a", "t")
    with pytest.raises(TaskError, match="schema registry"):
        AvroReader(None, registry, "value").read(HEADER.pack(0, 1) + b"\x02a")


def test_avro_needs_a_schema_from_somewhere() -> None:
    with pytest.raises(TaskError, match="valueAvroSchema"):
        AvroWriter(None, None, "value")
    with pytest.raises(TaskError, match="keyAvroSchema"):
        AvroReader(None, None, "key")


@pytest.mark.parametrize("data", [b"", b"\x01abcd", HEADER.pack(0, 9) + b"\x02a", b"\x00\x00"])
def test_bytes_that_are_no_record_of_the_registry_are_refused(
    house: SchemaHouse, data: bytes
) -> None:
    reader = AvroReader(None, SchemaRegistry(house.url), "value")

    with pytest.raises(serdes.Unreadable):
        serdes.read(data, "AVRO", reader)


@pytest.mark.parametrize(
    ("name", "data"),
    [("JSON", b"{"), ("STRING", b"\xff"), ("INTEGER", b"12"), ("UUID", b"nobody")],
)
def test_what_is_not_of_its_kind_is_unreadable(name: str, data: bytes) -> None:
    with pytest.raises(serdes.Unreadable):
        serdes.read(data, name)
