"""What an orchestrator tells of runs, jobs, steps and logs, in the shapes that `rules.run_reports` asks for.

A frame about a job or a step becomes a report of its run with that job or step alone. `at` is the frame's own time:
among reports of one thing the later one counts. A replayed run has no time of its own and gets `REPLAYED_AT`, which
is older than any other, so that it can fill gaps and overwrite nothing.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from kici_gql.relay.messages import values
from kici_gql.relay.messages.redaction import redact
from kici_gql.relay.messages.values import Body, Field, Fields
from kici_gql.rules import merging, run_reports
from kici_gql.tables import JobStatus, RunStatus, StepStatus

REPLAYED_AT = datetime(1970, 1, 1, tzinfo=UTC)
MAX_REPLAYED_RUNS = 10_000
MAX_JOBS = run_reports.MAX_JOBS
MAX_DETAILED_STEPS = 5000
MAX_LINES = 5000
MAX_WHOLE_LOG = 100_000

S = TypeVar("S", bound=StrEnum)


@dataclass(slots=True, kw_only=True)
class Step:
    number: int
    name: str | None = None
    status: StepStatus | None = None
    error_message: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None


@dataclass(slots=True, kw_only=True)
class Job:
    job_id: str
    name: str | None = None
    status: JobStatus | None = None
    agent_id: str | None = None
    runs_on: list[str] | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    steps: list[Step] = field(default_factory=list)
    extra: Body = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Run:
    run_id: str
    at: datetime | None = None
    workflow_name: str | None = None
    registration_id: str | None = None
    status: RunStatus | None = None
    repository: str | None = None
    branch: str | None = None
    commit_sha: str | None = None
    commit_message: str | None = None
    trigger_type: str | None = None
    triggered_by: str | None = None
    cancelled_by: str | None = None
    failure_reason: str | None = None
    parent_run_id: str | None = None
    original_run_id: str | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    job_count: int | None = None
    jobs: list[Job] = field(default_factory=list)
    extra: Body = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Lines:
    """Consecutive log lines. The wire has no line numbers, so whoever stores them counts."""

    run_id: str
    job_id: str
    step: int
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Replay:
    runs: tuple[Run, ...]


_SPELLINGS = {"unroutable": "FAILED", "canceled": "CANCELLED"}
"""Words for what we know under another one. 0.9 ends a job that no agent matches as `unroutable`."""


def status_of(kind: type[S], value: object) -> S | None:
    """Our word for a status; None for one we don't know, which changes nothing."""
    if not isinstance(value, str):
        return None
    word = _SPELLINGS.get(value, value.upper())
    return kind(word) if word in kind.__members__ else None


def _trigger(value: object) -> str | None:
    word = values.ident(value)
    return {"manual_schedule": "manual"}.get(word, word) if word is not None else None


def _actor(value: object) -> str | None:
    """Who triggered it. A service account is one of our own tokens, asked for by name."""
    shown = values.name(value)
    return shown.removeprefix("service_account:") if shown is not None else None


RUN_FIELDS: Fields = {
    "workflowName": Field("workflow_name", values.ident),
    "status": Field("status", lambda value: status_of(RunStatus, value)),
    "repoIdentifier": Field("repository", values.name),
    "ref": Field("branch", values.ident),
    "sha": Field("commit_sha", values.ident),
    "commitMessage": Field("commit_message", values.message),
    "triggerEvent": Field("trigger_type", _trigger),
    "triggeredBy": Field("triggered_by", _actor),
    "failureReason": Field("failure_reason", values.message),
    "parentRunId": Field("parent_run_id", values.ident),
    "originalRunId": Field("original_run_id", values.ident),
    "startedAt": Field("queued_at", values.moment),
    "completedAt": Field("completed_at", values.moment),
    "durationMs": Field("duration_ms", values.number),
    "jobCount": Field("job_count", values.number),
}
PUSHED_BY = "triggerActorUsername"
"""Who pushed the commit, in whose name nobody asked for the run."""
JOB_FIELDS: Fields = {
    "jobName": Field("name", values.name),
    "status": Field("status", lambda value: status_of(JobStatus, value)),
    "agentId": Field("agent_id", values.name),
    "runsOnLabels": Field("runs_on", lambda value: _listed(values.labels(value))),
    "errorMessage": Field("error_message", values.message),
    "startedAt": Field("started_at", values.moment),
    "completedAt": Field("completed_at", values.moment),
    "durationMs": Field("duration_ms", values.number),
}
STEP_FIELDS: Fields = {
    "stepName": Field("name", values.name),
    "state": Field("status", lambda value: status_of(StepStatus, value)),
}
_NOT_STARTED = {None, RunStatus.PENDING, RunStatus.HELD}


