"""Key-value pairs of namespaces on a local folder."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import Conflict, UserError
from tiercel_engine.storage.kv import KvStore, json_value
from tiercel_engine.storage.kv_values import KvType
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import kv_file


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


@pytest.fixture
def pairs(storage: Storage, clock: FakeClock) -> KvStore:
    return KvStore(storage, clock)


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        ("text", "STRING", "text"),
        ("", "STRING", ""),
        (3, "NUMBER", 3),
        (2.5, "NUMBER", 2.5),
        (True, "BOOLEAN", True),
        (datetime(2024, 5, 1, 10, 0, tzinfo=UTC), "DATETIME", "2024-05-01T10:00:00Z"),
        (date(2024, 5, 1), "DATE", "2024-05-01"),
        (timedelta(minutes=5), "DURATION", "PT5M"),
        ("PT5M", "DURATION", "PT5M"),
        ({"a": [1, None, "x"]}, "JSON", {"a": [1, None, "x"]}),
        ([1, 2], "JSON", [1, 2]),
        (None, "JSON", None),
    ],
)
def test_a_value_comes_back_with_its_type(
    pairs: KvStore, value: Any, kind: str, plain: Any
) -> None:
    pairs.set("acme.sales", "k", value)
    pair = pairs.get("acme.sales", "k")
    assert pair is not None
    assert (pair.type, json_value(pair)) == (kind, plain)


@pytest.mark.parametrize(
    ("value", "kind", "typed"),
    [
        ("3", KvType.NUMBER, 3),
        ("TRUE", KvType.BOOLEAN, True),
        (3, KvType.STRING, "3"),
        ("PT5M", KvType.STRING, "PT5M"),
        ('{"a":1}', KvType.JSON, {"a": 1}),
        ("2024-05-01", KvType.DATE, date(2024, 5, 1)),
        ("2024-05-01T12:00:00+02:00", KvType.DATETIME, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("PT1H", KvType.DURATION, timedelta(hours=1)),
    ],
)
def test_a_text_becomes_a_value_of_the_type_that_is_asked_for(
    pairs: KvStore, value: Any, kind: KvType, typed: Any
) -> None:
    pairs.set("acme", "k", value, kind=kind)
    pair = pairs.get("acme", "k")
    assert pair is not None
    assert (pair.type, pair.value) == (kind, typed)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", KvType.NUMBER), ("yes", KvType.BOOLEAN), ("soon", KvType.DATE), ("{", KvType.JSON)],
)
def test_a_text_that_is_no_value_of_its_type_is_refused(
    pairs: KvStore, value: str, kind: KvType
) -> None:
    with pytest.raises(UserError, match=f"Expected a value of type {kind}"):
        pairs.set("acme", "k", value, kind=kind)


def test_a_pair_is_gone_when_its_time_is_over(pairs: KvStore, clock: FakeClock) -> None:
    pairs.set("acme", "k", "v", ttl_s=60)
    clock.advance(59.9)
    assert pairs.get("acme", "k") is not None
    clock.advance(0.1)
    assert pairs.get("acme", "k") is None
    assert list(pairs.list("acme")) == []
    assert [pair.key for pair in pairs.list("acme", expired=True)] == ["k"]


def test_a_revision_counts_how_often_a_key_was_set(pairs: KvStore, clock: FakeClock) -> None:
    first = pairs.set("acme", "k", 1, description="a number")
    clock.advance(5)
    second = pairs.set("acme", "k", 2)
    assert (first.revision, second.revision) == (1, 2)
    assert second.created_us == first.created_us < second.updated_us


def test_what_a_key_was_is_read_by_its_revision(pairs: KvStore) -> None:
    # given
    for value in ("one", {"two": 2}, 3):
        pairs.set("acme", "k", value)
    # then
    assert [(p.revision, p.value) for p in pairs.revisions("acme", "k")] == [
        (1, "one"),
        (2, {"two": 2}),
        (3, 3),
    ]
    kept = [pairs.revision("acme", "k", number) for number in (1, 3, 4)]
    assert [None if pair is None else pair.value for pair in kept] == ["one", 3, None]
    assert [*pairs.namespaces("")] == ["acme"]


def test_so_many_values_of_a_key_are_kept_as_the_storage_allows(
    tmp_path: Path, clock: FakeClock
) -> None:
    pairs = KvStore(Storage(tmp_path / "small", revisions_max=2), clock)
    for value in range(1, 6):
        pairs.set("acme", "k", value)
    assert [pair.value for pair in pairs.revisions("acme", "k")] == [3, 4, 5]


def test_a_key_without_what_it_was_goes_on_with_its_number(pairs: KvStore) -> None:
    # given: all but the present value is purged
    for value in (1, 2, 3):
        pairs.set("acme", "k", value)
    assert pairs.purge_revisions("acme", "k", None, 0) == 2
    assert [pair.value for pair in pairs.revisions("acme", "k")] == [3]
    # when
    pairs.set("acme", "k", 4)
    # then
    assert [(p.revision, p.value) for p in pairs.revisions("acme", "k")] == [(3, 3), (4, 4)]


def test_a_deleted_key_leaves_nothing_of_what_it_was(pairs: KvStore, storage: Storage) -> None:
    for value in (1, 2):
        pairs.set("acme", "k", value)
    assert pairs.delete("acme", "k")
    assert pairs.revisions("acme", "k") == []
    assert [*storage.list("kestra:///acme")] == []
    assert pairs.set("acme", "k", 3).revision == 1


def test_the_values_that_were_set_before_a_date_are_purged(pairs: KvStore) -> None:
    for value in (1, 2, 3):
        pairs.set("acme", "k", value)
    assert pairs.purge_revisions("acme", "k", 0, 0) == 0
    long_from_now_us = 1 << 60
    assert pairs.purge_revisions("acme", "k", long_from_now_us, 1) == 1
    assert [pair.value for pair in pairs.revisions("acme", "k")] == [2, 3]


def test_only_a_free_key_is_set_without_overwriting(pairs: KvStore, clock: FakeClock) -> None:
    pairs.set("acme", "k", 1, ttl_s=10, overwrite=False)
    with pytest.raises(Conflict, match="'k'"):
        pairs.set("acme", "k", 2, overwrite=False)
    clock.advance(10)
    assert pairs.set("acme", "k", 3, overwrite=False).value == 3


def test_a_key_is_looked_for_in_the_parents_when_asked(pairs: KvStore) -> None:
    pairs.set("acme", "far", 1)
    pairs.set("acme", "near", 1)
    pairs.set("acme.sales", "near", 2)
    assert pairs.get("acme.sales.eu", "near") is None
    found = [pairs.get("acme.sales.eu", key, inherit=True) for key in ("near", "far", "none")]
    assert [pair and (pair.namespace, pair.value) for pair in found] == [
        ("acme.sales", 2),
        ("acme", 1),
        None,
    ]


def test_the_keys_of_a_namespace_are_those_of_its_own(pairs: KvStore) -> None:
    for namespace, key in (("acme", "b"), ("acme", "a.x"), ("acme.sales", "c"), ("acmes", "d")):
        pairs.set(namespace, key, 1)
    assert [pair.key for pair in pairs.list("acme")] == ["a.x", "b"]
    assert pairs.delete("acme", "b")
    assert not pairs.delete("acme", "b")
    assert list(pairs.keys("acme")) == ["a.x"]
    assert list(pairs.list("acme", "b")) == []


def test_the_namespaces_with_pairs_are_found(pairs: KvStore, storage: Storage) -> None:
    for namespace in ("acme", "acme.sales.eu", "acme.it", "other"):
        pairs.set(namespace, "k", 1)
    storage.put("kestra:///acme/flow/executions/e1/tasks/t/r/_kv/x.ion", b"1")
    assert sorted(pairs.namespaces("")) == ["acme", "acme.it", "acme.sales.eu", "other"]
    assert sorted(pairs.namespaces("acme.sales")) == ["acme.sales.eu"]
    assert list(pairs.namespaces("acme.it")) == ["acme.it"]


def test_a_value_that_the_peer_has_written_is_read(pairs: KvStore, storage: Storage) -> None:
    storage.put(kv_file("acme", "k"), b'{a:1,b:"x"}')
    pair = pairs.get("acme", "k")
    assert pair is not None
    assert (pair.type, pair.value, pair.revision) == (KvType.JSON, {"a": 1, "b": "x"}, 1)
    assert pair.updated_us > 0


@pytest.mark.parametrize("key", ["", ".a", "-a", "a/b", "../a", "a b", "é", "k" * 201])
def test_a_key_that_cannot_be_one_is_refused(pairs: KvStore, key: str) -> None:
    with pytest.raises(UserError, match="Expected a key of letters"):
        pairs.set("acme", key, 1)
    with pytest.raises(UserError, match="Expected a key of letters"):
        pairs.get("acme", key)
