"""How long each cluster's dead-letter queue was when that was last told."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing is known of the time before, so the first word of a queue raises no alert.
    op.add_column("cluster", sa.Column("dead_letters", sa.Integer(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
