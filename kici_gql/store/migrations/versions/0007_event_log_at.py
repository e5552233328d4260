"""The log is trimmed from its beginning, which needs no index by time; bodies are compressed from here on."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("event_log_at", table_name="event_log")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
