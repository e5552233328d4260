"""Runs: what orchestrators report of them, in any order and as often as they like."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kici_gql.actions import workflows as workflow_actions
from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.events import Event, EventType
from kici_gql.rules import merging, metrics, run_reports
from kici_gql.rules.metrics import NOTHING
from kici_gql.rules.reports import MAX_INT
from kici_gql.rules.secrets import redacted
from kici_gql.store import Tx, records, runs, workflows
from kici_gql.tables import Job, JobStatus, Prefix, Run, RunStatus, Step, StepStatus, Workflow, new_id

_UNKNOWN = "unknown"


async def report(call: Call, connection_id: str, told: Sequence[run_reports.Run]) -> Done:
    """Take reports about runs, jobs and steps. Answers `run_ids` in the order of the input."""

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        return {"object_id": orchestrator.id, "run_ids": take(tx, orchestrator.cluster_id, told)}

    def check() -> None:
        run_reports.check_runs(told)
        run_reports.check_clock(told, call.store.now())

    return await perform(call, Action("orchestratorReportRuns", work, check))


def take(tx: Tx, cluster_id: str, told: Sequence[run_reports.Run]) -> list[str]:
    """Merge the reports into what is known. Returns the runs' ids."""
    known = runs.by_external_ids(tx.connection, cluster_id, [each.run_id for each in told])
    ids = [row.id for row in known.values()]
    with_jobs = [each for each in told if each.jobs]
    jobs = runs.jobs_of(tx.connection, ids) if with_jobs else {}
    steps = (
        runs.steps_of(tx.connection, ids) if any(job.steps for each in with_jobs for job in each.jobs) else {}
    )
    found: list[str] = []
    for each in told:
        at = merging.millis(each.at or tx.now)
        row = _merge_run(tx, cluster_id, known.get(each.run_id), each, at)
        for job in each.jobs:
            before = jobs.get((row.id, job.job_id))
            job_row = _merge_job(tx, row, before, job, at)
            for step in job.steps:
                _merge_step(tx, row, job_row, steps.get((job_row.id, step.number)), step, at)
            if before is not None and (job.status is not None or job.steps):
                _close_steps(tx, row, job_row)
        found.append(row.id)
    return found


def announce(tx: Tx, workflow: Workflow, external_id: str, values: dict[str, Any]) -> Run:
    """Write a run that a command is about to start, so that whoever asked can watch it from the beginning."""
    row = _blank(
        tx, workflow.cluster_id, external_id, tx.now, workflow_name=workflow.name, workflow_id=workflow.id
    )
    row.repository = workflow.repository
    row.status_by_server = True
    row.stamps = {"queued_at": 0}
    for name, value in values.items():
        setattr(row, name, value)
    _add_run(tx, row)
    return row


def server_verdict(tx: Tx, run: Run, status: RunStatus, reason: str) -> Run:
    """Our own word on a run that its orchestrator has not spoken of; any report overrules it."""
    values = {"failure_reason": reason, "completed_at": tx.now}
    ours = {name: value for name, value in values.items() if name not in run.stamps}
    return _change_run(tx, run, ours | {"status": status, "status_by_server": True})


def _merge_run(tx: Tx, cluster_id: str, row: Run | None, told: run_reports.Run, at: int) -> Run:
    columns = _run_columns(tx, cluster_id, told)
    if row is None:
        new = _blank(tx, cluster_id, told.run_id, tx.now)
        for name, value in merging.merge({}, {}, columns, at).items():
            setattr(new, name, value)
        for name, value in _derived(new).items():
            setattr(new, name, value)
        _add_run(tx, new)
        return new
    state = records.state_of(row)
    overruled = row.status_by_server and columns["status"] is not None
    if overruled:  # whatever the orchestrator says of it outweighs what we thought
        state["status"] = None
    changes = merging.merge(state, row.stamps, columns, at)
    if overruled:
        ours = {name: None for name in ("completed_at", "failure_reason") if name not in row.stamps}
        changes = ours | changes | {"status": columns["status"], "status_by_server": False}
    return _change_run(tx, row, changes) if changes else row


