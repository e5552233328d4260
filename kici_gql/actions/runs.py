"""Runs: what orchestrators report of them, in any order and as often as they like."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any

from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.run_ledger import Ledger
from kici_gql.rules import merging, run_reports
from kici_gql.rules.reports import MAX_INT
from kici_gql.rules.secrets import redacted
from kici_gql.store import Tx, runs, workflows
from kici_gql.store.records import made, turned
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
    with_jobs = [known[each.run_id].id for each in told if each.jobs and each.run_id in known]
    jobs = runs.jobs_of(tx.connection, with_jobs) if with_jobs else {}
    steps = _known_steps(tx, known, jobs, told)
    workflow_of = cache(partial(_workflow_of, tx, cluster_id))
    ledger = Ledger(tx)
    found: list[str] = []
    for each in told:
        at = merging.millis(each.at or tx.now)
        workflow = workflow_of(each.registration_id, each.workflow_name, each.repository)
        row = _merge_run(ledger, cluster_id, known.get(each.run_id), each, workflow, at)
        for job in each.jobs:
            before = jobs.get((row.id, job.job_id))
            job_row = _merge_job(ledger, row, before, job, at)
            numbered = steps[job_row.id]
            for step in job.steps:
                numbered[step.number] = _merge_step(ledger, row, job_row, numbered.get(step.number), step, at)
            if before is not None:
                _close_steps(ledger, row, job_row, numbered.values())
        found.append(row.id)
    ledger.close()
    return found


def _known_steps(
    tx: Tx,
    known: Mapping[str, Run],
    jobs: Mapping[tuple[str, str], Job],
    told: Sequence[run_reports.Run],
) -> defaultdict[str, dict[int, Step]]:
    """The stored steps, by job and number, of those jobs whose steps these reports may change."""
    ids = [
        jobs[known[each.run_id].id, job.job_id].id
        for each in told
        if each.run_id in known
        for job in each.jobs
        if (known[each.run_id].id, job.job_id) in jobs
        if job.steps or job.completed_at or (job.status is not None and merging.is_final(job.status))
    ]
    steps: defaultdict[str, dict[int, Step]] = defaultdict(dict)
    for step in runs.steps_of(tx.connection, ids) if ids else ():
        steps[step.job_id][step.number] = step
    return steps


def _workflow_of(
    tx: Tx, cluster_id: str, registration_id: str | None, name: str | None, repository: str | None
) -> Workflow | None:
    if registration_id is not None:
        return workflows.by_external_id(tx.connection, cluster_id, registration_id)
    return None if name is None else workflows.named(tx.connection, cluster_id, name, repository)


def announce(tx: Tx, workflow: Workflow, external_id: str, values: dict[str, Any]) -> Run:
    """Write a run that a command is about to start, so that whoever asked can watch it from the beginning."""
    ours = {
        "workflow_name": workflow.name,
        "workflow_id": workflow.id,
        "repository": workflow.repository,
        "status_by_server": True,
        "stamps": {"queued_at": 0},
    }
    row = made(Run, **(_blank(tx, workflow.cluster_id, external_id) | ours | values))
    ledger = Ledger(tx)
    ledger.run(None, row)
    ledger.close()
    return row


def server_verdict(tx: Tx, run: Run, status: RunStatus, reason: str) -> Run:
    """Our own word on a run that its orchestrator has not spoken of; any report overrules it."""
    values = {"failure_reason": reason, "completed_at": tx.now}
    ours = {name: value for name, value in values.items() if name not in run.stamps}
    ledger = Ledger(tx)
    row = _change_run(ledger, run, ours | {"status": status, "status_by_server": True})
    ledger.close()
    return row


def _merge_run(
    ledger: Ledger,
    cluster_id: str,
    row: Run | None,
    told: run_reports.Run,
    workflow: Workflow | None,
    at: int,
) -> Run:
    columns, jobs = _run_columns(told, workflow), told.job_count or 0
    if row is None:
        merged = merging.merge({}, {}, columns, at, jobs)
        new = made(Run, **(_blank(ledger.tx, cluster_id, told.run_id) | merged))
        new = turned(new, _derived(new))
        ledger.run(None, new)
        return new
    state = {name: getattr(row, name) for name in columns}
    overruled = row.status_by_server and columns["status"] is not None
    if overruled:  # whatever the orchestrator says of it outweighs what we thought
        state["status"] = None
    changes = merging.merge(state, row.stamps, columns, at, jobs)
    if overruled:
        ours = {name: None for name in ("completed_at", "failure_reason") if name not in row.stamps}
        changes = ours | changes | {"status": columns["status"], "status_by_server": False}
    return _change_run(ledger, row, changes) if changes else row


def _run_columns(told: run_reports.Run, workflow: Workflow | None) -> dict[str, Any]:
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
    if workflow is not None:
        columns["workflow_id"] = workflow.id
    return columns


def _blank(tx: Tx, cluster_id: str, external_id: str) -> dict[str, Any]:
    return {
        "id": new_id(Prefix.RUN, tx.now),
        "org_id": tx.org_id,
        "cluster_id": cluster_id,
        "external_id": external_id,
        "workflow_name": _UNKNOWN,
        "status": RunStatus.PENDING,
        "inputs": {},
        "queued_at": tx.now,
        "updated_at": tx.now,
        "stamps": {},
    }


def _change_run(ledger: Ledger, row: Run, changes: dict[str, Any]) -> Run:
    if set(changes) == {"stamps"}:
        new = turned(row, changes)
        ledger.runs.append(new)
        return new
    new = turned(row, changes | {"updated_at": ledger.tx.now, "revision": row.revision + 1})
    new = turned(new, _derived(new))
    ledger.run(row, new)
    return new


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


def _merge_job(ledger: Ledger, run: Run, row: Job | None, told: run_reports.Job, at: int) -> Job:
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
    if row is not None and not changes:
        return row
    if row is not None and set(changes) == {"stamps"}:
        new = turned(row, changes)
        ledger.jobs.append(new)
        return new
    if row is None:
        new = made(
            Job,
            id=new_id(Prefix.JOB, ledger.tx.now),
            org_id=run.org_id,
            cluster_id=run.cluster_id,
            run_id=run.id,
            external_id=told.job_id,
            **({"name": told.job_id, "status": JobStatus.PENDING, "runs_on": [], "stamps": {}} | changes),
        )
    else:
        new = turned(row, changes | {"revision": row.revision + 1})
    new = turned(new, {"duration_ms": _duration(new)})
    ledger.job(run, row, new)
    return new


def _duration(row: Job | Step) -> int | None:
    return row.duration_ms if "duration_ms" in row.stamps else _span_ms(row.started_at, row.completed_at)


def _merge_step(
    ledger: Ledger, run: Run, job: Job, row: Step | None, told: run_reports.Step, at: int
) -> Step:
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
    if row is not None and not changes:
        return row
    if row is not None and set(changes) == {"stamps"}:
        new = turned(row, changes)
        ledger.steps.append(new)
        return new
    if row is None:
        new = made(
            Step,
            id=new_id(Prefix.STEP, ledger.tx.now),
            org_id=job.org_id,
            job_id=job.id,
            run_id=job.run_id,
            number=told.number,
            **({"name": f"step {told.number}", "status": StepStatus.PENDING, "stamps": {}} | changes),
        )
    else:
        new = turned(row, changes)
    new = turned(new, _end_with(job, new) if over else {})
    new = turned(new, {"duration_ms": _duration(new)})
    ledger.step(run, new)
    return new


def _merged(row: Job | Step | None, columns: dict[str, Any], at: int) -> dict[str, Any]:
    if row is None:
        return merging.merge({}, {}, columns, at)
    return merging.merge({name: getattr(row, name) for name in columns}, row.stamps, columns, at)


_ENDS: dict[JobStatus, StepStatus] = {
    JobStatus.SUCCESS: StepStatus.SUCCESS,
    JobStatus.CANCELLED: StepStatus.CANCELLED,
    JobStatus.SKIPPED: StepStatus.SKIPPED,
}


def _end_of(job: Job) -> StepStatus:
    return _ENDS.get(job.status, StepStatus.FAILED)


def _close_steps(ledger: Ledger, run: Run, job: Job, steps: Iterable[Step]) -> None:
    """Steps of a job that has ended have ended too, and a crashed runner never says so."""
    if not merging.is_final(job.status):
        return
    for step in sorted(steps, key=lambda each: each.number):
        end = _end_with(job, step)
        if any(getattr(step, name) != value for name, value in end.items()):
            new = turned(step, end)
            ledger.step(run, turned(new, {"duration_ms": _duration(new)}))


def _end_with(job: Job, step: Step) -> dict[str, Any]:
    """How a step of a job that has ended has ended itself, which is the job's word unless the step has its own.

    What we conclude leaves no stamp: should the step's own end arrive late, it counts. For the same reason a
    conclusion is drawn anew when the job turns out to have ended otherwise.
    """
    own = "status" in step.stamps and merging.is_final(step.status)
    ended = step.completed_at if "completed_at" in step.stamps else None
    if own:
        return {"completed_at": ended}
    return {
        "status": _end_of(job),
        "completed_at": ended or job.completed_at,
        "stamps": {name: at for name, at in step.stamps.items() if name != "status"},
    }
