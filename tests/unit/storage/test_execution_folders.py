"""Which folders of internal storage are those of executions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiercel_engine.storage.execution_folders import ExecutionFolders, Folder, folder_of
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import (
    cache_file,
    execution_value,
    input_file,
    kv_file,
    namespace_file,
    task_file,
)

ONE, TWO = "0CbHA2P0jwqZ6WiGQ1mSX1", "0CbHA2P0jwqZ6WiGQ1mSX2"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def names(storage: Storage, *place: str) -> set[tuple[str, str]]:
    return {(f.uri, f.execution_id) for f in ExecutionFolders(storage, *place)}


def test_the_folders_of_a_flow_a_namespace_and_all_are_found(storage: Storage) -> None:
    # given: files of executions of three flows, and others beside them
    for uri in (
        task_file("acme.sales", "Daily_Report", ONE, "t", "r", "deep/rows.ion"),
        input_file("acme.sales", "Daily_Report", ONE, "file", "x.csv"),
        execution_value("acme.sales", "other", TWO, "inputs.json"),
        task_file("acme", "daily-report", TWO, "t", "r", "x"),
        kv_file("acme.sales", "k"),
        namespace_file("acme.sales", f"executions/{ONE}/tasks/x"),
        cache_file("acme.sales", "other", "t", None),
    ):
        storage.put(uri, b"x")
    report = "kestra:///acme/sales/daily-report/executions/" + ONE
    other = "kestra:///acme/sales/other/executions/" + TWO
    above = "kestra:///acme/daily-report/executions/" + TWO
    below_files = f"kestra:///acme/sales/_files/executions/{ONE}"

    # then
    assert names(storage, "acme.sales", "Daily_Report") == {(report, ONE)}
    assert names(storage, "acme.sales") == {(report, ONE), (other, TWO)}
    assert {uri for uri, _ in names(storage)} == {report, other, above}
    assert below_files not in {uri for uri, _ in names(storage)}
    # and: one is measured and deleted
    folders = ExecutionFolders(storage, "acme.sales", "Daily_Report")
    assert folders.content(Folder(report, ONE)).files == 2
    assert folders.delete(Folder(report, ONE)) == 2
    assert {uri for uri, _ in names(storage, "acme")} == {other, above}


@pytest.mark.parametrize(
    "path",
    [
        f"acme/flow/executions/{ONE}",
        f"acme/flow/executions/{ONE}/notes/x",
        f"acme/flow/executions/{ONE[:-1]}/tasks/t/r/x",
        f"acme/_files/executions/{ONE}/tasks/x",
        f"acme/_kv_revisions/executions/{ONE}/tasks/x",
        # a flow, a namespace or a file of such a name: it could be either
        f"acme/executions/{ONE}/tasks/executions/{TWO}/tasks/t/r/x",
        f"acme/flow/executions/{ONE}/tasks/t/executions/{TWO}/tasks/x",
    ],
)
def test_what_may_be_something_else_is_no_folder_of_an_execution(path: str) -> None:
    assert folder_of(f"kestra:///{path}") is None


def test_a_flow_with_the_name_of_the_room_has_folders() -> None:
    uri = task_file("acme.executions", "executions", ONE, "t", "r", "x")
    assert folder_of(uri) == Folder(f"kestra:///acme/executions/executions/executions/{ONE}", ONE)
    assert folder_of(uri, "other") is None
