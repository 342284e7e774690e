"""The store on SQL: the read models and what the indexer writes into them.

Theory of operation. A transaction of the indexer first moves the next offset of each of its
partitions from what it believes it to be to where its batch ends. A row that does not match means
that another indexer has been at work: the transaction leaves nothing. The row lock of that first
statement makes two indexers of one partition go one after the other, so whoever is late is
refused, however long it was asleep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tiercel_engine.repository.base import Changes, Deletion, Lane, OffsetsMoved, Row, Store
from tiercel_engine.repository.engines import migrate, open_engine
from tiercel_engine.repository.sql import SqlReadModels, available
from tiercel_engine.repository.tables import (
    execution_records,
    executions,
    indexed_offsets,
    labels,
    logs,
    metadata,
    metrics,
    task_runs,
    triggers,
)

#: Keys per SELECT, as both databases have a limit on parameters, and rows per JSON text.
ROWS_PER_STATEMENT_MAX = 500

_encode = msgspec.json.Encoder().encode


def open_store(url: str) -> Store:
    """Open the database at `url`, its tables up to date.

    Args:
        url: `sqlite:///path/of/file.db` or `postgresql://user:password@host:port/database`.

    Raises:
        InvalidSettings: the address is neither.
        DatabaseUnavailable: nobody answers there.
    """
    engine = open_engine(url)
    with available():
        migrate(engine)
    return SqlStore(engine)


class SqlStore(SqlReadModels):
    """`Store` on an engine."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._writers = engine.execution_options(writes=True)
        self._sql = _Statements(engine.dialect)

    def open_lanes(self, lanes: Sequence[Lane]) -> dict[Lane, int]:
        rows = [{"topic": t, "partition": p, "next_offset": 0} for t, p in sorted(lanes)]
        if rows:
            with self._writing() as connection:
                self._sql.open_lane.run(connection, rows)
        offsets = self.indexed_offsets()
        return {lane: offsets[lane] for lane in lanes}

    def load_executions(self, ids: Sequence[str]) -> dict[str, Row]:
        newest = (
            sa.select(sa.func.max(execution_records.c.seq))
            .where(execution_records.c.execution_id == executions.c.id)
            .scalar_subquery()
        )
        found = sa.select(executions, newest.label("seq"))
        rows: dict[str, Row] = {}
        with self._reading() as connection:
            for some in _chunks(ids):
                matching = found.where(executions.c.id.in_(some))
                for row in connection.execute(matching).mappings():
                    rows[row["id"]] = dict(row)
        return rows

    def load_task_runs(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Row]:
        key = sa.tuple_(task_runs.c.execution_id, task_runs.c.id)
        rows: dict[tuple[str, str], Row] = {}
        with self._reading() as connection:
            for some in _chunks(keys):
                for row in connection.execute(sa.select(task_runs).where(key.in_(some))).mappings():
                    rows[row["execution_id"], row["id"]] = dict(row)
        return rows

    def write(self, changes: Changes) -> None:
        sql = self._sql
        steps = (
            (sql.remove_task_run, changes.task_runs_removed),
            (sql.put_execution, changes.executions),
            (sql.put_task_run, changes.task_runs),
            (sql.add_record, changes.records),
            (sql.remove_label, changes.labels_removed),
            (sql.add_label, changes.labels_added),
            (sql.add_log, changes.logs),
            (sql.add_metric, changes.metrics),
            (sql.remove_trigger, changes.triggers_removed),
            (sql.put_trigger, changes.triggers),
        )
        with self._writing() as connection:
            self._move_offsets(connection, changes.offsets)
            self._delete(connection, changes.deleted)
            for statement, rows in steps:
                if rows:
                    statement.run(connection, rows)

    @staticmethod
    def _delete(connection: sa.Connection, deleted: Sequence[Deletion]) -> None:
        """Remove executions; their labels are removed by their own keys."""
        for one in deleted:
            connection.execute(executions.delete().where(executions.c.id == one.execution_id))
            tables = [task_runs, execution_records]
            tables += [logs] if one.logs else []
            tables += [metrics] if one.metrics else []
            for table in tables:
                connection.execute(table.delete().where(table.c.execution_id == one.execution_id))

    def clear(self, keep_below: Mapping[Lane, int], logs: str, metrics: str) -> None:
        with self._writing() as connection:
            for name in ("executions", "task_runs", "execution_records", "labels", "triggers"):
                connection.execute(metadata.tables[name].delete())
            connection.execute(indexed_offsets.delete())
            for (topic, partition), offset in sorted(keep_below.items()):
                name = {logs: "logs", metrics: "metrics"}[topic]
                table = metadata.tables[name]
                connection.execute(
                    table.delete().where(table.c.partition == partition, table.c.offset >= offset)
                )

    def _move_offsets(
        self, connection: sa.Connection, offsets: Mapping[Lane, tuple[int, int]]
    ) -> None:
        """Move each next offset on, all writers in one order, so that none locks another."""
        rows = [
            {"lane_topic": topic, "lane_partition": partition, "before": before, "after": after}
            for (topic, partition), (before, after) in sorted(offsets.items())
        ]
        # One primary key per row of parameters: as many rows as parameters, or one did not match.
        if self._sql.move_offset.run(connection, rows) != len(rows):
            raise OffsetsMoved(
                f"Expected to go on from {dict(offsets)} (before, after), but another indexer "
                "has moved one of these offsets."
            )

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with available(), self._writers.connect() as connection, connection.begin():
            yield connection


