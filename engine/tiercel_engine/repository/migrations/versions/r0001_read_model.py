"""The first read model: executions, task runs, their places in the log, logs and metrics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _number(name: str, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger(), nullable=False, primary_key=primary_key, autoincrement=False
    )


def _small(name: str, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        name, sa.Integer(), nullable=False, primary_key=primary_key, autoincrement=False
    )


def _key(name: str, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, KEY, nullable=False, primary_key=primary_key)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    _create_executions()
    _create_task_runs()
    _create_logs()
    _create_metrics()
    op.create_table(
        "indexed_offsets",
        _key("topic", primary_key=True),
        _small("partition", primary_key=True),
        _number("next_offset"),
    )


def downgrade() -> None:
    for table in (
        "indexed_offsets",
        "metrics",
        "logs",
        "task_runs",
        "labels",
        "execution_records",
        "executions",
    ):
        op.drop_table(table)


def _create_executions() -> None:
    op.create_table(
        "executions",
        _key("id", primary_key=True),
        _key("tenant"),
        _key("namespace"),
        _key("flow_id"),
        _key("state"),
        _key("kind"),
        sa.Column("parent_id", KEY),
        sa.Column("trigger_execution_id", KEY),
        _number("start_us"),
        _number("changed_us"),
        sa.Column("end_us", sa.BigInteger()),
        _text("document"),
    )
    op.create_index("executions_by_time", "executions", ["start_us"])
    op.create_index("executions_by_flow", "executions", ["namespace", "flow_id", "start_us"])
    op.create_index("executions_by_state", "executions", ["state", "start_us"])
    is_triggered = sa.text("trigger_execution_id IS NOT NULL")
    op.create_index(
        "executions_by_trigger",
        "executions",
        ["trigger_execution_id"],
        sqlite_where=is_triggered,
        postgresql_where=is_triggered,
    )
    op.create_table(
        "execution_records",
        _key("execution_id", primary_key=True),
        _number("seq", primary_key=True),
        _small("partition"),
        _number("offset"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "labels",
        _key("key", primary_key=True),
        _key("value", primary_key=True),
        _key("execution_id", primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_task_runs() -> None:
    op.create_table(
        "task_runs",
        _key("execution_id", primary_key=True),
        _number("position", primary_key=True),
        _key("id"),
        _number("start_us"),
        _number("changed_us"),
        _text("document"),
    )
    op.create_index("task_runs_by_id", "task_runs", ["execution_id", "id"], unique=True)


def _create_logs() -> None:
    op.create_table(
        "logs",
        _small("partition", primary_key=True),
        _number("offset", primary_key=True),
        _key("namespace"),
        _key("flow_id"),
        sa.Column("execution_id", KEY),
        sa.Column("task_run_id", KEY),
        sa.Column("task_id", KEY),
        sa.Column("trigger_id", KEY),
        _small("attempt"),
        _number("at_us"),
        _small("level"),
        _text("thread"),
        _text("message"),
    )
    op.create_index("logs_by_execution", "logs", ["execution_id", "at_us"])
    op.create_index("logs_by_time", "logs", ["at_us"])


def _create_metrics() -> None:
    op.create_table(
        "metrics",
        _small("partition", primary_key=True),
        _number("offset", primary_key=True),
        _key("namespace"),
        _key("flow_id"),
        _key("execution_id"),
        _key("task_run_id"),
        _key("task_id"),
        _key("type"),
        _key("name"),
        sa.Column("value", sa.Double(), nullable=False),
        _number("at_us"),
        _text("tags"),
    )
    op.create_index("metrics_by_execution", "metrics", ["execution_id", "at_us"])
