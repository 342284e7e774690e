"""Deletions of log lines and metrics that are under way.

A deletion may reach millions of rows. It holds up the rest of its own partition alone, and goes on
a bounded number of rows at a time, so that everything else is indexed meanwhile. The offset of the
partition passes its record when all is gone: whoever dies before begins it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tiercel_engine.eventlog.base import Record
from tiercel_engine.repository.base import Lane, LinesDeletion, WriteModels
from tiercel_schemas.events import EventBatch, ExecutionDeleted

#: Rows that one transaction deletes: some 70 ms on SQLite.
PURGE_ROWS_MAX = 2_000

#: Deletes some rows; whether no more are left. Raises DatabaseUnavailable.
Purge = Callable[[], bool]


class _Held(msgspec.Struct):
    """A deletion, and the records that wait for it, its own first."""

    purge: Purge
    records: list[Record]


class Purges:
    """The deletions of the open partitions, at most one of each. Belongs to one thread."""

    def __init__(self) -> None:
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

    def is_done(self, lane: Lane, record: Record) -> bool:
        """Whether all that a deletion reaches is gone, whose record this is."""
        return self._done.get(lane) == record.offset

    def hold(self, lane: Lane, record: Record, purge: Purge) -> None:
        """Begin with a deletion, whose record this is."""
        self._held[lane] = _Held(purge, [record])

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
            if held.purge():
                self._done[lane] = held.records[0].offset
                released += self._held.pop(lane).records
        return released


def purge_of_lines(store: WriteModels, deletion: LinesDeletion) -> Purge:
    """Of the lines or metrics of one partition."""
    after = -1

    def purge() -> bool:
        nonlocal after
        following = store.delete_lines(deletion, after, PURGE_ROWS_MAX)
        after = after if following is None else following
        return following is None

    return purge


def purge_of_execution(store: WriteModels, batch: EventBatch) -> Purge | None:
    """Of the lines and metrics of an execution; None: the batch does not delete it."""
    last = batch.events[-1] if batch.events else None
    if not isinstance(last, ExecutionDeleted):
        return None
    return lambda: store.delete_lines_of(
        batch.execution_id, last.logs, last.metrics, PURGE_ROWS_MAX
    )
