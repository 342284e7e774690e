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
from typing import Any

import sqlalchemy as sa

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
from tiercel_engine.repository.statements import Statements, chunks, encode_json
from tiercel_engine.repository.tables import (
    execution_records,
    executions,
    logs,
    metadata,
    metrics,
    task_runs,
)


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
        self._sql = Statements(engine.dialect)

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
            for some in chunks(keys):
                given = {"keys": encode_json(some).decode()}
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
