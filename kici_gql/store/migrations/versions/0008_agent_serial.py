"""Agents have serial numbers, by which their figures are found."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FIGURES = "memory_used_mb, uptime_seconds, active_jobs, last_heartbeat_at"


def upgrade() -> None:
    op.add_column("agent", sa.Column("serial", sa.BigInteger(), nullable=False, server_default="0"))
    numbered = "SELECT id, row_number() OVER (ORDER BY id) AS serial FROM agent"
    op.execute(f"UPDATE agent SET serial = n.serial FROM ({numbered}) AS n WHERE agent.id = n.id")  # noqa: S608
    op.create_index("agent_serial", "agent", ["serial"], unique=True)
    op.rename_table("agent_figures", "agent_figures_by_id")
    op.create_table(
        "agent_figures",
        sa.Column(
            "serial",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("memory_used_mb", sa.Integer(), nullable=False),
        sa.Column("uptime_seconds", sa.Integer(), nullable=False),
        sa.Column("active_jobs", sa.Integer(), nullable=False),
        sa.Column("last_heartbeat_at", sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("memory_used_mb >= 0 AND uptime_seconds >= 0 AND active_jobs >= 0"),
        sa.ForeignKeyConstraint(["serial"], ["agent.serial"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.execute(
        f"INSERT INTO agent_figures (serial, {_FIGURES}) SELECT serial, {_FIGURES} FROM agent_figures_by_id "  # noqa: S608
        "JOIN agent USING (id)"
    )
    op.drop_table("agent_figures_by_id")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
