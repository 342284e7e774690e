"""Streams of rows, cut into parts."""

from __future__ import annotations

import io

import pytest

from tiercel_engine.errors import UserError
from tiercel_engine.storage import splitting
from tiercel_engine.storage.splitting import Split, size_of, split

TEN = b"".join(b"row %d\n" % number for number in range(10))


def parts(data: bytes, how: Split) -> list[bytes]:
    return [b"".join(chunks) for chunks in split(io.BytesIO(data), how)]


@pytest.fixture(params=[1, 3, 7, 64, 1 << 20])
def read_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(splitting, "READ_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("read_bytes")
class TestWhateverIsReadAtOnce:
    def test_rows_fill_parts_and_the_last_has_fewer(self) -> None:
        assert parts(TEN, Split(rows=4)) == [TEN[:24], TEN[24:48], TEN[48:]]
        assert parts(TEN, Split(rows=1)) == TEN.splitlines(keepends=True)
        assert parts(TEN, Split(rows=10)) == parts(TEN, Split(rows=99)) == [TEN]

    def test_parts_are_no_larger_than_asked_and_rows_are_never_cut(self) -> None:
        assert parts(TEN, Split(size_bytes=13)) == [TEN[i : i + 12] for i in range(0, 60, 12)]
        assert parts(TEN, Split(size_bytes=12)) == [TEN[i : i + 12] for i in range(0, 60, 12)]
        assert parts(TEN, Split(size_bytes=2)) == TEN.splitlines(keepends=True)
        assert parts(b"long long row\na\nb\n", Split(size_bytes=4)) == [
            b"long long row\n",
            b"a\nb\n",
        ]

    def test_partitions_get_the_rows_in_turn(self) -> None:
        assert parts(TEN, Split(partitions=3)) == [
            b"row 0\nrow 3\nrow 6\nrow 9\n",
            b"row 1\nrow 4\nrow 7\n",
            b"row 2\nrow 5\nrow 8\n",
        ]

    def test_there_are_no_empty_parts(self) -> None:
        for how in (Split(rows=2), Split(size_bytes=2), Split(partitions=2)):
            assert parts(b"", how) == []
        assert parts(b"one\n", Split(partitions=4)) == [b"one\n"]

    def test_a_last_row_without_its_end_gets_one(self) -> None:
        for how in (Split(rows=2), Split(size_bytes=9), Split(partitions=1)):
            assert parts(b"a\n\nb", how)[-1].endswith(b"b\n")

    def test_a_separator_may_be_several_bytes(self) -> None:
        how = Split(rows=1, separator=b"\r\n")
        assert parts(b"a\r\nb\rc\r\nd", how) == [b"a\r\n", b"b\rc\r\n", b"d\r\n"]


def test_bytes_count_before_partitions_before_rows() -> None:
    assert len(parts(TEN, Split(size_bytes=30, partitions=3, rows=1))) == 2
    assert len(parts(TEN, Split(partitions=3, rows=1))) == 3


def test_a_part_that_nobody_reads_is_left_out() -> None:
    iterator = split(io.BytesIO(TEN), Split(rows=4))
    next(iterator)
    assert b"".join(next(iterator)) == TEN[24:48]


@pytest.mark.parametrize(
    "how", [Split(), Split(rows=0), Split(partitions=-1), Split(rows=1, separator=b"")]
)
def test_a_split_that_says_nothing_is_refused(how: Split) -> None:
    with pytest.raises(UserError, match="Expected one of bytes, partitions and rows"):
        parts(TEN, how)


def test_a_row_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "READ_BYTES", 8)
    monkeypatch.setattr(splitting, "ROW_BYTES_MAX", 20)
    with pytest.raises(UserError, match="rows of at most 20 bytes"):
        parts(b"x" * 40, Split(rows=1))


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [(5, 5), ("500", 500), ("10KB", 10_240), ("1 MiB", 1 << 20), ("1.5k", 1_536), ("2gb", 2 << 30)],
)
def test_sizes_are_read_with_their_units(text: str | int, size_bytes: int) -> None:
    assert size_of(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "-1", "1 PB", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="Expected a size such as 10MB"):
        size_of(text)
