"""Addresses, files and claim checks on a local folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiercel_engine.errors import NotFound, TaskError, UserError
from tiercel_engine.storage import uri
from tiercel_engine.storage.claims import INLINE_BYTES_MAX, pack, unpack
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.common import ClaimCheck, Payload

FILE = uri.task_file("acme.sales", "Daily Orders", "exec1", "Fetch it", "run1", "out/a b.csv")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def test_an_address_is_made_of_slugs_and_encoded_names() -> None:
    assert FILE == (
        "kestra:///acme/sales/daily-orders/executions/exec1/tasks/fetch-it/run1/out/a%20b.csv"
    )


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("each_split", "each-split"),
        ("Crème  Brûlée", "creme-brulee"),
        ("a.b", "ab"),
        ("_x_-y_", "x-y"),
        ("日本", "_"),
        ("..", "_"),
    ],
)
def test_a_slug_is_words_joined_by_dashes(name: str, slug: str) -> None:
    assert uri.slugify(name) == slug


@pytest.mark.parametrize(
    "address",
    [
        "kestra:///a/../b",
        "kestra:///a/%2e%2e/b",
        "kestra:///a/x%2fy",
        "kestra:///",
        "kestra:///a//b",
        "file:///etc/passwd",
        "/etc/passwd",
        "kestra:///" + "a" * 5_000,
    ],
)
def test_an_address_that_leaves_its_folder_is_refused(address: str) -> None:
    with pytest.raises(UserError):
        uri.parse(address)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "", "a//b", "."])
def test_a_file_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        uri.task_file("ns", "flow", "e", "t", "r", name)


def test_a_file_belongs_to_its_execution_only() -> None:
    assert uri.belongs_to(FILE, "acme.sales", "Daily Orders", "exec1")
    assert not uri.belongs_to(FILE, "acme.sales", "Daily Orders", "exec")
    assert not uri.belongs_to(FILE, "acme", "Daily Orders", "exec1")
    with pytest.raises(UserError):
        uri.belongs_to(FILE + "/../../x", "acme.sales", "Daily Orders", "exec1")


def test_what_was_written_is_read_back(storage: Storage) -> None:
    storage.put(FILE, b"one\ntwo\n")

    assert storage.get(FILE) == b"one\ntwo\n"
    assert storage.size(FILE) == 8
    assert storage.exists(FILE)
    with storage.open(FILE) as stream:
        assert list(stream) == [b"one\n", b"two\n"]
        stream.seek(4)
        assert stream.read(3) == b"two"


def test_a_large_stream_keeps_its_bytes(storage: Storage, tmp_path: Path) -> None:
    block = os.urandom(1 << 20)

    size_bytes = storage.put_stream(FILE, (block for _ in range(20)))
    storage.download(FILE, tmp_path / "copy")

    assert size_bytes == 20 << 20
    assert (tmp_path / "copy").read_bytes() == block * 20


def test_a_stream_that_breaks_off_leaves_nothing(storage: Storage) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (6 << 20)
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="source broke"):
        storage.put_stream(FILE, broken())

    assert not storage.exists(FILE)


def test_a_missing_file_is_not_found(storage: Storage) -> None:
    for read in (storage.get, storage.size, storage.open):
        with pytest.raises(NotFound):
            read(FILE)
    assert storage.delete(FILE) is False


def test_a_prefix_is_listed_and_deleted_but_not_its_neighbour(storage: Storage) -> None:
    # given: two executions, one id a prefix of the other
    mine = [uri.input_file("ns", "flow", "e1", "file", f"{n}.txt") for n in range(3)]
    other = uri.input_file("ns", "flow", "e11", "file", "0.txt")
    for address in [*mine, other]:
        storage.put(address, b"x")

    # when
    root = uri.execution_root("ns", "flow", "e1")
    listed = sorted(file.uri for file in storage.list(root))
    deleted = storage.delete_prefix(root)

    # then
    assert listed == mine
    assert deleted == 3
    assert storage.exists(other)


def test_the_engines_own_files_are_there_or_none(storage: Storage) -> None:
    assert storage.get_internal("_checkpoints/t/0") is None
    storage.put_internal("_checkpoints/t/0", b"1")
    assert storage.get_internal("_checkpoints/t/0") == b"1"


def test_a_small_value_travels_inline(storage: Storage) -> None:
    payload = pack({"a": [1, None, "ä"]}, storage, FILE)

    assert payload.claim is None
    assert unpack(payload, storage) == {"a": [1, None, "ä"]}
    assert not storage.exists(FILE)


def test_a_large_value_travels_as_a_claim_check(storage: Storage) -> None:
    value = {"text": "x" * INLINE_BYTES_MAX}

    payload = pack(value, storage, FILE)

    assert payload.json is None
    assert payload.claim is not None
    assert unpack(payload, storage) == value


def test_a_changed_value_is_refused(storage: Storage) -> None:
    payload = pack({"text": "x" * INLINE_BYTES_MAX}, storage, FILE)
    assert isinstance(payload.claim, ClaimCheck)
    storage.put(FILE, storage.get(FILE).replace(b"x", b"y"))

    with pytest.raises(NotFound, match="another one"):
        unpack(payload, storage)


def test_a_value_that_json_cannot_hold_is_refused(storage: Storage) -> None:
    with pytest.raises(TaskError):
        pack({"a": object()}, storage, FILE)


def test_no_payload_is_no_value(storage: Storage) -> None:
    assert unpack(None, storage) is None
    assert unpack(Payload(), storage) is None
