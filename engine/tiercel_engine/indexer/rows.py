"""Rows of the read model in memory, and which of them differ from the database."""

from __future__ import annotations

import msgspec

from tiercel_engine.indexer.documents import ExecutionDocument, TaskRunDocument
from tiercel_engine.repository.base import Deletion

#: (execution id, task run id).
RunKey = tuple[str, str]


class ExecutionRow(msgspec.Struct):
    """An execution without its task runs. `seq` is the number of its last event."""

    document: ExecutionDocument
    tenant: str
    kind: str
    trigger_execution_id: str | None
    start_us: int
    changed_us: int
    seq: int


class TaskRunRow(msgspec.Struct):
    """A task run. `position` is the number of the event that created it."""

    document: TaskRunDocument
    position: int
    start_us: int
    changed_us: int


class Rows:
    """Rows as the events so far left them, and which of them differ from the database.

    Attributes:
        executions, task_runs: by id, and by (execution id, task run id).
        changed_executions, changed_task_runs: to be written; dicts, for their order.
        removed_task_runs: (execution id, position) to be removed before anything is written.
        deleted: executions to be removed with all that belongs to them, by id.
        labels_removed, labels_added: (key, value, execution id).
    """

    def __init__(self) -> None:
        self.executions: dict[str, ExecutionRow] = {}
        self.task_runs: dict[RunKey, TaskRunRow] = {}
        self.changed_executions: dict[str, None] = {}
        self.changed_task_runs: dict[RunKey, None] = {}
        self.removed_task_runs: list[tuple[str, int]] = []
        self.deleted: dict[str, Deletion] = {}
        self.labels_removed: dict[tuple[str, str, str], None] = {}
        self.labels_added: dict[tuple[str, str, str], None] = {}

    def drop(self, execution_id: str) -> None:
        """Forget what this execution changed since the last write. Rare, so it may search."""
        self.executions.pop(execution_id, None)
        self.changed_executions.pop(execution_id, None)
        for key in [key for key in self.task_runs if key[0] == execution_id]:
            del self.task_runs[key]
            self.changed_task_runs.pop(key, None)
        self.removed_task_runs = [row for row in self.removed_task_runs if row[0] != execution_id]
        for labels in (self.labels_removed, self.labels_added):
            for label in [label for label in labels if label[2] == execution_id]:
                del labels[label]
