"""What the reports of one transaction come to: rows to write, figures to add, workflows that were triggered.

A hostile or a busy orchestrator tells of new runs by the thousand: what can be written once for all of them is.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kici_gql.actions import workflows
from kici_gql.events import Event, EventType
from kici_gql.rules import merging, metrics
from kici_gql.rules.metrics import NOTHING, Share
from kici_gql.store import Tx, records, runs
from kici_gql.tables import Job, Run, Step, Workflow


@dataclass(slots=True)
class Ledger:
    """Tells each change at once, and writes all of them when it is closed. `runs`, `jobs`, `steps`: rows to write."""

    tx: Tx
    runs: list[Run] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    _shares: defaultdict[datetime, Share] = field(default_factory=lambda: defaultdict(Share))
    _queued: int = 0
    _running: int = 0
    _turned: dict[str, int] = field(default_factory=dict)
    _triggered: dict[str, datetime] = field(default_factory=dict)

    def run(self, before: Run | None, row: Run) -> None:
        """A run is new or has changed."""
        self.runs.append(row)
        self.tx.append(Event(EventType.RUN_CHANGED, records.state_of(row)))
        self._count(before, -1)
        self._count(row, 1)
        if before is not None and merging.is_final(before.status) != merging.is_final(row.status):
            self._turned[row.id] = -1 if merging.is_final(row.status) else 1
        # One that was announced may yet be refused: it counts when its orchestrator speaks of it.
        if row.workflow_id is not None and not row.status_by_server and _trigger(before) != _trigger(row):
            last = self._triggered.get(row.workflow_id, row.queued_at)
            self._triggered[row.workflow_id] = max(last, row.queued_at)

    def job(self, run: Run, before: Job | None, row: Job) -> None:
        """A job is new or has changed."""
        self.jobs.append(row)
        self.tx.append(Event(EventType.JOB_CHANGED, records.state_of(row) | {"run": _about(run)}))
        if merging.is_final(run.status):
            return
        was = metrics.job_share(None if before is None else before.status)
        now = metrics.job_share(row.status)
        self._queued += now[0] - was[0]
        self._running += now[1] - was[1]

    def step(self, run: Run, row: Step) -> None:
        """A step is new or has changed."""
        self.steps.append(row)
        self.tx.append(Event(EventType.STEP_CHANGED, records.state_of(row) | {"run": _about(run)}))

    def close(self) -> None:
        """Write everything, parents first."""
        self._count_turned()
        for prepared, rows in ((runs.RUNS, self.runs), (runs.JOBS, self.jobs), (runs.STEPS, self.steps)):
            self.tx.later(prepared, [prepared.row_of(row) for row in rows])
        connection, org_id = self.tx.connection, self.tx.org_id
        for start, share in sorted(self._shares.items()):
            if share != NOTHING:
                runs.add_share(connection, org_id, start, share._asdict())
        if self._queued or self._running:
            runs.add_jobs(connection, org_id, self._queued, self._running)
        for workflow in (
            records.by_ids(connection, Workflow, org_id, self._triggered) if self._triggered else ()
        ):
            workflows.triggered(self.tx, workflow, self._triggered[workflow.id])

    def _count_turned(self) -> None:
        """Jobs of a run that has ended neither wait nor run, whatever was last heard of them: KiCI leaves them as they were."""
        if not self._turned:
            return
        for run_id, status, number in runs.jobs_by_status(self.tx.connection, self._turned):
            queued, running = metrics.job_share(status)
            self._queued += self._turned[run_id] * queued * number
            self._running += self._turned[run_id] * running * number

    def _count(self, row: Run | None, sign: int) -> None:
        if row is not None:
            share = metrics.share_of(row.status, row.duration_ms)
            start = metrics.bucket_of(row.queued_at)
            self._shares[start] = self._shares[start].plus(share, sign)


def _trigger(row: Run | None) -> tuple[Any, ...] | None:
    """What makes a run count as a trigger of its workflow, and when."""
    return None if row is None else (row.workflow_id, row.queued_at, row.status_by_server)


def _about(run: Run) -> dict[str, Any]:
    """What a stream needs to know of the run to tell whether its jobs belong to the view."""
    return {
        "id": run.id,
        "cluster_id": run.cluster_id,
        "status": run.status,
        "workflow_id": run.workflow_id,
        "workflow_name": run.workflow_name,
        "repository": run.repository,
        "branch": run.branch,
        "trigger_type": run.trigger_type,
    }
