"""Files of namespaces, their folders, and the patterns that choose among them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiercel_engine.errors import Conflict, NotFound, UserError
from tiercel_engine.storage.globs import matcher
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.objects import REVISIONS_MAX, Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


@pytest.fixture
def files(storage: Storage) -> NamespaceFiles:
    return NamespaceFiles(storage, "acme.sales")


def put(files: NamespaceFiles, *paths: str) -> None:
    for path in paths:
        files.put(path, io.BytesIO(path.encode()))


def names(files: NamespaceFiles, path: str = "/") -> list[str]:
    return [e.path + ("/" if e.is_folder else "") for e in files.children(path)]


def test_a_file_is_read_as_it_was_written(files: NamespaceFiles) -> None:
    put(files, "/scripts/été 1.py")
    with files.open("scripts/été 1.py") as stream:
        assert stream.read().decode() == "/scripts/été 1.py"
    assert files.uri("a.py") == "kestra:///acme/sales/_files/a.py"


def test_a_folder_lists_its_folders_then_its_files(files: NamespaceFiles) -> None:
    put(files, "b.txt", "a.txt", "z/deep/x.txt", "z/y.txt")
    assert names(files) == ["/z/", "/a.txt", "/b.txt"]
    assert names(files, "/z") == ["/z/deep/", "/z/y.txt"]
    assert files.entry("/a.txt").size_bytes == 5
    assert files.entry("z").is_folder


def test_a_namespace_without_files_has_an_empty_root(files: NamespaceFiles) -> None:
    assert names(files) == []
    with pytest.raises(NotFound, match="a folder at /none"):
        files.children("none")
    with pytest.raises(NotFound, match="a file or folder at /none"):
        files.entry("none")


def test_a_folder_that_was_made_stays_until_it_becomes_empty(files: NamespaceFiles) -> None:
    files.make_folder("/a/b")
    assert names(files) == ["/a/"]
    assert names(files, "/a/b") == []
    put(files, "a/b/c.txt")
    assert files.delete("/a/b/c.txt")
    assert names(files) == []
    assert not files.delete("/a/b/c.txt")


def test_a_folder_is_moved_and_deleted_with_all_below_it(files: NamespaceFiles) -> None:
    put(files, "a/x.txt", "a/b/y.txt", "other.txt")
    files.move("/a", "/c/d")
    assert sorted(e.path for e in files.all()) == ["/c/d/b/y.txt", "/c/d/x.txt", "/other.txt"]
    assert names(files) == ["/c/", "/other.txt"]
    files.move("other.txt", "c/other.txt")
    assert files.delete("c/d")
    assert [e.path for e in files.all()] == ["/c/other.txt"]


@pytest.mark.parametrize(("source", "target"), [("a", "a/b"), ("a", "o.txt"), ("o.txt", "a")])
def test_nothing_is_moved_over_something_else(
    files: NamespaceFiles, source: str, target: str
) -> None:
    put(files, "a/x.txt", "o.txt")
    with pytest.raises(Conflict):
        files.move(source, target)


def test_a_file_and_a_folder_have_different_names(files: NamespaceFiles) -> None:
    put(files, "a/x.txt")
    with pytest.raises(Conflict, match="there is a folder"):
        put(files, "a")
    with pytest.raises(Conflict, match="there is a file"):
        files.make_folder("a/x.txt")


def test_a_search_finds_parts_of_paths_whatever_their_case(files: NamespaceFiles) -> None:
    put(files, "Readme.md", "docs/read.txt", "a.py")
    files.make_folder("reader")
    assert files.search("READ") == ["/Readme.md", "/docs/read.txt"]
    assert len(files.search("")) == 3


@pytest.mark.parametrize("path", ["../x", "/a/../../x", "a//b", "."])
def test_a_path_that_leaves_the_namespace_is_refused(files: NamespaceFiles, path: str) -> None:
    with pytest.raises(UserError):
        put(files, path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py"], ["d/a.py", "a.pyc"]),
        ("**.py", ["a.py", "d/e/a.py"], ["a.txt"]),
        ("**/*.py", ["a.py", "d/e/a.py"], ["a.txt"]),
        ("d/", ["d/a", "d/e/a"], ["da", "e/d/a"]),
        ("/d/**", ["d/a", "d/e/a"], ["e/a"]),
        ("a?.{py,t[xy]t}", ["ab.py", "ab.txt", "ab.tyt"], ["a.py", "ab.tzt"]),
        ("[!a].txt", ["b.txt"], ["a.txt"]),
        ("a,b+c(1).txt", ["a,b+c(1).txt"], ["ab.txt"]),
        (r"a\*.txt", ["a*.txt"], ["ab.txt"]),
    ],
)
def test_a_glob_chooses_paths(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = matcher([pattern])
    assert [path for path in [*yes, *no] if matches(path)] == yes
    assert all(matches("/" + path) for path in yes)


def test_what_is_excluded_does_not_match() -> None:
    matches = matcher(["**.py"], ["test/**"])
    assert matches("a.py")
    assert not matches("test/a.py")
    assert matcher([], ["b"])("a")


@pytest.mark.parametrize("pattern", ["{a", "a}", "{" * 6 + "}" * 6, "a" * 1_001, "[z-a]"])
def test_a_pattern_that_does_not_hold_is_refused(pattern: str) -> None:
    with pytest.raises(UserError):
        matcher([pattern])


def read(storage: Storage, uri: str) -> str:
    return storage.get(uri).decode()


def write(files: NamespaceFiles, path: str, *contents: str) -> None:
    for content in contents:
        files.put(path, io.BytesIO(content.encode()))


def test_earlier_contents_are_kept_and_no_number_is_given_twice(
    files: NamespaceFiles, storage: Storage
) -> None:
    # given
    write(files, "/q.sql", "one", "two", "three")
    assert files.revisions("q.sql") == [1, 2, 3]
    contents = [read(storage, files.revision_uri("/q.sql", n)) for n in (1, 2, 3)]
    assert contents == ["one", "two", "three"]

    # when
    assert files.purge_revisions("/q.sql", before_us=None, kept_max=1) == 1
    assert files.purge_revisions("/q.sql", before_us=None, kept_max=0) == 1
    assert files.purge_revisions("/q.sql", before_us=None, kept_max=0) == 0

    # then
    assert files.revisions("/q.sql") == [3]
    write(files, "/q.sql", "four")
    assert files.revisions("/q.sql") == [3, 4]
    assert read(storage, files.revision_uri("/q.sql", 3)) == "three"
    with pytest.raises(NotFound, match="revision 1"):
        files.revision_uri("/q.sql", 1)
    assert [entry.path for entry in files.all()] == ["/q.sql"]
    assert files.purge_revisions("/q.sql", before_us=0, kept_max=0) == 0


def test_earlier_contents_go_and_move_with_their_file(
    files: NamespaceFiles, storage: Storage
) -> None:
    write(files, "/a/x.txt", "one", "two")
    files.move("/a", "/b")
    assert files.revisions("/b/x.txt") == [1, 2]
    assert read(storage, files.revision_uri("/b/x.txt", 1)) == "one"

    files.delete("/b")
    with pytest.raises(NotFound):
        files.revisions("/b/x.txt")
    write(files, "/b/x.txt", "new")
    assert files.revisions("/b/x.txt") == [1]


def test_of_many_contents_the_newest_are_kept(files: NamespaceFiles) -> None:
    write(files, "/x", *(str(number) for number in range(1, REVISIONS_MAX + 6)))
    newest = REVISIONS_MAX + 5
    assert files.revisions("/x") == list(range(newest - REVISIONS_MAX, newest + 1))


def test_namespaces_with_files_are_found(files: NamespaceFiles, storage: Storage) -> None:
    write(files, "/x", "one", "two")
    NamespaceFiles(storage, "acme.sales.north").put("/y", [b"y"])
    storage.put("kestra:///acme/sales/_kv/k.ion", b"1")
    assert sorted(files.namespaces("")) == ["acme.sales", "acme.sales.north"]
    assert sorted(files.namespaces("acme.sales.north")) == ["acme.sales.north"]


def test_a_write_that_fails_makes_no_revision(files: NamespaceFiles, storage: Storage) -> None:
    def torn() -> Iterator[bytes]:
        yield b"two"
        raise OSError("the sender has gone")

    write(files, "/x", "one")
    for _ in range(3):
        with pytest.raises(OSError, match="has gone"):
            files.put("/x", torn())
    write(files, "/x", "two")

    contents = [read(storage, files.revision_uri("/x", n)) for n in files.revisions("/x")]
    assert contents == ["one", "two"]
