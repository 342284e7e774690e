"""The tables of the read model, the same on SQLite and PostgreSQL.

`migrations/` creates them; a test holds both to each other. Instants are microseconds since the
epoch. Text is compared byte by byte on both databases, so that ids sort by time and a namespace
prefix is a range of an index.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

#: Text in byte order: SQLite's default, the "C" collation of PostgreSQL.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _required(name: str, type_: sa.types.TypeEngine[str] | sa.types.TypeEngine[int]) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, type_, nullable=False)


#: One row per execution, without its task runs: events of a task run do not touch it.
executions = sa.Table(
    "executions",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    _required("tenant", KEY),
    _required("namespace", KEY),
    _required("flow_id", KEY),
    _required("state", KEY),
    _required("kind", KEY),
    sa.Column("parent_id", KEY),
    sa.Column("trigger_execution_id", KEY),
    _required("start_us", sa.BigInteger()),
    _required("changed_us", sa.BigInteger()),
    sa.Column("end_us", sa.BigInteger()),
    _required("document", sa.Text()),
    sa.Index("executions_by_time", "start_us"),
    sa.Index("executions_by_flow", "namespace", "flow_id", "start_us"),
    sa.Index("executions_by_state", "state", "start_us"),
    sa.Index(
        "executions_by_trigger",
        "trigger_execution_id",
        sqlite_where=sa.text("trigger_execution_id IS NOT NULL"),
        postgresql_where=sa.text("trigger_execution_id IS NOT NULL"),
    ),
)

#: `position` is the number of the event that created the task run.
task_runs = sa.Table(
    "task_runs",
    metadata,
    sa.Column("execution_id", KEY, primary_key=True),
    sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
    _required("id", KEY),
    _required("start_us", sa.BigInteger()),
    _required("changed_us", sa.BigInteger()),
    _required("document", sa.Text()),
    sa.Column("state", KEY, nullable=False, server_default=""),
    sa.Index("task_runs_by_id", "execution_id", "id", unique=True),
    sa.Index("task_runs_by_time", "start_us"),
)

#: Where the records of an execution lie in the executions topic; `seq` numbers the record's last
#: event, so the greatest one is how far the row of the execution is.
execution_records = sa.Table(
    "execution_records",
    metadata,
    sa.Column("execution_id", KEY, primary_key=True),
    sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
    _required("partition", sa.Integer()),
    _required("offset", sa.BigInteger()),
    sqlite_with_rowid=False,
)

#: For searches; the labels themselves stand in the execution's document.
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("key", KEY, primary_key=True),
    sa.Column("value", KEY, primary_key=True),
    sa.Column("execution_id", KEY, primary_key=True),
    sqlite_with_rowid=False,
)

#: One row per line, named by its place in the logs topic. `level` is 0 (TRACE) to 4 (ERROR).
logs = sa.Table(
    "logs",
    metadata,
    sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger(), primary_key=True, autoincrement=False),
    _required("namespace", KEY),
    _required("flow_id", KEY),
    sa.Column("execution_id", KEY),
    sa.Column("task_run_id", KEY),
    sa.Column("task_id", KEY),
    sa.Column("trigger_id", KEY),
    _required("attempt", sa.Integer()),
    _required("at_us", sa.BigInteger()),
    _required("level", sa.Integer()),
    _required("thread", sa.Text()),
    _required("message", sa.Text()),
    sa.Index("logs_by_execution", "execution_id", "at_us"),
    sa.Index("logs_by_time", "at_us"),
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger(), primary_key=True, autoincrement=False),
    _required("namespace", KEY),
    _required("flow_id", KEY),
    _required("execution_id", KEY),
    _required("task_run_id", KEY),
    _required("task_id", KEY),
    _required("type", KEY),
    _required("name", KEY),
    sa.Column("value", sa.Double(), nullable=False),
    _required("at_us", sa.BigInteger()),
    _required("tags", sa.Text()),
    sa.Index("metrics_by_execution", "execution_id", "at_us"),
)

#: Where each trigger stands; `next_us` is when it is due, none: it waits for something else.
#: `disabled` and `locked` are 0 or 1.
triggers = sa.Table(
    "triggers",
    metadata,
    sa.Column("tenant", KEY, primary_key=True),
    sa.Column("namespace", KEY, primary_key=True),
    sa.Column("flow_id", KEY, primary_key=True),
    sa.Column("trigger_id", KEY, primary_key=True),
    _required("disabled", sa.Integer()),
    _required("locked", sa.Integer()),
    sa.Column("next_us", sa.BigInteger()),
    sa.Column("date_us", sa.BigInteger()),
    _required("updated_us", sa.BigInteger()),
    _required("document", sa.Text()),
    sa.Index("triggers_by_next", "next_us"),
)

#: What flows say of executions at once; none: any number.
flow_limits = sa.Table(
    "flow_limits",
    metadata,
    sa.Column("tenant", KEY, primary_key=True),
    sa.Column("namespace", KEY, primary_key=True),
    sa.Column("flow_id", KEY, primary_key=True),
    sa.Column("executions_max", sa.Integer()),
    _required("behavior", KEY),
)

#: Executions that have a slot of their flow (`is_held` 1), or wait for one (0).
flow_slots = sa.Table(
    "flow_slots",
    metadata,
    sa.Column("tenant", KEY, primary_key=True),
    sa.Column("namespace", KEY, primary_key=True),
    sa.Column("flow_id", KEY, primary_key=True),
    sa.Column("execution_id", KEY, primary_key=True),
    _required("is_held", sa.Integer()),
    sqlite_with_rowid=False,
)

#: Written in the transaction of the rows, so what is indexed is indexed once.
indexed_offsets = sa.Table(
    "indexed_offsets",
    metadata,
    sa.Column("topic", KEY, primary_key=True),
    sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
    _required("next_offset", sa.BigInteger()),
)