def _run_columns(tx: Tx, cluster_id: str, told: run_reports.Run) -> dict[str, Any]:
    columns = {
        "status": told.status,
        "workflow_name": told.workflow_name,
        "repository": told.repository,
        "branch": told.branch,
        "commit_sha": told.commit_sha,
        "commit_message": told.commit_message and redacted(told.commit_message),
        "trigger_type": told.trigger_type,
        "triggered_by": told.triggered_by,
        "cancelled_by": told.cancelled_by,
        "failure_reason": told.failure_reason and redacted(told.failure_reason),
        "parent_run": told.parent_run_id,
        "original_run": told.original_run_id,
        "queued_at": told.queued_at,
        "started_at": told.started_at,
        "completed_at": told.completed_at,
        "duration_ms": told.duration_ms,
    }
    workflow = None
    if told.registration_id is not None:
        workflow = workflows.by_external_id(tx.connection, cluster_id, told.registration_id)
    elif told.workflow_name is not None:
        workflow = workflows.named(tx.connection, cluster_id, told.workflow_name, told.repository)
    if workflow is not None:
        columns["workflow_id"] = workflow.id
    return columns


def _blank(
    tx: Tx,
    cluster_id: str,
    external_id: str,
    queued_at: datetime,
    workflow_name: str = _UNKNOWN,
    workflow_id: str | None = None,
) -> Run:
    return Run(
        id=new_id(Prefix.RUN, tx.now),
        org_id=tx.org_id,
        cluster_id=cluster_id,
        external_id=external_id,
        workflow_id=workflow_id,
        workflow_name=workflow_name,
        status=RunStatus.PENDING,
        inputs={},
        queued_at=queued_at,
        updated_at=tx.now,
        stamps={},
    )


def _add_run(tx: Tx, row: Run) -> None:
    records.add(tx.connection, row)
    share = metrics.share_of(row.status, row.duration_ms)
    runs.add_share(tx.connection, tx.org_id, metrics.bucket_of(row.queued_at), share._asdict())
    tx.append(Event(EventType.RUN_CHANGED, records.state_of(row)))
    _note_trigger(tx, row)


def _note_trigger(tx: Tx, row: Run) -> None:
    if row.status_by_server:
        return  # announced, and perhaps refused: it counts when its orchestrator speaks of it
    workflow = records.by_id(tx.connection, Workflow, tx.org_id, row.workflow_id) if row.workflow_id else None
    if workflow is not None:
        workflow_actions.triggered(tx, workflow, row.queued_at)


def _change_run(tx: Tx, row: Run, changes: dict[str, Any]) -> Run:
    if set(changes) == {"stamps"}:
        return records.change(tx.connection, Run, row.id, changes)
    values = changes | {"updated_at": tx.now, "revision": row.revision + 1}
    new = records.change(tx.connection, Run, row.id, values)
    derived = _derived(new)
    if any(getattr(new, name) != value for name, value in derived.items()):
        new = records.change(tx.connection, Run, row.id, derived)
    _recount(tx, row, new)
    tx.append(Event(EventType.RUN_CHANGED, records.state_of(new)))
    before = (row.workflow_id, row.queued_at, row.status_by_server)
    if (new.workflow_id, new.queued_at, new.status_by_server) != before:
        _note_trigger(tx, new)
    return new


def _recount(tx: Tx, row: Run, new: Run) -> None:
    """Take the run's share out of the span it was queued in, and put its new one into its new span."""
    old_span, span = metrics.bucket_of(row.queued_at), metrics.bucket_of(new.queued_at)
    before = metrics.share_of(row.status, row.duration_ms)
    share = metrics.share_of(new.status, new.duration_ms)
    if old_span != span:
        runs.add_share(tx.connection, tx.org_id, old_span, NOTHING.less(before)._asdict())
        runs.add_share(tx.connection, tx.org_id, span, share._asdict())
    elif share != before:
        runs.add_share(tx.connection, tx.org_id, span, share.less(before)._asdict())


def _derived(row: Run) -> dict[str, Any]:
    """Columns that follow from the others, unless the orchestrator spoke of them itself."""
    duration = row.duration_ms
    if "duration_ms" not in row.stamps:
        duration = _span_ms(row.started_at, row.completed_at)
    told = "queued_at" in row.stamps or row.started_at is None
    return {
        "queued_at": row.queued_at if told else row.started_at,
        "duration_ms": duration,
        "duration_order_ms": -1 if duration is None else duration,
    }


def _span_ms(started_at: datetime | None, completed_at: datetime | None) -> int | None:
    if started_at is None or completed_at is None:
        return None
    return min(MAX_INT, max(0, int((completed_at - started_at).total_seconds() * 1000)))


