"""Bytes of every schema that ever wrote are read for ever.

`golden/*.json` holds one record per schema version: its bytes, and what they say. Files that exist
never change; `--rewrite` adds those of new schemas.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.commands import KillExecution
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[3]


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
    schema = json.loads((codec.HISTORY / f"{golden_path(root).stem}.avsc").read_text())
    record = root.from_avro(sample(schema, {}))
    content = {"bytes": codec.encode(record).hex(), "says": msgspec.to_builtins(record)}
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


@given(
    st.builds(
        TaskJob,
        execution_id=st.text(),
        task_run_id=st.text(),
        attempt=st.integers(-(2**31), 2**31 - 1),
        epoch=st.integers(0, 100),
        namespace=st.text(),
        flow_id=st.text(),
        flow_revision=st.integers(0, 100),
        task_id=st.text(),
        task_json=st.text(),
        variables=st.builds(Payload, json=st.none() | st.text()),
        submitted_us=st.integers(-(2**63), 2**63 - 1),
        value=st.none() | st.text(),
    )
)
def test_what_is_encoded_is_decoded(job: TaskJob) -> None:
    assert codec.decode(codec.encode(job)) == job


BATCH = codec.encode(
    e.EventBatch("x", 1, 2, "Kill", (e.ExecutionStateChanged("KILLING"), e.TaskRunRemoved("r")))
)


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