class _Statement(NamedTuple):
    """A statement as text of one database, to run for many rows at once.

    Attributes:
        takes_json: it takes all rows as one JSON text; else it runs once per row.
    """

    text: str
    takes_json: bool = False

    def run(self, connection: sa.Connection, rows: list[Row]) -> int:
        """Run it for `rows`; how many rows of the table matched."""
        if not self.takes_json:
            return connection.exec_driver_sql(self.text, rows).rowcount
        return sum(
            connection.exec_driver_sql(self.text, {"rows": _encode(some).decode()}).rowcount
            for some in _chunks(rows)
        )


class _Statements:
    """The statements of the write side in the words of one database.

    Compiled once: going through SQLAlchemy's parameters for each row costs as much as the insert.
    """

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
        lane = indexed_offsets.c
        self.move_offset = _Statement(
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

    def _overwrite(self, table: sa.Table) -> _Statement:
        """Insert rows, or overwrite those with the same primary key."""
        insert = self._insert(table)
        new = {c.name: insert.excluded[c.name] for c in table.columns if not c.primary_key}
        keys = list(table.primary_key.columns)
        text = self._text(insert.on_conflict_do_update(index_elements=keys, set_=new))
        return _Statement(text, takes_json=True)

    def _keep(self, table: sa.Table) -> _Statement:
        """Insert rows, or leave those with the same primary key as they are."""
        insert = self._insert(table)
        return _Statement(self._text(insert.on_conflict_do_nothing()), takes_json=True)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """The insert of many rows, given as one JSON text.

        On PostgreSQL a message for each row is dear: 500 µs of CPU per execution, arrays 810 µs,
        JSON 360 µs. On SQLite each row lets other threads take the interpreter.
        """
        text = sa.bindparam("rows", type_=sa.Text())
        if self._is_postgresql:
            return self._insert_recordset(table, text)
        row = sa.func.json_each(text).table_valued(sa.column("value", sa.Text())).alias("row")
        paths: list[sa.ColumnElement[str]] = [
            sa.literal_column(f"'$.{c.name}'") for c in table.columns
        ]
        values = [sa.func.json_extract(row.c.value, path) for path in paths]
        # Without a WHERE, SQLite takes ON CONFLICT for the condition of a join.
        source = sa.select(*values).select_from(row).where(sa.true())
        return sqlite.insert(table).from_select([c.name for c in table.columns], source)

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

    def _remove(self, table: sa.Table) -> _Statement:
        """Remove the rows with these primary keys."""
        keys = table.primary_key.columns
        return _Statement(
            self._text(
                table.delete().where(*(column == sa.bindparam(column.name) for column in keys))
            )
        )

    def _text(self, statement: sa.ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))


def _chunks(keys: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(keys)
    while some := list(islice(rest, ROWS_PER_STATEMENT_MAX)):
        yield some
