"""Which process of ours an orchestrator follows its commands at."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Those that are connected at the upgrade come back to follow their commands: the server was stopped.
    op.add_column("orchestrator", sa.Column("listens_at", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
