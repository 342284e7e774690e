"""Bytes of every schema that ever wrote are read for ever.

`golden/*.json` holds one record per schema version: its bytes, and what they say. Files that exist
never change; `--rewrite` adds those of new schemas.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.commands import KillExecution
from tiercel_schemas.compiler import Compiler, long_bytes, read_long
from tiercel_schemas.jobs import TaskJob

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[3]
#: Every schema that ever wrote, as (name, fingerprint).
SCHEMAS = sorted(tuple(path.stem.rsplit("-", 1)) for path in codec.HISTORY.glob("*.avsc"))


def sample(schema: Any, named: dict[str, Any], name: str = "value") -> Any:
    """A value of an Avro type in which nothing is empty, as fastavro takes it."""
    if isinstance(schema, list):
        records = [t for t in schema if isinstance(t, dict) or t in named]
        if "null" not in schema:
            return [(f"tiercel.{named_name(t)}", sample(t, named)) for t in records]
        (inner,) = [t for t in schema if t != "null"]
        return sample(inner, named, name)
    if isinstance(schema, str):
        if schema in named:
            return sample(named[schema], named, name)
        plain = {"string": name, "int": 3, "long": 1_700_000_000_000_000, "double": 1.5}
        return plain.get(schema, True)
    if schema["type"] == "record":
        named[f"tiercel.{schema['name']}"] = schema
        return {f["name"]: sample(f["type"], named, f["name"]) for f in schema["fields"]}
    if schema["type"] == "map":
        return {"key": sample(schema["values"], named)}
    items = sample(schema["items"], named)
    return items if isinstance(schema["items"], list) else [items]


def named_name(schema: Any) -> str:
    return schema["name"] if isinstance(schema, dict) else schema.removeprefix("tiercel.")


def written(schema: Any, value: Any) -> bytes:
    """What fastavro makes of a value."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named_schemas={}), value)
    return out.getvalue()


def values(avro: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of an Avro type as fastavro takes them."""
    if isinstance(avro, list):
        return st.one_of(
            values(t, named)
            if "null" in avro
            else st.tuples(st.just(f"tiercel.{named_name(t)}"), values(t, named))
            for t in avro
        )
    if isinstance(avro, str):
        plain = {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1) | st.integers(2**47, 2**56),
            "double": st.floats(allow_nan=False),
            "string": st.text(max_size=70) | st.integers(60, 9_000).map(lambda n: "ü" * n),
            "bytes": st.binary(max_size=70),
        }
        return plain[avro] if avro in plain else values(named[avro], named)
    if avro["type"] == "record":
        named[f"tiercel.{avro['name']}"] = avro
        return st.fixed_dictionaries({f["name"]: values(f["type"], named) for f in avro["fields"]})
    if avro["type"] == "map":
        return st.dictionaries(st.text(max_size=9), values(avro["values"], named), max_size=3)
    return st.lists(values(avro["items"], named), max_size=3)


def plainly(value: Any) -> Any:
    """A fastavro value as a record has it: arrays are tuples, members of unions have no name."""
    if isinstance(value, tuple):
        return plainly(value[1])
    if isinstance(value, dict):
        return {name: plainly(member) for name, member in value.items()}
    return tuple(map(plainly, value)) if isinstance(value, list) else value


@cache
def values_of(name: str, fingerprint: str) -> st.SearchStrategy[Any]:
    """Values of a root's schema."""
    return values(codec.schema_of(name, fingerprint), {})


def golden_path(root: Any) -> Path:
    return GOLDEN / f"{root.__name__}-{root.FINGERPRINT}.json"


def still_says(now: Any, then: Any) -> bool:
    """Whether `now` holds all that `then` held; newer fields may have come."""
    if isinstance(then, dict):
        return all(name in now and still_says(now[name], then[name]) for name in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(still_says, now, then))
    return bool(now == then)


def add_golden(root: Any) -> None:
    schema = codec.schema_of(root.__name__, root.FINGERPRINT)
    data = codec.header_of(root.FINGERPRINT) + written(schema, sample(schema, {}))
    content = {"bytes": data.hex(), "says": msgspec.to_builtins(codec.decode(data))}
    golden_path(root).write_text(json.dumps(content, indent=1) + "\n")


@pytest.mark.parametrize("root", codec.ROOTS, ids=lambda root: root.__name__)
def test_every_schema_in_use_has_golden_bytes(root: Any, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite") and not golden_path(root).exists():
        add_golden(root)

    assert golden_path(root).exists(), "run pytest with --rewrite to add the new schema's bytes"
    assert golden_path(root).stem in {path.stem for path in codec.HISTORY.glob("*.avsc")}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_golden_bytes_of_every_version_are_still_read(path: Path) -> None:
    golden = json.loads(path.read_text())

    record = codec.decode(bytes.fromhex(golden["bytes"]))

    assert still_says(json.loads(msgspec.json.encode(record)), golden["says"])


def test_generating_the_records_changes_nothing() -> None:
    command = [sys.executable, str(ROOT / "schemas" / "generate.py"), "--check"]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("root", codec.ROOTS, ids=lambda root: root.__name__)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_records_are_written_and_read_as_fastavro_does(root: Any, data: st.DataObject) -> None:
    schema = codec.schema_of(root.__name__, root.FINGERPRINT)
    value = data.draw(values_of(root.__name__, root.FINGERPRINT))
    theirs = codec.header_of(root.FINGERPRINT) + written(schema, value)

    record = codec.decode(theirs)

    assert msgspec.to_builtins(record) == plainly(value)
    assert codec.encode(record) == theirs


@pytest.mark.parametrize(("name", "fingerprint"), SCHEMAS)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_records_of_every_schema_are_resolved_as_fastavro_does(
    name: str, fingerprint: str, data: st.DataObject
) -> None:
    root = next(root for root in codec.ROOTS if root.__name__ == name)
    old, new = codec.schema_of(name, fingerprint), codec.schema_of(name, root.FINGERPRINT)
    theirs = written(old, data.draw(values_of(name, fingerprint)))
    resolved = fastavro.schemaless_reader(
        io.BytesIO(theirs),
        fastavro.parse_schema(old, named_schemas={}),
        fastavro.parse_schema(new, named_schemas={}),
        return_record_name=True,
        return_record_name_override=True,
    )

    record = codec.decode(codec.header_of(fingerprint) + theirs)

    assert codec.encode(record) == codec.header_of(root.FINGERPRINT) + written(new, resolved)


class _Part(msgspec.Struct):
    name: str
    came_since: int = 7
    count: int = 0


class _Whole(msgspec.Struct):
    parts: tuple[_Part, ...] = ()
    sizes: dict[str, int] = msgspec.field(default_factory=dict)
    raw: bytes = b""


#: An older schema of `_Whole`: `gone` went, `came_since` was not there yet.
OLDER = {
    "type": "record",
    "name": "Whole",
    "namespace": "tiercel",
    "fields": [
        {"name": "gone", "type": ["null", {"type": "map", "values": "string"}]},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Part",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "count", "type": "int"},
                    ],
                },
            },
        },
        {"name": "sizes", "type": {"type": "map", "values": "long"}},
        {"name": "raw", "type": "bytes"},
    ],
}


