"""Task runs by time and state, for searches and statistics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: The state of a document, in the words of each database.
STATE = {
    "sqlite": "json_extract(document, '$.state.current')",
    "postgresql": "document::json -> 'state' ->> 'current'",
}


def upgrade() -> None:
    op.add_column("task_runs", sa.Column("state", KEY, nullable=False, server_default=""))
    op.execute(f"UPDATE task_runs SET state = {STATE[op.get_bind().dialect.name]}")
    op.create_index("task_runs_by_time", "task_runs", ["start_us"])


def downgrade() -> None:
    op.drop_index("task_runs_by_time", "task_runs")
    op.drop_column("task_runs", "state")
