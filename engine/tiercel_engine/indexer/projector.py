"""Batches of records -> one transaction each on the read model.

All changes of a row within a batch collapse into one write. Rows of what still runs stay in a
bounded cache, so that their next event is not preceded by a read. The cache is right as long as
nobody else writes these partitions, which `Store.write` checks; on any failure it is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import UNSET

from tiercel_engine.eventlog.base import Appender, Record
from tiercel_engine.eventlog.dead_letters import dead_letter
from tiercel_engine.indexer import documents, lines
from tiercel_engine.indexer.fold import fold, missing_task_runs
from tiercel_engine.indexer.projections import BrokenHistory, settle
from tiercel_engine.indexer.purges import Purge, Purges, purge_of_execution, purge_of_lines
from tiercel_engine.indexer.rows import ExecutionRow, Rows, TaskRunRow
from tiercel_engine.indexer.slot_rows import SlotRows
from tiercel_engine.indexer.trigger_rows import TriggerRows
from tiercel_engine.repository.base import Changes, Lane, LinesDeletion, Row, WriteModels
from tiercel_engine.telemetry.metrics import INDEXER_RECORDS
from tiercel_schemas.codec import UnreadableRecord, decode
from tiercel_schemas.concurrency import SlotBatch
from tiercel_schemas.events import CommandRejected, EventBatch
from tiercel_schemas.state import is_terminated
from tiercel_schemas.topics import Topics

#: Rows kept per kind between batches, and how long the document of such a row may be.
CACHE_ROWS_MAX = 10_000
CACHE_DOCUMENT_CHARS_MAX = 8_192

#: How long unreadable records may take to become durable in dead-letters.
DEAD_LETTER_TIMEOUT_S = 10.0

K = TypeVar("K")
V = TypeVar("V")


class Projector:
    """Indexes records of the partitions given to `open`. Belongs to one thread."""

    def __init__(self, topics: Topics, store: WriteModels, dead_letters: Appender) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._executions = topics.executions.name
        self._rows_of: dict[str, Callable[[Record], Row]] = {
            topics.logs.name: lines.log_row,
            topics.metrics.name: lines.metric_row,
        }
        self._deletion_of: dict[str, Callable[[Record], LinesDeletion | None]] = {
            topics.logs.name: lines.lines_deletion,
            topics.metrics.name: lines.metrics_deletion,
        }
        self._logs = topics.logs.name
        self._triggers = topics.triggers.name
        self._grave = topics.dead_letters.name
        self._rows = Rows()
        self._next: dict[Lane, int] = {}
        #: Deletions that hold up their partitions.
        self.purges = Purges()

    def open(self, lanes: Sequence[Lane]) -> Mapping[Lane, int]:
        """Forget everything and go on with these partitions; the offsets to read from."""
        self._rows = Rows()
        self.purges.clear()
        self._next = self._store.open_lanes(lanes)
        return self.offsets()

    def offsets(self) -> Mapping[Lane, int]:
        """The next offset to index of each open partition."""
        return dict(self._next)

    def index(self, records: Sequence[Record]) -> dict[str, int]:
        """Write what `records` say; the newest event's number of each execution among them.

        Records below the next offset of their partition were indexed already and are ignored. What
        follows a deletion waits for it: see `Purges`.

        Raises:
            OffsetsMoved, DatabaseUnavailable: nothing was written; call `open` before going on.
        """
        changes = Changes()
        batches = self._read(records, changes)
        self._load([batch for _, batch in batches])
        sequences: dict[str, int] = {}
        broken: list[tuple[Record, str]] = []
        for record, batch in batches:
            try:
                is_new = fold(self._rows, batch)
            except BrokenHistory as error:
                # One damaged execution must not hide all others: its record is put aside.
                broken.append((record, str(error)))
                self._rows.drop(batch.execution_id)
                sequences.pop(batch.execution_id, None)
                changes.records = [r for r in changes.records if not _is_of(r, batch)]
                self._load([batch])
                continue
            if is_new:
                sequences[batch.execution_id] = batch.first_seq + len(batch.events) - 1
                changes.records.append(_position(record, batch))
        self._bury(broken)
        self._collect(changes)
        if changes.offsets:
            self._store.write(changes)
        self._next.update((lane, after) for lane, (_, after) in changes.offsets.items())
        self._forget(changes, sequences)
        return sequences

    def index_all(self, records: Sequence[Record]) -> dict[str, int]:
        """As `index`, waiting for deletions: nothing else goes on meanwhile."""
        sequences = self.index(records)
        while any(self.purges.lanes):
            sequences |= self.index(self.purges.step())
        return sequences

    def _read(self, records: Sequence[Record], changes: Changes) -> list[tuple[Record, EventBatch]]:
        """Decode; lines and metrics go straight into `changes`, as do the offsets."""
        batches: list[tuple[Record, EventBatch]] = []
        unreadable: list[tuple[Record, str]] = []
        triggers, slots = TriggerRows(), SlotRows()
        counts: Counter[str] = Counter()
        for record in records:
            lane = (record.topic, record.partition)
            before = self._next[lane]
            if record.offset < before or self.purges.waits(lane, record):
                continue
            start, after = changes.offsets.get(lane, (before, before))
            if record.offset < after:
                continue
            batch: EventBatch | None = None
            purge: Purge | None = None
            try:
                batch = self._decoded(record, changes, triggers, slots)
            except UnreadableRecord as error:
                purge = self._purge_of_lines(record)
                if purge is None:
                    unreadable.append((record, str(error)))
            if batch is not None:
                purge = purge_of_execution(self._store, batch)
                # Nearly all have few lines: then nothing needs to wait.
                purge = None if purge is None or purge() else purge
            if purge is not None and not self.purges.is_done(lane, record):
                self.purges.hold(lane, record, purge)
                continue
            if batch is not None:
                batches.append((record, batch))
            changes.offsets[lane] = (start, record.offset + 1)
            counts[record.topic] += 1
        triggers.collect(changes)
        slots.collect(changes)
        self._bury(unreadable)
        for topic, count in counts.items():
            INDEXER_RECORDS.labels(topic).inc(count)
        return batches

    def _decoded(
        self, record: Record, changes: Changes, triggers: TriggerRows, slots: SlotRows
    ) -> EventBatch | None:
        """The events of a record; of anything else its rows are noted. Raises UnreadableRecord."""
        if record.topic == self._triggers:
            triggers.add(record)
        elif record.topic != self._executions:
            row = self._rows_of[record.topic](record)
            (changes.logs if record.topic == self._logs else changes.metrics).append(row)
        else:
            batch = decode(record.value)
            if isinstance(batch, EventBatch):
                return batch
            if isinstance(batch, SlotBatch):
                slots.add(batch)
            elif not isinstance(batch, CommandRejected):
                raise UnreadableRecord(
                    f"Expected an EventBatch, but it is a {type(batch).__name__}."
                )
        return None

    def _purge_of_lines(self, record: Record) -> Purge | None:
        """What a record that is no line asks to delete; None: nothing."""
        find = self._deletion_of.get(record.topic)
        deletion = None if find is None else find(record)
        return None if deletion is None else purge_of_lines(self._store, deletion)

    def _bury(self, unreadable: Iterable[tuple[Record, str]]) -> None:
        """Make unreadable records durable in dead-letters before their offsets are passed."""
        letters = [dead_letter(record, reason, self._grave) for record, reason in unreadable]
        for letter in letters:
            self._dead_letters.append(letter)
        if letters:
            self._dead_letters.flush(DEAD_LETTER_TIMEOUT_S)

    def _load(self, batches: Sequence[EventBatch]) -> None:
        """Read the rows that these batches change and that are not in the cache."""
        rows = self._rows
        ids = {batch.execution_id: None for batch in batches}
        missing = [one for one in ids if one not in rows.executions]
        if missing:
            for one, row in self._store.load_executions(missing).items():
                rows.executions[one] = _execution_row(row)
        runs = missing_task_runs(rows, batches)
        if runs:
            for key, row in self._store.load_task_runs(runs).items():
                rows.task_runs[key] = _task_run_row(row)

    def _collect(self, changes: Changes) -> None:
        """Turn the changed rows into rows of tables."""
        rows = self._rows
        for execution_id in rows.changed_executions:
            changes.executions.append(_execution_columns(rows.executions[execution_id]))
        for key in rows.changed_task_runs:
            changes.task_runs.append(_task_run_columns(rows.task_runs[key]))
        changes.task_runs_removed.extend(
            {"execution_id": execution_id, "position": position}
            for execution_id, position in rows.removed_task_runs
        )
        changes.deleted.extend(rows.deleted.values())
        changes.records = [r for r in changes.records if r["execution_id"] not in rows.deleted]
        changes.labels_removed.extend(map(_label_columns, rows.labels_removed))
        changes.labels_added.extend(map(_label_columns, rows.labels_added))

    def _forget(self, changes: Changes, sequences: Mapping[str, int]) -> None:
        """Mark all as written; keep in the cache what may change soon and is small."""
        rows = self._rows
        for execution_id in sequences:
            # Back to the end: the cache forgets from its beginning.
            if execution_id not in rows.deleted:
                rows.executions[execution_id] = rows.executions.pop(execution_id)
        for columns in changes.executions:
            if columns["end_us"] is not None or _is_long(columns):
                del rows.executions[columns["id"]]
        for columns in changes.task_runs:
            key = (columns["execution_id"], columns["id"])
            row = rows.task_runs.pop(key)
            if not (is_terminated(row.document.state.current) or _is_long(columns)):
                rows.task_runs[key] = row
        _trim(rows.executions)
        _trim(rows.task_runs)
        rows.changed_executions.clear()
        rows.changed_task_runs.clear()
        rows.removed_task_runs.clear()
        rows.deleted.clear()
        rows.labels_removed.clear()
        rows.labels_added.clear()


def _trim(cache: dict[K, V]) -> None:
    while len(cache) > CACHE_ROWS_MAX:
        del cache[next(iter(cache))]


def _is_long(columns: Row) -> bool:
    return len(columns["document"]) > CACHE_DOCUMENT_CHARS_MAX


def _is_of(position: Row, batch: EventBatch) -> bool:
    return bool(position["execution_id"] == batch.execution_id)


def _position(record: Record, batch: EventBatch) -> Row:
    return {
        "execution_id": batch.execution_id,
        "seq": batch.first_seq + len(batch.events) - 1,
        "partition": record.partition,
        "offset": record.offset,
    }


def _execution_columns(row: ExecutionRow) -> Row:
    document = row.document
    settle(document.state, row.start_us, row.changed_us)
    return {
        "id": document.id,
        "tenant": row.tenant,
        "namespace": document.namespace,
        "flow_id": document.flow_id,
        "state": document.state.current,
        "kind": row.kind,
        "parent_id": None if document.parent_id is UNSET else document.parent_id,
        "trigger_execution_id": lines.storable_or_none(row.trigger_execution_id),
        "start_us": row.start_us,
        "changed_us": row.changed_us,
        "end_us": row.changed_us if is_terminated(document.state.current) else None,
        "document": documents.encode(document),
    }


def _execution_row(columns: Row) -> ExecutionRow:
    return ExecutionRow(
        document=documents.decode_execution(columns["document"]),
        tenant=columns["tenant"],
        kind=columns["kind"],
        trigger_execution_id=columns["trigger_execution_id"],
        start_us=columns["start_us"],
        changed_us=columns["changed_us"],
        seq=columns["seq"],
    )


def _task_run_columns(row: TaskRunRow) -> Row:
    settle(row.document.state, row.start_us, row.changed_us)
    return {
        "execution_id": row.document.execution_id,
        "position": row.position,
        "id": row.document.id,
        "start_us": row.start_us,
        "changed_us": row.changed_us,
        "document": documents.encode(row.document),
        "state": row.document.state.current,
    }


def _task_run_row(columns: Row) -> TaskRunRow:
    return TaskRunRow(
        document=documents.decode_task_run(columns["document"]),
        position=columns["position"],
        start_us=columns["start_us"],
        changed_us=columns["changed_us"],
    )


def _label_columns(label: tuple[str, str, str]) -> Row:
    key, value, execution_id = label
    return {
        "key": lines.storable(key),
        "value": lines.storable(value),
        "execution_id": execution_id,
    }