def _listed(labels: tuple[str, ...] | None) -> list[str] | None:
    return None if labels is None else list(labels)


def _run(body: Body, run_id: str, at: datetime | None) -> Run:
    told: dict[str, Any] = values.take(body, RUN_FIELDS)
    told["triggered_by"] = told["triggered_by"] or values.name(body.get(PUSHED_BY))
    # The wire's startedAt is when the run was created: a pending run has one too.
    started_at = None if told["status"] in _NOT_STARTED else told["queued_at"]
    if told["status"] is not None and not merging.is_final(told["status"]):
        # A replay goes on telling when the build of a run ended while its jobs run.
        told |= dict.fromkeys(("completed_at", "duration_ms", "failure_reason"))
    extra = values.rest(body, RUN_FIELDS, "runId", "jobs", "timestamp", PUSHED_BY)
    return Run(run_id=run_id, at=at, started_at=started_at, extra=extra, **told)


def _job_name(body: Body, job_id: str) -> str | None:
    """An orchestrator that does not know a job's name puts the id in its place; the name may have been told before."""
    name = values.name(body.get("jobName"))
    return None if name == job_id else name


def _job(body: Body, job_id: str) -> Job:
    told: dict[str, Any] = values.take(body, JOB_FIELDS)
    told["name"] = _job_name(body, job_id)
    extra = values.rest(body, JOB_FIELDS, "runId", "jobId", "timestamp")
    return Job(job_id=job_id, extra=extra, **told)


def read_execution_status(body: Body) -> Run | None:
    run_id = values.ident(body.get("runId"))
    return _run(body, run_id, values.moment(body.get("timestamp"))) if run_id is not None else None


def read_job_status(body: Body) -> Run | None:
    run_id, job_id = values.ident(body.get("runId")), values.name(body.get("jobId"))
    if run_id is None or job_id is None:
        return None
    return Run(run_id=run_id, at=values.moment(body.get("timestamp")), jobs=[_job(body, job_id)])


def read_step_status(body: Body) -> Run | None:
    run_id, job_id = values.ident(body.get("runId")), values.name(body.get("jobId"))
    number = values.index(body.get("stepIndex"))
    if run_id is None or job_id is None or number is None:
        return None
    at = values.moment(body.get("timestamp"))
    told: dict[str, Any] = values.take(body, STEP_FIELDS)
    data = values.mapping(body.get("data"))
    error = values.mapping(data.get("error"))
    step = Step(
        number=number,
        error_message=values.message(error.get("message")),
        exit_code=values.number(error.get("exitCode")),
        duration_ms=values.number(data.get("durationMs")),
        **told,
    )
    if step.status is StepStatus.RUNNING:
        step.started_at = at
    elif step.status not in {None, StepStatus.PENDING}:
        step.completed_at = at
    job = Job(job_id=job_id, name=_job_name(body, job_id), steps=[step])
    return Run(run_id=run_id, at=at, jobs=[job])


_PLACEHOLDER = "needs-pending-"


