"""Uploaded archives."""

from __future__ import annotations

import io
import zipfile

import pytest

from tiercel_api import archives
from tiercel_engine.errors import UserError


def archive_of(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.mkdir("folder")
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def test_the_files_of_an_archive_are_listed_without_its_folders() -> None:
    with archives.opened(io.BytesIO(archive_of(a=b"one", b=b"two"))) as (archive, members):
        assert {info.filename: archive.read(info) for info in members} == {"a": b"one", "b": b"two"}


def test_what_is_no_archive_is_refused() -> None:
    with (
        pytest.raises(UserError, match="Expected an archive"),
        archives.opened(io.BytesIO(b"id: flow")),
    ):
        pass


def test_a_file_that_is_damaged_is_refused_as_it_is_read() -> None:
    damaged = archive_of(a=b"a text of its own").replace(b"a text of its own", b"a text of theirs!")
    with (
        pytest.raises(UserError, match="Expected an archive"),
        archives.opened(io.BytesIO(damaged)) as (archive, members),
    ):
        archive.read(members[0])
