"""Internal storage on a local folder, S3, Google Cloud Storage and Azure: the same cases."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cloud_stores import azure, gcs, s3

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import Conflict, NotFound
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.objects import PART_BYTES, Storage
from tiercel_engine.storage.splitting import Split, split

LARGE = 3 * PART_BYTES + 12_345


@pytest.fixture(scope="module", params=["local", "s3", "gcs", "azure"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a store of each kind, which answers until the module ends."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "local":
        yield str(folder / "storage")
        return
    stores = {"s3": s3, "gcs": gcs, "azure": lambda: azure(folder)}
    with stores[request.param]() as url:
        yield url


@pytest.fixture
def storage(place: str, tmp_path: Path) -> Storage:
    return Storage(f"{place}/{tmp_path.name}-{os.getpid()}")


def test_an_object_is_written_read_measured_and_deleted(storage: Storage) -> None:
    storage.put("kestra:///a/b%20c.txt", b"hello")
    storage.put("kestra:///a/b%20c.txt", b"hello again")
    assert storage.get("kestra:///a/b%20c.txt") == b"hello again"
    assert storage.size("kestra:///a/b%20c.txt") == 11
    assert storage.delete("kestra:///a/b%20c.txt")
    assert not storage.delete("kestra:///a/b%20c.txt")
    with pytest.raises(NotFound, match=r"a/b%20c\.txt"):
        storage.get("kestra:///a/b%20c.txt")


def test_an_object_of_several_parts_is_streamed(storage: Storage, tmp_path: Path) -> None:
    data = os.urandom(1 << 16) * (LARGE >> 16) + b"end"
    blocks = (data[start : start + 100_000] for start in range(0, len(data), 100_000))
    assert storage.put_stream("kestra:///large", blocks) == len(data)
    assert storage.download("kestra:///large", tmp_path / "copy") == len(data)
    assert (tmp_path / "copy").read_bytes() == data
    with storage.open("kestra:///large") as stream:
        stream.seek(-3, io.SEEK_END)
        assert stream.read() == b"end"
        stream.seek(PART_BYTES - 5)
        assert stream.read(10) == data[PART_BYTES - 5 : PART_BYTES + 5]


def test_nothing_is_written_when_the_source_fails(storage: Storage) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        storage.put_stream("kestra:///torn", broken())
    assert not storage.exists("kestra:///torn")


def test_an_object_is_made_only_once(storage: Storage) -> None:
    assert storage.create("kestra:///once", b"1")
    assert not storage.create("kestra:///once", b"2")
    assert storage.get("kestra:///once") == b"1"


def test_folders_are_listed_moved_and_emptied(storage: Storage) -> None:
    for name in ("a/x", "a/b/y", "ab/z"):
        storage.put(f"kestra:///{name}", name.encode())
    assert sorted(f.uri for f in storage.list("kestra:///a")) == [
        "kestra:///a/b/y",
        "kestra:///a/x",
    ]
    folders, files = storage.list_folder("kestra:///a")
    assert ([*folders], [f.uri for f in files]) == (["kestra:///a/b"], ["kestra:///a/x"])
    assert sorted(storage.list_folder("kestra:///")[0]) == ["kestra:///a", "kestra:///ab"]
    storage.move("kestra:///a/x", "kestra:///a/b/x")
    assert storage.delete_prefix("kestra:///a") == 2
    assert storage.exists("kestra:///ab/z")


def test_pairs_and_namespace_files_live_there(storage: Storage) -> None:
    pairs = KvStore(storage, FakeClock())
    pairs.set("acme.sales", "k", {"a": 1}, overwrite=False)
    with pytest.raises(Conflict):
        pairs.set("acme.sales", "k", 2, overwrite=False)
    pairs.set("acme.sales", "k", 3)
    assert [p.value for p in pairs.list("acme.sales")] == [3]
    assert [p.value for p in pairs.revisions("acme.sales", "k")] == [{"a": 1}, 3]
    assert list(pairs.namespaces("acme")) == ["acme.sales"]
    files = NamespaceFiles(storage, "acme.sales")
    files.make_folder("empty")
    files.put("d/a.txt", io.BytesIO(b"a"))
    assert [e.path for e in files.children()] == ["/d", "/empty"]
    files.put("d/a.txt", io.BytesIO(b"b"))
    files.move("d", "e")
    assert [e.path for e in files.all()] == ["/e/a.txt"]
    assert files.revisions("e/a.txt") == [1, 2]


def test_a_stored_stream_is_split_into_stored_parts(storage: Storage) -> None:
    row = b"x" * 999 + b"\n"
    storage.put_stream("kestra:///rows", (row * 1_000 for _ in range(20)))
    with storage.open("kestra:///rows") as source:
        sizes = [
            storage.put_stream(f"kestra:///parts/{number}", part)
            for number, part in enumerate(split(source, Split(size_bytes=8_000_000)))
        ]
    assert sizes == [8_000_000, 8_000_000, 4_000_000]