def _merge_job(tx: Tx, run: Run, row: Job | None, told: run_reports.Job, at: int) -> Job:
    columns = {
        "name": told.name,
        "status": told.status,
        "agent_id": told.agent_id,
        "runs_on": None if told.runs_on is None else list(told.runs_on),
        "error_message": told.error_message and redacted(told.error_message),
        "started_at": told.started_at,
        "completed_at": told.completed_at,
        "duration_ms": told.duration_ms,
    }
    changes = _merged(row, columns, at)
    if row is not None and set(changes) <= {"stamps"}:
        return records.change(tx.connection, Job, row.id, changes) if changes else row
    before = metrics.job_share(None if row is None else row.status)
    if row is None:
        base = {"name": told.job_id, "status": JobStatus.PENDING, "runs_on": [], "stamps": {}}
        new = Job(
            id=new_id(Prefix.JOB, tx.now),
            org_id=tx.org_id,
            cluster_id=run.cluster_id,
            run_id=run.id,
            external_id=told.job_id,
            **(base | changes),
        )
        new.duration_ms = _duration(new)
        records.add(tx.connection, new)
    else:
        new = records.change(tx.connection, Job, row.id, changes | {"revision": row.revision + 1})
        if new.duration_ms != _duration(new):
            new = records.change(tx.connection, Job, row.id, {"duration_ms": _duration(new)})
    after = metrics.job_share(new.status)
    if before != after:
        runs.add_jobs(tx.connection, tx.org_id, after[0] - before[0], after[1] - before[1])
    tx.append(Event(EventType.JOB_CHANGED, records.state_of(new) | {"run": _about(run)}))
    return new


def _duration(row: Job | Step) -> int | None:
    return row.duration_ms if "duration_ms" in row.stamps else _span_ms(row.started_at, row.completed_at)


def _merge_step(tx: Tx, run: Run, job: Job, row: Step | None, told: run_reports.Step, at: int) -> None:
    over = merging.is_final(job.status)
    status = None if told.status is not None and over and not merging.is_final(told.status) else told.status
    columns = {
        "name": told.name,
        "status": status,
        "error_message": told.error_message and redacted(told.error_message),
        "exit_code": told.exit_code,
        "started_at": told.started_at,
        "completed_at": told.completed_at,
        "duration_ms": told.duration_ms,
    }
    changes = _merged(row, columns, at)
    if row is not None and set(changes) <= {"stamps"}:
        if changes:
            records.change(tx.connection, Step, row.id, changes)
        return
    if row is None:
        base = {
            "name": f"step {told.number}",
            "status": _end_of(job) if over else StepStatus.PENDING,
            "stamps": {},
        }
        new = Step(
            id=new_id(Prefix.STEP, tx.now),
            org_id=tx.org_id,
            job_id=job.id,
            run_id=job.run_id,
            number=told.number,
            **(base | changes),
        )
        new.duration_ms = _duration(new)
        records.add(tx.connection, new)
    else:
        new = records.change(tx.connection, Step, row.id, changes)
        if new.duration_ms != _duration(new):
            new = records.change(tx.connection, Step, row.id, {"duration_ms": _duration(new)})
    tx.append(Event(EventType.STEP_CHANGED, records.state_of(new) | {"run": _about(run)}))


def _merged(row: Job | Step | None, columns: dict[str, Any], at: int) -> dict[str, Any]:
    if row is None:
        return merging.merge({}, {}, columns, at)
    return merging.merge(records.state_of(row), row.stamps, columns, at)


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


_ENDS: dict[JobStatus, StepStatus] = {
    JobStatus.SUCCESS: StepStatus.SUCCESS,
    JobStatus.CANCELLED: StepStatus.CANCELLED,
    JobStatus.SKIPPED: StepStatus.SKIPPED,
}


def _end_of(job: Job) -> StepStatus:
    return _ENDS.get(job.status, StepStatus.FAILED)


def _close_steps(tx: Tx, run: Run, job: Job) -> None:
    """Steps of a job that has ended have ended too, and a crashed runner never says so.

    No stamp is left: should the step's own end arrive late, it counts, and not what we concluded. For the same
    reason a conclusion is drawn anew when the job turns out to have ended otherwise.
    """
    if not merging.is_final(job.status):
        return
    for step in runs.steps_in(tx.connection, job.id):
        concluded = "status" not in step.stamps
        if step.status is not _end_of(job) if concluded else not merging.is_final(step.status):
            stamps = {name: at for name, at in step.stamps.items() if name != "status"}
            new = records.change(tx.connection, Step, step.id, {"status": _end_of(job), "stamps": stamps})
            tx.append(Event(EventType.STEP_CHANGED, records.state_of(new) | {"run": _about(run)}))
