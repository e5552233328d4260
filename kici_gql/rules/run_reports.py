"""What orchestrators tell of workflows, runs and logs: shapes and bounds, as `rules.reports` for the fleet."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from kici_gql.errors import InvalidInput, LimitExceeded
from kici_gql.rules import schedules
from kici_gql.rules.reports import (
    MAX_CLOCK_SKEW,
    MAX_TEXT,
    check_count,
    check_json,
    check_number,
    check_text,
    check_texts,
    check_unique,
)
from kici_gql.rules.secrets import looks_secret
from kici_gql.rules.workflows import InputType, check_value
from kici_gql.tables import JobStatus, RunStatus, StepStatus

MAX_WORKFLOWS = 5000
MAX_TRIGGERS = 100
MAX_TRIGGER_BYTES = 32_768
MAX_INPUTS = 50
MAX_RUNS = 500
MAX_JOBS = 1000
MAX_STEPS = 1000
MAX_MESSAGE = 2000
MAX_LOG_PARTS = 100
MAX_LOG_LINES = 10_000
MAX_LINE = 65_536
MAX_LINE_NUMBER = 2**31 - 1


class Trigger(Protocol):
    type: str

    @property
    def config(self) -> Mapping[str, Any]: ...


class WorkflowInput(Protocol):
    name: str
    type: InputType
    required: bool
    default: str | None
    options: list[str]
    description: str | None


class Workflow(Protocol):
    registration_id: str
    name: str
    repository: str
    source_repos: list[str]
    source_file: str | None
    commit_sha: str | None
    enabled: bool
    registered_at: datetime | None
    last_triggered_at: datetime | None
    next_fire_at: datetime | None

    @property
    def triggers(self) -> Sequence[Trigger]: ...
    @property
    def inputs(self) -> Sequence[WorkflowInput]: ...


class Workflows(Protocol):
    connection_id: str
    full: bool
    registry_version: str | None
    registry_error: str | None
    removed: list[str]

    @property
    def workflows(self) -> Sequence[Workflow]: ...


class Step(Protocol):
    number: int
    name: str | None
    status: StepStatus | None
    error_message: str | None
    exit_code: int | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None


class Job(Protocol):
    job_id: str
    name: str | None
    status: JobStatus | None
    agent_id: str | None
    runs_on: list[str] | None
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None

    @property
    def steps(self) -> Sequence[Step]: ...


class Run(Protocol):
    run_id: str
    at: datetime | None
    workflow_name: str | None
    registration_id: str | None
    status: RunStatus | None
    repository: str | None
    branch: str | None
    commit_sha: str | None
    commit_message: str | None
    trigger_type: str | None
    triggered_by: str | None
    cancelled_by: str | None
    failure_reason: str | None
    parent_run_id: str | None
    original_run_id: str | None
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    job_count: int | None

    @property
    def jobs(self) -> Sequence[Job]: ...


class LogPart(Protocol):
    run_id: str
    job_id: str
    step: int
    first_line: int
    lines: list[str]


RUN_TEXTS = {
    "workflow_name": "workflowName",
    "registration_id": "registrationId",
    "repository": "repository",
    "branch": "branch",
    "commit_sha": "commitSha",
    "trigger_type": "triggerType",
    "triggered_by": "triggeredBy",
    "cancelled_by": "cancelledBy",
    "parent_run_id": "parentRunId",
    "original_run_id": "originalRunId",
}


def as_config(value: Any) -> Mapping[str, Any]:
    """A trigger's configuration. Raises InvalidInput when it is not an object."""
    if not isinstance(value, dict):
        raise InvalidInput("a trigger's config is not an object", hint="Send a JSON object.", path=["config"])
    return value


def check_workflows(report: Workflows, now: datetime) -> None:
    """Raises InvalidInput or LimitExceeded when a workflow, a trigger or a declared input is malformed."""
    check_count(report.workflows, "workflows", MAX_WORKFLOWS)
    check_count(report.removed, "removed", MAX_WORKFLOWS)
    check_unique((each.registration_id for each in report.workflows), ["workflows"], "registrationId")
    for name, value in (
        ("registryVersion", report.registry_version),
        ("registryError", report.registry_error),
    ):
        if value is not None:
            check_text(value, [name], MAX_MESSAGE)
    for index, each in enumerate(report.workflows):
        _check_workflow(each, now, ["workflows", index])


