"""Who has a slot of a flow that limits its executions, and who waits for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FLOW = ("tenant", "namespace", "flow_id")


def upgrade() -> None:
    op.create_table(
        "flow_limits",
        *(sa.Column(name, KEY, nullable=False, primary_key=True) for name in FLOW),
        sa.Column("executions_max", sa.Integer()),
        sa.Column("behavior", KEY, nullable=False),
    )
    op.create_table(
        "flow_slots",
        *(
            sa.Column(name, KEY, nullable=False, primary_key=True)
            for name in (*FLOW, "execution_id")
        ),
        sa.Column("is_held", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("flow_slots")
    op.drop_table("flow_limits")
