"""Tasks on key-value pairs and states."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.clock import SystemClock
from tiercel_engine.storage.kv import KvStore


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("pairs")) as rig:
        yield rig


@pytest.fixture
def pairs(rig: Rig) -> KvStore:
    return KvStore(rig.storage, SystemClock())


def test_a_value_is_set_and_read_in_its_type(rig: Rig) -> None:
    rig.outputs("kv.Set", {"inputs": {"n": 6}}, key="k-{{ inputs.n }}", value="{{ inputs.n * 7 }}")
    assert rig.outputs("kv.Get", key="k-6") == {"value": 42}
    rig.outputs("kv.Set", key="map", value={"a": ["{{ flow.id }}", 1]})
    assert rig.outputs("kv.Get", key="map") == {"value": {"a": ["flow", 1]}}


def test_a_type_makes_a_value_of_a_text(rig: Rig, pairs: KvStore) -> None:
    rig.outputs("kv.Set", key="day", value="2024-05-01", kvType="DATE", kvDescription="a day")
    pair = pairs.get("acme.test", "day")
    assert pair is not None
    assert (pair.type, pair.description) == ("DATE", "a day")
    assert rig.outputs("kv.Get", key="day") == {"value": "2024-05-01"}
    assert "Expected kvType as one of" in rig.failure("kv.Set", key="k", value=1, kvType="BLOB")


def test_a_key_that_has_a_value_is_kept_without_overwriting(rig: Rig) -> None:
    rig.outputs("kv.Set", key="once", value=1, overwrite=False)
    assert "'once'" in rig.failure("kv.Set", key="once", value=2, overwrite="{{ false }}")
    assert rig.outputs("kv.Get", key="once") == {"value": 1}


def test_a_time_to_live_is_kept_with_the_pair(rig: Rig, pairs: KvStore) -> None:
    rig.outputs("kv.Set", key="short", value=1, ttl="PT1H")
    pair = pairs.get("acme.test", "short")
    assert pair is not None
    assert pair.expires_us == pair.updated_us + 3_600_000_000


def test_a_missing_key_gives_nothing_or_fails(rig: Rig) -> None:
    assert rig.outputs("kv.Get", key="none") == {}
    assert "Expected a value for the key 'none'" in rig.failure(
        "kv.Get", key="none", errorOnMissing=True
    )


def test_a_key_of_a_parent_namespace_is_found(rig: Rig) -> None:
    rig.outputs("kv.Set", key="shared", value="x", namespace="acme")
    assert rig.outputs("kv.Get", key="shared") == {"value": "x"}
    assert rig.outputs("kv.Get", key="shared", namespace="acme.other") == {}


def test_keys_are_listed_and_deleted(rig: Rig) -> None:
    for key in ("list-b", "list-a", "other"):
        rig.outputs("kv.Set", key=key, value=1)
    assert rig.outputs("kv.GetKeys", prefix="list-") == {"keys": ["list-a", "list-b"]}
    assert rig.outputs("kv.Delete", key="list-a") == {"deleted": True}
    assert rig.outputs("kv.Delete", key="list-a") == {"deleted": False}
    assert "list-a" in rig.failure("kv.Delete", key="list-a", errorOnMissing=True)
    assert rig.outputs("kv.GetKeys", prefix="list-") == {"keys": ["list-b"]}


def test_expired_pairs_of_child_namespaces_are_purged(rig: Rig, pairs: KvStore) -> None:
    for namespace in ("purge", "purge.child"):
        pairs.set(namespace, "old", 1, ttl_s=-1)
        pairs.set(namespace, "new", 1)
    assert rig.outputs("kv.PurgeKV", namespaces=["purge"]) == {"size": 2}
    assert rig.outputs(
        "kv.PurgeKV",
        namespaces=["purge"],
        includeChildNamespaces=False,
        keyPattern="n*",
        behavior={"type": "key", "expiredOnly": False},
    ) == {"size": 1}
    assert [pair.key for pair in pairs.list("purge.child", expired=True)] == ["new"]


def test_earlier_values_of_pairs_are_purged(rig: Rig, pairs: KvStore) -> None:
    # given: four values of each of two keys
    for key in ("dough", "oven"):
        for value in range(4):
            pairs.set("values", key, value)
    version = {"type": "version", "keepAmount": 3}
    # when: all but the present value and two before it go of one
    assert rig.outputs("kv.PurgeKV", namespaces=["values"], keyPattern="d*", behavior=version) == {
        "size": 1
    }
    # then
    assert [pair.value for pair in pairs.revisions("values", "dough")] == [1, 2, 3]
    assert [pair.value for pair in pairs.revisions("values", "oven")] == [0, 1, 2, 3]
    # and those before a date
    for before, size in (("2001-01-01", 0), ("{{ now() | dateAdd(1, 'DAYS') }}", 2 + 3)):
        behavior = {"type": "version", "before": before}
        assert rig.outputs("kv.PurgeKV", namespaces=["values"], behavior=behavior)["size"] == size
    assert "keepAmount" in rig.failure("kv.PurgeKV", behavior={"type": "version", "keepAmount": 0})


def test_a_state_is_merged_read_and_deleted(rig: Rig) -> None:
    assert rig.outputs("state.Set", data={"a": 1, "b": "{{ flow.id }}"})["count"] == 2
    assert rig.outputs("io.kestra.core.tasks.states.Set", data='{"a": 2, "c": 3}')["count"] == 3
    assert rig.outputs("state.Get") == {"count": 3, "data": {"a": 2, "b": "flow", "c": 3}}
    assert rig.outputs("state.Delete") == {"deleted": True}
    assert rig.outputs("state.Get") == {"count": 0, "data": {}}
    assert "Expected the state" in rig.failure("state.Get", errorOnMissing=True)


def test_each_value_of_a_loop_has_a_state_of_its_own(rig: Rig) -> None:
    for value in ("x", "y"):
        rig.outputs("state.Set", {"taskrun": {"value": value}}, name="each", data={"v": value})
    assert rig.outputs("state.Get", {"taskrun": {"value": "x"}}, name="each")["data"] == {"v": "x"}
    assert rig.outputs(
        "state.Get", {"taskrun": {"value": "x"}}, name="each", taskrunValue=False
    ) == {
        "count": 0,
        "data": {},
    }
