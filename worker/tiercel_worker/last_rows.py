"""The last row of each key, in a file: memory stays the same whatever the number of keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

#: Rows that one statement notes.
BATCH_ROWS = 1_000

_SCHEMA = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "CREATE TABLE last (key BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
)


class LastRows:
    """Which row was the last one of each key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self, keys: Iterable[bytes]) -> None:
        """The keys of all rows, in order; the first row has the number 0."""
        rows = ((key, number) for number, key in enumerate(keys))
        while some := list(islice(rows, BATCH_ROWS)):
            self._connection.executemany("INSERT OR REPLACE INTO last VALUES (?, ?)", some)

    def count(self) -> int:
        """How many keys there are."""
        (count,) = self._connection.execute("SELECT count(*) FROM last").fetchone()
        return int(count)

    def numbers(self) -> Iterator[int]:
        """The numbers of the last rows, in order."""
        return (
            number for (number,) in self._connection.execute("SELECT number FROM last ORDER BY 1")
        )


@contextmanager
def last_rows(path: Path) -> Iterator[LastRows]:
    """Notes in a new file at `path`, which is there until the block ends."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)
        # One transaction: nothing of it is to survive.
        connection.execute("BEGIN")
        yield LastRows(connection)
    path.unlink()
