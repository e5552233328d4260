"""Figures of agents in a table of their own; silence is scheduled by orchestrator; where the fleet last changed."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FIGURES = ("memory_used_mb", "uptime_seconds", "active_jobs", "last_heartbeat_at")
_CHECK = "cpu_count > 0 AND memory_total_mb >= 0 AND max_concurrency > 0"


def upgrade() -> None:
    op.add_column("org", sa.Column("fleet_seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE org SET fleet_seq = last_seq")
    op.create_table(
        "agent_figures",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("memory_used_mb", sa.Integer(), nullable=False),
        sa.Column("uptime_seconds", sa.Integer(), nullable=False),
        sa.Column("active_jobs", sa.Integer(), nullable=False),
        sa.Column("last_heartbeat_at", sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("memory_used_mb >= 0 AND uptime_seconds >= 0 AND active_jobs >= 0"),
        sa.ForeignKeyConstraint(["id"], ["agent.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    names = ", ".join(_FIGURES)
    op.execute(
        f"INSERT INTO agent_figures (id, {names}) SELECT id, {names} FROM agent WHERE last_heartbeat_at IS NOT NULL"  # noqa: S608
    )
    # Earlier than need be is harmless: the first look works out the right moment.
    op.execute("UPDATE orchestrator SET due_at = last_heartbeat_at WHERE liveness <> 'OFFLINE'")
    with op.batch_alter_table("agent", table_args=(sa.CheckConstraint(_CHECK),)) as batch:
        batch.drop_index("agent_due")
        for name in (*_FIGURES, "due_at"):
            batch.drop_column(name)
    if op.get_context().dialect.name == "postgresql":  # SQLite got it with the table that batch made anew
        op.create_check_constraint(None, "agent", _CHECK)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