def test_fields_that_went_are_read_past_and_those_that_came_take_their_default() -> None:
    value = {
        "gone": {"a": "b"},
        "parts": [{"name": "x", "count": 5}, {"name": "y", "count": -1}],
        "sizes": {"z": 2**40},
        "raw": b"\x00\xff",
    }

    read = Compiler(OLDER, {"Whole": _Whole, "Part": _Part}).reader()

    parts = (_Part("x", 7, 5), _Part("y", 7, -1))
    assert read(written(OLDER, value), 0) == _Whole(parts, {"z": 2**40}, b"\x00\xff")


def test_blocks_that_say_how_long_they_are_are_read_too() -> None:
    part = b"\x02x\x02"
    blocks = b"\x01" + long_bytes(len(part)) + part + b"\x02" + part + b"\x00"

    read = Compiler(OLDER, {"Whole": _Whole, "Part": _Part}).reader()

    assert read(b"\x00" + blocks + b"\x00\x00", 0) == _Whole((_Part("x", 7, 1),) * 2)


@pytest.mark.parametrize("bits", range(64))
def test_numbers_of_every_length_are_read_as_they_were_written(bits: int) -> None:
    for number in (2**bits - 1, 2**bits, -(2**bits), 1 - 2**bits):
        if number == 2**63:
            continue
        data = long_bytes(number)

        assert data == written("long", number)
        if len(data) > 1:
            assert read_long(data + b"\xff", 1) == (number, len(data))


def test_a_number_of_more_than_64_bits_is_not_written() -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        codec.encode(e.EventBatch("x", 2**63, 2, "Kill", ()))


BATCH = codec.encode(
    e.EventBatch("x", 1, 2, "Kill", (e.ExecutionStateChanged("KILLING"), e.TaskRunRemoved("r")))
)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_cut_off_or_with_more_behind_it_is_unreadable(path: Path) -> None:
    data = bytes.fromhex(json.loads(path.read_text())["bytes"])

    for torn in (*(data[:end] for end in range(len(data))), data + b"\x00"):
        with pytest.raises(codec.UnreadableRecord):
            codec.decode(torn)


@given(st.binary(max_size=200) | st.integers(0, len(BATCH) - 1).map(lambda end: BATCH[:end]))
def test_bytes_that_are_no_record_are_unreadable_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(codec.UnreadableRecord):
        codec.decode(data)


@given(st.integers(codec.HEADER_BYTES, len(BATCH) - 1), st.integers(0, 255))
def test_a_damaged_byte_gives_a_record_or_unreadable(at: int, byte: int) -> None:
    damaged = BATCH[:at] + bytes([byte]) + BATCH[at + 1 :]

    with contextlib.suppress(codec.UnreadableRecord):
        assert isinstance(codec.decode(damaged), e.EventBatch)


def test_a_tombstone_and_an_unknown_schema_say_what_they_are() -> None:
    with pytest.raises(codec.UnreadableRecord, match="single-object"):
        codec.decode(None)
    with pytest.raises(codec.UnreadableRecord, match="newer version"):
        codec.decode(codec.MARKER + bytes(8) + b"x")


def test_another_kind_of_record_is_refused() -> None:
    with pytest.raises(codec.UnreadableRecord, match="Expected a TaskJob, but it is a Kill"):
        codec.decode_as(TaskJob, codec.encode(KillExecution("c", "x")))
