"""What Alembic runs around the revisions. The connection comes from `engines.migrate`."""

from __future__ import annotations

from alembic import context

from tiercel_engine.repository.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table: revisions that do so copy it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
