"""Deletions of log lines and metrics that are under way.

A deletion may reach millions of rows. It holds up the rest of its own partition alone, and goes on
a bounded number of rows at a time, so that everything else is indexed meanwhile. The offset of the
partition passes its record when all is gone: whoever dies before begins it again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiercel_engine.eventlog.base import Record
from tiercel_engine.repository.base import Lane, LinesDeletion, WriteModels

#: Rows that one transaction deletes: some 70 ms on SQLite.
PURGE_ROWS_MAX = 2_000


class _Held(msgspec.Struct):
    """A deletion, where it stands, and the records that wait for it, its own first."""

    deletion: LinesDeletion
    records: list[Record]
    after: int = -1


class Purges:
    """The deletions of the open partitions, at most one of each. Belongs to one thread."""

    def __init__(self, store: WriteModels) -> None:
        self._store = store
        self._held: dict[Lane, _Held] = {}
        #: The offset of the newest deletion of a partition that is done.
        self._done: dict[Lane, int] = {}

    def clear(self) -> None:
        """Forget everything; partitions are read anew."""
        self._held.clear()
        self._done.clear()

    @property
    def lanes(self) -> Iterable[Lane]:
        """The partitions that are held up."""
        return tuple(self._held)

    def is_done(self, lane: Lane, deletion: LinesDeletion) -> bool:
        """Whether all that a deletion reaches is gone."""
        return self._done.get(lane) == deletion.offset

    def hold(self, lane: Lane, record: Record, deletion: LinesDeletion) -> None:
        """Begin with a deletion, whose record this is."""
        self._held[lane] = _Held(deletion, [record])

    def waits(self, lane: Lane, record: Record) -> bool:
        """Whether a record has to wait for a deletion before it; it is kept until then."""
        held = self._held.get(lane)
        if held is None:
            return False
        held.records.append(record)
        return True

    def step(self) -> list[Record]:
        """Delete some rows for each; the records that waited for one that is done now.

        Raises:
            DatabaseUnavailable: some may be gone, some not.
        """
        released: list[Record] = []
        for lane, held in list(self._held.items()):
            after = self._store.delete_lines(held.deletion, held.after, PURGE_ROWS_MAX)
            if after is not None:
                held.after = after
                continue
            self._done[lane] = held.deletion.offset
            released += self._held.pop(lane).records
        return released