def _check_workflow(workflow: Workflow, now: datetime, path: Sequence[str | int]) -> None:
    check_text(workflow.registration_id, [*path, "registrationId"])
    check_text(workflow.name, [*path, "name"])
    check_text(workflow.repository, [*path, "repository"])
    check_texts(workflow.source_repos, [*path, "sourceRepos"], MAX_TRIGGERS)
    for name, value in (("sourceFile", workflow.source_file), ("commitSha", workflow.commit_sha)):
        if value is not None:
            check_text(value, [*path, name], 1024)
    if len(workflow.triggers) > MAX_TRIGGERS:
        raise LimitExceeded(
            "too many triggers", hint=f"Send at most {MAX_TRIGGERS}.", path=[*path, "triggers"]
        )
    for index, trigger in enumerate(workflow.triggers):
        _check_trigger(trigger, [*path, "triggers", index])
    if len(workflow.inputs) > MAX_INPUTS:
        raise LimitExceeded("too many inputs", hint=f"Send at most {MAX_INPUTS}.", path=[*path, "inputs"])
    _check_once([declared.name for declared in workflow.inputs], "name", [*path, "inputs"])
    for index, declared in enumerate(workflow.inputs):
        _check_declared(declared, [*path, "inputs", index])
    _not_ahead(workflow.registered_at, now, [*path, "registeredAt"])
    _not_ahead(workflow.last_triggered_at, now, [*path, "lastTriggeredAt"])


def _check_declared(declared: WorkflowInput, path: Sequence[str | int]) -> None:
    check_text(declared.name, [*path, "name"])
    check_texts(declared.options, [*path, "options"], MAX_TRIGGERS)
    if declared.description is not None:
        check_text(declared.description, [*path, "description"], MAX_MESSAGE, empty=True)
    if declared.default is not None:
        check_value(declared.name, declared.type, declared.options, declared.default, [*path, "default"])


def _check_trigger(trigger: Trigger, path: Sequence[str | int]) -> None:
    check_text(trigger.type, [*path, "type"])
    if len(str(trigger.config)) > MAX_TRIGGER_BYTES:
        raise LimitExceeded(
            "a trigger's config is too large",
            hint=f"At most {MAX_TRIGGER_BYTES} characters.",
            path=[*path, "config"],
        )
    check_json(trigger.config, [*path, "config"])
    if looks_secret(str(trigger.config)):
        raise InvalidInput(
            "something looks like the value of a secret",
            hint="Send names, never values.",
            path=[*path, "config"],
        )
    configured = {**trigger.config, "type": trigger.type}
    cron = schedules.cron_of(configured)
    if cron is not None:
        try:
            schedules.next_fire(cron, schedules.zone_of(configured), datetime.now().astimezone())
        except schedules.BadSchedule as error:
            raise InvalidInput(
                str(error), hint="Send minute, hour, day, month and weekday.", path=[*path, "config", "cron"]
            ) from None


def check_runs(runs: Sequence[Run]) -> None:
    """Raises InvalidInput or LimitExceeded when a run, a job or a step is malformed or named twice."""
    check_count(runs, "runs", MAX_RUNS)
    check_unique((run.run_id for run in runs), ["runs"], "runId")
    for index, run in enumerate(runs):
        _check_run(run, ["runs", index])


def check_clock(runs: Sequence[Run], now: datetime) -> None:
    """Raises InvalidInput for a time to come: it would outweigh all that is told of the run from now on, or count for ever."""
    for index, run in enumerate(runs):
        path: list[str | int] = ["runs", index]
        _not_ahead(run.at, now, [*path, "at"])
        _not_ahead(run.queued_at, now, [*path, "queuedAt"])
        _spans_not_ahead(run, now, path)
        for at, job in enumerate(run.jobs):
            _spans_not_ahead(job, now, [*path, "jobs", at])
            for number, step in enumerate(job.steps):
                _spans_not_ahead(step, now, [*path, "jobs", at, "steps", number])


def _spans_not_ahead(row: Run | Job | Step, now: datetime, path: Sequence[str | int]) -> None:
    _not_ahead(row.started_at, now, [*path, "startedAt"])
    _not_ahead(row.completed_at, now, [*path, "completedAt"])


