"""The chunks of a run can be found, as the database itself has to when a run is removed."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("log_chunk_run", "log_chunk", ["run_id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
