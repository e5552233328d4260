"""Run by Alembic, on the connection that `migrations.upgrade` hands it."""

from alembic import context
from sqlmodel import SQLModel

from kici_gql import tables  # noqa: F401 - declares what SQLModel.metadata holds

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite can't alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