def _not_ahead(moment: datetime | None, now: datetime, path: Sequence[str | int]) -> None:
    if moment is not None and moment - now > MAX_CLOCK_SKEW:
        raise InvalidInput(
            f"{path[-1]} is more than a day ahead of the server's time {now.isoformat(timespec='seconds')}",
            hint="Set the clock of the orchestrator's host.",
            path=path,
        )


def _check_run(run: Run, path: Sequence[str | int]) -> None:
    check_text(run.run_id, [*path, "runId"], 128)
    for attribute, name in RUN_TEXTS.items():
        value = getattr(run, attribute)
        if value is not None:
            check_text(value, [*path, name])
    for name, value in (("commitMessage", run.commit_message), ("failureReason", run.failure_reason)):
        if value is not None:
            check_text(value, [*path, name], MAX_MESSAGE, empty=True)
    _check_times(run, path)
    if run.job_count is not None:
        check_number(run.job_count, [*path, "jobCount"])
    if len(run.jobs) > MAX_JOBS:
        raise LimitExceeded("too many jobs", hint=f"Send at most {MAX_JOBS} a run.", path=[*path, "jobs"])
    _check_once([job.job_id for job in run.jobs], "jobId", [*path, "jobs"])
    for index, job in enumerate(run.jobs):
        _check_job(job, [*path, "jobs", index])


def _check_job(job: Job, path: Sequence[str | int]) -> None:
    check_text(job.job_id, [*path, "jobId"])
    for name, value in (("name", job.name), ("agentId", job.agent_id)):
        if value is not None:
            check_text(value, [*path, name])
    if job.error_message is not None:
        check_text(job.error_message, [*path, "errorMessage"], MAX_MESSAGE, empty=True)
    if job.runs_on is not None:
        check_texts(job.runs_on, [*path, "runsOn"], MAX_TRIGGERS)
    _check_times(job, path)
    if len(job.steps) > MAX_STEPS:
        raise LimitExceeded("too many steps", hint=f"Send at most {MAX_STEPS} a job.", path=[*path, "steps"])
    _check_once([step.number for step in job.steps], "number", [*path, "steps"])
    for index, step in enumerate(job.steps):
        _check_step(step, [*path, "steps", index])


def _check_once(values: Sequence[str | int], field: str, path: Sequence[str | int]) -> None:
    if len(set(values)) != len(values):
        raise InvalidInput(f"a {field} occurs twice", hint="Send each one once.", path=path)


def _check_step(step: Step, path: Sequence[str | int]) -> None:
    check_number(step.number, [*path, "number"], least=-1)
    if step.name is not None:
        check_text(step.name, [*path, "name"], MAX_TEXT)
    if step.error_message is not None:
        check_text(step.error_message, [*path, "errorMessage"], MAX_MESSAGE, empty=True)
    _check_times(step, path)


def _check_times(row: Run | Job | Step, path: Sequence[str | int]) -> None:
    if row.duration_ms is not None:
        check_number(row.duration_ms, [*path, "durationMs"])


def check_logs(parts: Sequence[LogPart]) -> None:
    """Raises InvalidInput or LimitExceeded when a part of a log is out of bounds."""
    check_count(parts, "parts", MAX_LOG_PARTS)
    if sum(len(part.lines) for part in parts) > MAX_LOG_LINES:
        raise LimitExceeded("too many lines", hint=f"Send at most {MAX_LOG_LINES} at once.", path=["parts"])
    for index, part in enumerate(parts):
        path: list[str | int] = ["parts", index]
        check_text(part.run_id, [*path, "runId"], 128)
        check_text(part.job_id, [*path, "jobId"])
        check_number(part.step, [*path, "step"], least=-1)
        check_number(part.first_line, [*path, "firstLine"])
        if part.first_line + len(part.lines) > MAX_LINE_NUMBER:
            raise InvalidInput(
                "the line numbers are too large", hint=f"At most {MAX_LINE_NUMBER}.", path=path
            )
        for number, line in enumerate(part.lines):
            if len(line) > MAX_LINE:
                raise LimitExceeded(
                    f"a line has {len(line)} characters",
                    hint=f"Break lines at {MAX_LINE} characters.",
                    path=[*path, "lines", number],
                )
