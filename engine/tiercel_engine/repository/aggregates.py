"""What is asked of many rows at once: columns, groups and how each group is put together.

Data only; `statistics` makes SQL of it. Fields are named as the API names them (`flowId`).
Instants are microseconds since the epoch, durations microseconds, levels of logs 0 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.repository.terms import Condition

#: Seconds that one question may take: it holds a connection and, on SQLite, a thread.
QUESTION_S_MAX = 30.0


class QuestionTooLarge(UserError):
    """What is asked of many rows took too long; the message says what to narrow."""


class Kind(Enum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "number"
    INSTANT = "instant"
    DURATION = "duration"
    LEVEL = "level"
    #: One value per key that a column or a condition names.
    LABELS = "labels"


#: How the values of a group are put together.
AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")

_PLACE = {"namespace": Kind.TEXT, "flowId": Kind.TEXT}
_LINE = {**_PLACE, "executionId": Kind.TEXT, "taskId": Kind.TEXT, "taskRunId": Kind.TEXT}
#: Table -> its fields.
FIELDS: Mapping[str, Mapping[str, Kind]] = {
    "executions": {
        **_PLACE,
        "id": Kind.TEXT,
        "flowRevision": Kind.NUMBER,
        "state": Kind.TEXT,
        "kind": Kind.TEXT,
        "duration": Kind.DURATION,
        "labels": Kind.LABELS,
        "startDate": Kind.INSTANT,
        "endDate": Kind.INSTANT,
        "parentId": Kind.TEXT,
        "triggerExecutionId": Kind.TEXT,
    },
    # Those that are not its own are those of its execution.
    "taskRuns": {
        **_PLACE,
        "id": Kind.TEXT,
        "executionId": Kind.TEXT,
        "state": Kind.TEXT,
        "duration": Kind.DURATION,
        "endDate": Kind.INSTANT,
        "startDate": Kind.INSTANT,
        "labels": Kind.LABELS,
        "parentId": Kind.TEXT,
        "triggerExecutionId": Kind.TEXT,
        "kind": Kind.TEXT,
        # JSON text, as the API answers it.
        "document": Kind.TEXT,
    },
    "logs": {
        **_LINE,
        "triggerId": Kind.TEXT,
        "attemptNumber": Kind.NUMBER,
        "date": Kind.INSTANT,
        "level": Kind.LEVEL,
        "message": Kind.TEXT,
        "thread": Kind.TEXT,
    },
    "metrics": {
        **_LINE,
        "type": Kind.TEXT,
        "name": Kind.TEXT,
        "value": Kind.NUMBER,
        "date": Kind.INSTANT,
    },
    "triggers": {
        **_PLACE,
        "id": Kind.TEXT,
        "triggerId": Kind.TEXT,
        "executionId": Kind.TEXT,
        "workerId": Kind.TEXT,
        "nextExecutionDate": Kind.INSTANT,
    },
    "flows": {
        "id": Kind.TEXT,
        "flowId": Kind.TEXT,
        "namespace": Kind.TEXT,
        "revision": Kind.NUMBER,
        "flowRevision": Kind.NUMBER,
    },
}
#: Table -> the field that a window of time is about; those not named have none.
DATES = {"executions": "startDate", "taskRuns": "startDate", "logs": "date", "metrics": "date"}


class Column(msgspec.Struct, frozen=True):
    """One column of the answer.

    Attributes:
        name: its name in the answer.
        field: of the table; none: the rows themselves, to be counted.
        aggregate: of `AGGREGATES`; none: rows are grouped by it, if any column has one.
        label: of a field of labels the key.
    """

    name: str
    field: str | None = None
    aggregate: str | None = None
    label: str = ""


class Aggregation(msgspec.Struct, frozen=True):
    """Rows of one table, or what their groups come to.

    Attributes:
        table: of `FIELDS`.
        where: all of these.
        start_us, end_us: the window, both ends in it; on a table without dates they mean nothing.
        step_us: instants that rows are grouped by are counted in steps of this length, so they
            are answered as (instant + `offset_us`) / `step_us`; 0: as they are.
        order: (name of a column, ascending); none: by the groups, or the newest first.
        page: from 1, of `size` rows.
        flows: the rows of the table `flows`, which is in no database: (id, namespace, revision).
    """

    table: str
    columns: Sequence[Column]
    where: Sequence[Condition] = ()
    start_us: int | None = None
    end_us: int | None = None
    step_us: int = 0
    offset_us: int = 0
    order: Sequence[tuple[str, bool]] = ()
    page: int = 1
    size: int = 10_000
    flows: Sequence[tuple[str, str, int]] = ()

    @property
    def is_grouped(self) -> bool:
        """Whether the answer is about groups of rows."""
        return any(column.aggregate is not None for column in self.columns)


class Rows(msgspec.Struct, frozen=True):
    """Values in the order of the columns; `total` counts all rows of the answer."""

    rows: list[tuple[Any, ...]]
    total: int


class Statistics(Protocol):
    """What is read of many rows at once. Thread-safe; every call is one short transaction."""

    def aggregate(self, asked: Aggregation) -> Rows:
        """The rows, or what their groups come to.

        Raises:
            SortUnknown: `order` names no column.
            QuestionTooLarge: it takes longer than `QUESTION_S_MAX`.
        """
