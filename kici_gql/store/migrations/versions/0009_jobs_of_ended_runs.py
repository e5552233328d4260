"""Jobs of runs that have ended no longer count as waiting or running."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COUNT = (
    "(SELECT count(*) FROM job JOIN run ON run.id = job.run_id WHERE job.org_id = job_figures.org_id"
    " AND run.status IN ('PENDING', 'HELD', 'RUNNING', 'CANCELLING') AND job.status IN ({}))"
)
_QUEUED = _COUNT.format("'PENDING', 'QUEUED'")
_RUNNING = _COUNT.format("'RUNNING', 'RECOVERING', 'CANCELLING'")


def upgrade() -> None:
    op.execute(f"UPDATE job_figures SET queued = {_QUEUED}, running = {_RUNNING}")  # noqa: S608


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