def _listed_jobs(body: Body, *, over: bool = False) -> dict[str, tuple[Job, Body]]:
    """The jobs of a list, by id, each with what it was read from.

    Without those that wait for others, unless the run is `over`: their ids are placeholders, and a job that starts gets
    another one. A placeholder that ends is a job that never started.
    """
    jobs = {}
    for each in values.items(body.get("jobs"), MAX_JOBS):
        job_id = values.name(each.get("jobId"))
        if job_id is None:
            continue
        job = _job(each, job_id)
        ended = over or (job.status is not None and merging.is_final(job.status))
        if ended or not job_id.startswith(_PLACEHOLDER):
            jobs[job_id] = job, each
    return jobs


def read_detail(run_id: str, body: Body) -> Run:
    """The answer to `dashboard.run.detail`: jobs with steps, as old as a replay."""
    jobs, room = [], MAX_DETAILED_STEPS
    for job, each in _listed_jobs(body).values():
        job.steps.extend(_detailed_steps(each)[:room])
        room -= len(job.steps)
        jobs.append(job)
    return Run(run_id=run_id, at=REPLAYED_AT, jobs=jobs)


def _detailed_steps(job: Body) -> list[Step]:
    """Without their errors, which 0.1 tells as `[object Object]`, and exit codes, which it never tells."""
    steps = {}
    for each in values.items(job.get("steps"), run_reports.MAX_STEPS):
        number = values.index(each.get("stepIndex"))
        if number is not None:
            steps[number] = Step(
                number=number,
                name=values.name(each.get("stepName")),
                status=status_of(StepStatus, each.get("status")),
                started_at=values.moment(each.get("startedAt")),
                completed_at=values.moment(each.get("completedAt")),
                duration_ms=values.number(each.get("durationMs")),
            )
    return list(steps.values())


def read_whole_log(run_id: str, job_id: str, step: int, body: Body) -> Lines:
    """The answer to `dashboard.step.logs`: each line is a JSON object of its own."""
    found = body.get("lines")
    kept = found[:MAX_WHOLE_LOG] if isinstance(found, list) else ()
    lines = [_line(_message(each)) for each in kept]
    return Lines(run_id=run_id, job_id=job_id, step=step, lines=lines)


def _message(line: object) -> str:
    try:
        told = orjson.loads(line) if isinstance(line, str) else line
    except orjson.JSONDecodeError:
        return str(line)
    message = told.get("msg") if isinstance(told, dict) else None
    return message if isinstance(message, str) else str(line)


def read_log_chunk(body: Body) -> Lines | None:
    run_id, job_id = values.ident(body.get("runId")), values.name(body.get("jobId"))
    step, lines = values.index(body.get("stepIndex")), body.get("lines")
    if run_id is None or job_id is None or step is None or not isinstance(lines, list):
        return None
    kept = [_line(each) for each in lines[:MAX_LINES] if isinstance(each, str)]
    return Lines(run_id=run_id, job_id=job_id, step=step, lines=kept)


def _line(line: str) -> str:
    """A line as it was printed, colours included, without tokens. PostgreSQL stores no NUL."""
    return redact(line[: run_reports.MAX_LINE]).replace("\x00", "\ufffd")


def read_replay(body: Body) -> Replay | None:
    """All runs of one frame. 620 were seen where the schema allows 500; 0.9 cuts them into several frames."""
    if not isinstance(body.get("runs"), list):
        return None
    found = (_replayed(each) for each in values.items(body["runs"], MAX_REPLAYED_RUNS))
    return Replay(tuple(each for each in found if each is not None))


def _replayed(body: Body) -> Run | None:
    run_id = values.ident(body.get("runId"))
    if run_id is None:
        return None
    run = _run(body, run_id, REPLAYED_AT)
    over = run.status is not None and merging.is_final(run.status)
    run.jobs.extend(job for job, _ in _listed_jobs(body, over=over).values())
    return run
