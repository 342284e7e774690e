"""What the store writes and loads, in the words of one database.

Compiled once: going through SQLAlchemy's parameters for each row costs as much as the insert.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tiercel_engine.repository.base import Row
from tiercel_engine.repository.tables import (
    execution_records,
    executions,
    flow_limits,
    flow_slots,
    indexed_offsets,
    labels,
    logs,
    metrics,
    task_runs,
    triggers,
)

#: Keys per SELECT, as both databases have a limit on parameters, and rows per JSON text.
ROWS_PER_STATEMENT_MAX = 500

#: How many rows one statement inserts on SQLite, largest first. The largest table has 13 columns,
#: and 32,766 parameters are allowed.
ROWS_PER_INSERT = (256, 64, 16, 4, 1)

#: Columns that the first event of a row settles: overwriting it leaves them, and their indexes.
FIXED: Mapping[sa.Table, frozenset[str]] = {
    executions: frozenset(
        {"tenant", "namespace", "flow_id", "kind", "parent_id", "trigger_execution_id", "start_us"}
    ),
    task_runs: frozenset({"id", "start_us"}),
}

encode_json = msgspec.json.Encoder().encode


class Statement(Protocol):
    """A statement in the words of one database, to run for many rows at once."""

    def run(self, connection: sa.Connection, rows: list[Row]) -> int:
        """Run it for `rows`; how many rows of the table matched."""


class _EachRow(NamedTuple):
    """Runs once per row."""

    text: str

    def run(self, connection: sa.Connection, rows: list[Row]) -> int:
        return connection.exec_driver_sql(self.text, rows).rowcount


class _JsonRows(NamedTuple):
    """Takes all rows as one JSON text.

    On PostgreSQL a message for each row is dear: 500 µs of CPU per execution, arrays 810 µs,
    JSON 360 µs.
    """

    text: str

    def run(self, connection: sa.Connection, rows: list[Row]) -> int:
        return sum(
            connection.exec_driver_sql(self.text, {"rows": encode_json(some).decode()}).rowcount
            for some in chunks(rows)
        )


class _ManyRows(NamedTuple):
    """Takes many rows as parameters, by few different texts, so that they stay prepared.

    On SQLite each run of a statement lets other threads take the interpreter; JSON text costs
    twice as much.

    Attributes:
        columns: what one row gives, in the order of its parameters.
        texts: (how many rows, the statement for so many), largest first.
    """

    columns: Sequence[str]
    texts: Sequence[tuple[int, str]]

    def run(self, connection: sa.Connection, rows: list[Row]) -> int:
        values = itemgetter(*self.columns)
        at = matched = 0
        for size, text in self.texts:
            while len(rows) - at >= size:
                some = tuple(chain.from_iterable(map(values, rows[at : at + size])))
                matched += connection.exec_driver_sql(text, some).rowcount
                at += size
        return matched


class Statements:
    """The statements of the write side, compiled for one database."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._is_postgresql = dialect.name == "postgresql"
        self.put_execution = self._overwrite(executions)
        self.put_task_run = self._overwrite(task_runs)
        self.add_record = self._keep(execution_records)
        self.add_label = self._keep(labels)
        self.add_log = self._keep(logs)
        self.add_metric = self._keep(metrics)
        self.open_lane = self._keep(indexed_offsets)
        self.remove_task_run = self._remove(task_runs)
        self.remove_label = self._remove(labels)
        self.put_trigger = self._overwrite(triggers)
        self.remove_trigger = self._remove(triggers)
        self.put_limit = self._overwrite(flow_limits)
        self.put_slot = self._overwrite(flow_slots)
        self.remove_slot = self._remove(flow_slots)
        self.load_executions = self._text(self._select_executions())
        self.load_task_runs = self._text(self._select_task_runs())
        lane = indexed_offsets.c
        self.move_offset = _EachRow(
            self._text(
                indexed_offsets.update()
                .where(
                    lane.topic == sa.bindparam("lane_topic"),
                    lane.partition == sa.bindparam("lane_partition"),
                    lane.next_offset == sa.bindparam("before"),
                )
                .values(next_offset=sa.bindparam("after"))
            )
        )

    def _select_executions(self) -> sa.Select[Any]:
        """Executions and the number of their last event, by ids given as a JSON text."""
        newest = (
            sa.select(sa.func.max(execution_records.c.seq))
            .where(execution_records.c.execution_id == executions.c.id)
            .scalar_subquery()
        )
        text = sa.bindparam("keys", type_=sa.Text())
        if self._is_postgresql:
            given = sa.func.json_array_elements_text(sa.cast(text, postgresql.JSON))
            ids = sa.select(given.column_valued())
        else:
            ids = sa.select(sa.func.json_each(text).table_valued("value").c.value)
        return sa.select(executions, newest.label("seq")).where(executions.c.id.in_(ids))

    def _select_task_runs(self) -> sa.Select[Any]:
        """Task runs, by pairs of execution's and own id given as a JSON text.

        As parameters of their own the pairs cost eighteen times as much.
        """
        text = sa.bindparam("keys", type_=sa.Text())
        if self._is_postgresql:
            given = sa.func.json_array_elements(sa.cast(text, postgresql.JSON))
            pair = given.column_valued("pair")
            parts: list[sa.ColumnElement[Any]] = [
                pair.op("->>")(sa.literal_column(at)) for at in ("0", "1")
            ]
        else:
            value = sa.func.json_each(text).table_valued("value").c.value
            parts = [sa.func.json_extract(value, sa.literal_column(f"'$[{at}]'")) for at in (0, 1)]
        key = sa.tuple_(task_runs.c.execution_id, task_runs.c.id)
        return sa.select(task_runs).where(key.in_(sa.select(*parts)))

    def _overwrite(self, table: sa.Table) -> Statement:
        """Insert rows, or overwrite those with the same primary key."""
        insert = self._insert(table)
        fixed = FIXED.get(table, frozenset())
        new = {
            c.name: insert.excluded[c.name]
            for c in table.columns
            if not c.primary_key and c.name not in fixed
        }
        keys = list(table.primary_key.columns)
        return self._many(table, insert.on_conflict_do_update(index_elements=keys, set_=new))

    def _keep(self, table: sa.Table) -> Statement:
        """Insert rows, or leave those with the same primary key as they are."""
        return self._many(table, self._insert(table).on_conflict_do_nothing())

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        if self._is_postgresql:
            return self._insert_recordset(table, sa.bindparam("rows", type_=sa.Text()))
        return sqlite.insert(table)

    def _many(self, table: sa.Table, insert: sa.Insert) -> Statement:
        text = self._text(insert)
        if self._is_postgresql:
            return _JsonRows(text)
        columns = [column.name for column in table.columns]
        head, one, tail = text.partition(f"({', '.join(f':{name}' for name in columns)})")
        assert one, text
        row = f"({', '.join('?' * len(columns))})"
        texts = [(n, f"{head}{', '.join([row] * n)}{tail}") for n in ROWS_PER_INSERT]
        return _ManyRows(columns, texts)

    @staticmethod
    def _insert_recordset(
        table: sa.Table, text: sa.BindParameter[str]
    ) -> sqlite.Insert | postgresql.Insert:
        # Without collations, which the columns of a function have none of.
        columns = [
            sa.column(c.name, sa.Text() if isinstance(c.type, sa.Text) else c.type)
            for c in table.columns
        ]
        rows = sa.func.json_to_recordset(sa.cast(text, postgresql.JSON))
        source = rows.table_valued(*columns).render_derived(with_types=True)
        names = [c.name for c in columns]
        return postgresql.insert(table).from_select(names, sa.select(*source.c))

    def _remove(self, table: sa.Table) -> Statement:
        """Remove the rows with these primary keys."""
        keys = table.primary_key.columns
        return _EachRow(
            self._text(
                table.delete().where(*(column == sa.bindparam(column.name) for column in keys))
            )
        )

    def _text(self, statement: sa.ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))


def chunks(keys: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(keys)
    while some := list(islice(rest, ROWS_PER_STATEMENT_MAX)):
        yield some
