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
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tiercel_engine.repository.base import (
    Changes,
    Deletion,
    Lane,
    LinesDeletion,
    LogFilter,
    OffsetsMoved,
    Row,
    Store,
)
from tiercel_engine.repository.engines import migrate, open_engine
from tiercel_engine.repository.query import log_conditions, measure_conditions
from tiercel_engine.repository.reader import available
from tiercel_engine.repository.sql import SqlReadModels
from tiercel_engine.repository.tables import (
    execution_records,
    executions,
    flow_limits,
    flow_slots,
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
        return {row["id"]: row for row in self._load(self._sql.load_executions, ids)}

    def load_task_runs(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Row]:
        rows = self._load(self._sql.load_task_runs, keys)
        return {(row["execution_id"], row["id"]): row for row in rows}

    def _load(self, text: str, keys: Sequence[Any]) -> Iterator[Row]:
        with self._reading() as connection:
            for some in _chunks(keys):
                given = {"keys": _encode(some).decode()}
                yield from map(dict, connection.exec_driver_sql(text, given).mappings())

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
            (sql.put_limit, changes.flow_limits),
            (sql.remove_slot, changes.flow_slots_removed),
            (sql.put_slot, changes.flow_slots),
        )
        with self._writing() as connection:
            self._move_offsets(connection, changes.offsets)
            self._delete(connection, changes.deleted)
            for statement, rows in steps:
                if rows:
                    statement.run(connection, rows)

    def delete_lines(self, asked: LinesDeletion, after: int, limit: int) -> int | None:
        if isinstance(asked.where, LogFilter):
            table, conditions = logs, log_conditions(asked.where)
        else:
            table, conditions = metrics, measure_conditions(asked.where)
        offset = table.c.offset
        lane = table.c.partition == asked.partition
        # In the order of the primary key, so that no call looks again at what an earlier one left.
        found = (
            sa.select(offset)
            .where(lane, offset > after, offset < asked.offset, *conditions)
            .order_by(offset)
            .limit(limit)
        )
        with self._reading() as connection:
            offsets = connection.execute(found).scalars().all()
        if not offsets:
            return None
        with self._writing() as connection:
            connection.execute(table.delete().where(lane, offset.in_(offsets)))
        return offsets[-1] if len(offsets) == limit else None

    def delete_lines_of(
        self, execution_id: str, with_logs: bool, with_metrics: bool, limit: int
    ) -> bool:
        is_done = True
        for table in [logs] * with_logs + [metrics] * with_metrics:
            key = sa.tuple_(table.c.partition, table.c.offset)
            found = sa.select(table.c.partition, table.c.offset).where(
                table.c.execution_id == execution_id
            )
            with self._reading() as connection:
                rows = [tuple(row) for row in connection.execute(found.limit(limit))]
            if rows:
                with self._writing() as connection:
                    connection.execute(table.delete().where(key.in_(rows)))
            is_done &= len(rows) < limit
        return is_done

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
            for table in metadata.tables.values():
                if table.name not in ("logs", "metrics"):
                    connection.execute(table.delete())
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


class _Statement(Protocol):
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
            connection.exec_driver_sql(self.text, {"rows": _encode(some).decode()}).rowcount
            for some in _chunks(rows)
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

    def _overwrite(self, table: sa.Table) -> _Statement:
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

    def _keep(self, table: sa.Table) -> _Statement:
        """Insert rows, or leave those with the same primary key as they are."""
        return self._many(table, self._insert(table).on_conflict_do_nothing())

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        if self._is_postgresql:
            return self._insert_recordset(table, sa.bindparam("rows", type_=sa.Text()))
        return sqlite.insert(table)

    def _many(self, table: sa.Table, insert: sa.Insert) -> _Statement:
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

    def _remove(self, table: sa.Table) -> _Statement:
        """Remove the rows with these primary keys."""
        keys = table.primary_key.columns
        return _EachRow(
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
