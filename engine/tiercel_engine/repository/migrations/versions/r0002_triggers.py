"""Where triggers stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    names = ("tenant", "namespace", "flow_id", "trigger_id")
    op.create_table(
        "triggers",
        *(sa.Column(name, KEY, nullable=False, primary_key=True) for name in names),
        sa.Column("disabled", sa.Integer(), nullable=False),
        sa.Column("locked", sa.Integer(), nullable=False),
        sa.Column("next_us", sa.BigInteger()),
        sa.Column("date_us", sa.BigInteger()),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
    )
    op.create_index("triggers_by_next", "triggers", ["next_us"])


def downgrade() -> None:
    op.drop_table("triggers")
