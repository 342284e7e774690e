"""What is written down of namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import UserError
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespaces import About, Namespaces
from tiercel_engine.storage.objects import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def test_a_namespace_is_written_down_changed_and_forgotten(storage: Storage) -> None:
    namespaces = Namespaces(storage)
    assert namespaces.get("a.b") is None
    assert list(namespaces.names()) == []

    assert namespaces.create("a.b", About("first"))
    assert not namespaces.create("a.b", About("second"))
    namespaces.put("a", About())

    assert namespaces.get("a.b") == About("first")
    assert sorted(namespaces.names()) == ["a", "a.b"]
    assert namespaces.delete("a.b")
    assert not namespaces.delete("a.b")
    assert list(namespaces.names()) == ["a"]


def test_what_is_written_down_is_no_namespace_with_pairs(storage: Storage) -> None:
    Namespaces(storage).put("a.b", About("text"))
    pairs = KvStore(storage, FakeClock())
    pairs.set("c", "key", 1)

    assert list(pairs.namespaces("")) == ["c"]


def test_what_does_not_read_is_told(storage: Storage) -> None:
    namespaces = Namespaces(storage)
    namespaces.put("a", About())
    storage.put("kestra:///_namespaces/a.json", b"[")

    with pytest.raises(UserError, match="Expected what is stored of a"):
        namespaces.get("a")
