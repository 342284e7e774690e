"""Files of the worker's machine: below allowed folders, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.errors import TaskError
from tiercel_engine.storage.uri import file_name
from tiercel_worker.local_files import LocalFiles


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("local")) as rig:
        yield rig


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "a b.txt").write_text("hello")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "shared-not").mkdir()
    (tmp_path / "shared-not" / "x.txt").write_text("x")
    return folder


def test_a_file_below_an_allowed_folder_is_read(shared: Path, tmp_path: Path) -> None:
    files = LocalFiles([shared])
    uri = f"file://{shared}/a%20b.txt"
    assert file_name(uri) == "a b.txt"
    assert files.path(uri).read_text() == "hello"
    assert files.fetch(uri, tmp_path / "copy") == 5


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "%2e%2e/secret.txt", "link.txt", "../shared-not/x.txt", "a\0b", "a%00b"],
)
def test_nothing_else_is_read(shared: Path, name: str) -> None:
    with pytest.raises(TaskError, match="Expected"):
        LocalFiles([shared]).path(f"file://{shared}/{name}")


def test_a_file_that_is_not_there_and_a_folder_are_refused(shared: Path) -> None:
    for name in ("none.txt", ""):
        with pytest.raises(TaskError, match="there is none"):
            LocalFiles([shared]).path(f"file://{shared}/{name}")


def test_without_a_setting_a_task_reads_no_file_of_the_machine(rig: Rig, shared: Path) -> None:
    error = rig.failure("storage.Size", uri=f"file://{shared}/a%20b.txt")
    assert "--local-paths" in error


def test_a_task_reads_a_file_of_an_allowed_folder_and_deletes_none(shared: Path) -> None:
    with rig_in(shared.parent / "rig", local=LocalFiles([shared])) as rig:
        uri = f"file://{shared}/a%20b.txt"
        assert rig.outputs("storage.Size", uri=uri) == {"size": 5}
        joined = rig.outputs("storage.Concat", files=[uri, uri])
        assert rig.text(joined["uri"]) == "hellohello"
        assert "kestra:///" in rig.failure("storage.Delete", uri=uri)
    assert (shared / "a b.txt").exists()
