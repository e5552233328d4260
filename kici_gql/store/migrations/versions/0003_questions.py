"""Questions between processes; which orchestrators are asked over their connection."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Those that are connected at the upgrade say what they are when they connect anew: the server was stopped.
    op.add_column(
        "orchestrator", sa.Column("asked_live", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "question",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("orchestrator_id", sa.String(), nullable=False),
        sa.Column(
            "surface",
            sa.Enum(
                "SECURITY_POLICY",
                "ENVIRONMENTS",
                "SECRET_SCOPES",
                "DEAD_LETTERS",
                "GLOBAL_WORKFLOWS",
                name="surface",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("asked_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("answered_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("document", sa.JSON(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("hint", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["orchestrator_id"], ["orchestrator.id"]),
        sa.ForeignKeyConstraint(["org_id"], ["org.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("question") as batch:
        batch.create_index(batch.f("ix_question_asked_at"), ["asked_at"])
        batch.create_index("question_open", ["orchestrator_id", "answered_at"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
