"""The parts of a ForEachItem that run on workers: cutting items, keeping and merging outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.worker.rig import Rig, rig_in

FLOW = "io.kestra.plugin.core.flow."
SPLIT, STORE, MERGE = (
    f"{FLOW}ForEachItem${part}"
    for part in ("ForEachItemSplit", "Outputs", "ForEachItemMergeOutputs")
)
ORDERS = "".join(f"order {number}\n" for number in range(10))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("fan-out")) as rig:
        yield rig


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        ({}, [1] * 10),
        ({"rows": 4}, [4, 4, 2]),
        ({"partitions": "{{ 3 }}"}, [4, 3, 3]),
        ({"bytes": 20}, [2] * 5),
        ({"bytes": "0.03KB", "partitions": 2, "rows": 1}, [3, 3, 3, 1]),
        ({"partitions": 5, "rows": 1}, [2] * 5),
    ],
)
def test_items_are_cut_by_bytes_else_partitions_else_rows(
    rig: Rig, batch: dict[str, Any], sizes: list[int]
) -> None:
    outputs = rig.outputs(SPLIT, items=rig.file("orders.txt", ORDERS), batch=batch)

    uris = [outputs["batchUri"].replace("{index}", str(number)) for number in range(len(sizes))]
    assert outputs["numberOfBatches"] == len(sizes)
    assert [len(rig.text(uri).splitlines()) for uri in uris] == sizes
    assert rig.text(outputs["splits"]).splitlines() == uris
    assert sorted("".join(rig.text(uri) for uri in uris).splitlines()) == sorted(
        ORDERS.splitlines()
    )
    assert uris[0].endswith("/batches/0.txt")


def test_rows_end_at_the_separator(rig: Rig) -> None:
    file = rig.file("rows", "a;b;c")

    outputs = rig.outputs(SPLIT, items=file, batch={"rows": 2, "separator": ";"})

    assert [rig.text(outputs["batchUri"].replace("{index}", n)) for n in "01"] == ["a;b;", "c;"]


def test_no_items_are_no_batches(rig: Rig) -> None:
    outputs = rig.outputs(SPLIT, items=rig.file("none.csv", ""))

    assert outputs == {"numberOfBatches": 0, "batchUri": ""}


@pytest.mark.parametrize(
    ("items", "batch", "error"),
    [
        ("[1, 2]", {}, "Expected `items` to be the address of a file in internal storage"),
        ("kestra:///nowhere/rows.txt", {}, "Expected a file at kestra:///nowhere/rows.txt"),
        ("kestra:///a/b", {"rows": "many"}, "Expected `batch` to have whole numbers"),
        ("kestra:///a/b", {"bytes": "many"}, "Expected a size such as 10MB"),
    ],
)
def test_what_cannot_be_cut_fails(rig: Rig, items: str, batch: dict[str, Any], error: str) -> None:
    assert error in rig.failure(SPLIT, items=items, batch=batch)


def test_outputs_are_merged_in_the_order_of_their_executions(rig: Rig) -> None:
    # given two sets, the second of which has a newer end of execution 2
    folder = ""
    for number, outputs in enumerate(([[2, {"v": "old"}], [0, {"v": 0}]], [[2, {"v": "new"}]])):
        rig.outputs(STORE, {"name": f"outputs/{number}.jsonl", "outputs": outputs})
        source = f"kestra:///acme/test/flow/executions/e-{rig.last_run}/tasks/task"
        stored = f"{source}/{rig.last_run}/outputs/{number}.jsonl"
        folder = folder or "kestra:///acme/test/sets"
        rig.storage.put(f"{folder}/{number}.jsonl", rig.storage.get(stored))

    # when
    collected = {"folder": folder, "sets": 2, "count": 4}
    merged = rig.outputs(MERGE, {"collected": collected})["subflowOutputs"]

    # then
    assert rig.text(merged).splitlines() == ["{v:0}", "{}", '{v:"new"}', "{}"]


@pytest.mark.parametrize("collected", [None, {"folder": "", "sets": 0, "count": 0}])
def test_nothing_is_merged_when_nobody_waited(rig: Rig, collected: Any) -> None:
    assert rig.outputs(MERGE, {"collected": collected}) in ({}, None)
