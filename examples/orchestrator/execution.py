"""One run: the state of its jobs and steps, and what the server is told of it. Pure: it is given the time.

Each method that changes something answers a RunReportInput that tells it. Statuses are the API's words.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.definitions import Job, Workflow
from orchestrator.reports import Input

FINAL: Final = frozenset({"SUCCESS", "FAILED", "CANCELLED", "SKIPPED"})
_ACTIVE: Final = frozenset({"RUNNING", "CANCELLING"})


@dataclass(frozen=True, slots=True)
class Order:
    """What makes a run. ``trigger_type`` and ``triggered_by`` are None when the server knows them already."""

    run_id: str
    inputs: dict[str, str]
    trigger_type: str | None = None
    triggered_by: str | None = None


@dataclass(slots=True)
class Part:
    """A run, job or step as far as all three are alike."""

    status: str = "PENDING"
    error: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    exit_code: int | None = None
    agent_id: str | None = None

    def begin(self, now: datetime) -> None:
        self.status, self.started_at = "RUNNING", now

    def end(self, status: str, now: datetime, error: str | None = None) -> None:
        self.status, self.completed_at, self.error = status, now, error or None

    def times(self) -> Input:
        values: Input = {"status": self.status}
        if self.started_at is not None:
            values["startedAt"] = self.started_at.isoformat()
        if self.completed_at is not None:
            values["completedAt"] = self.completed_at.isoformat()
            if self.started_at is not None:
                taken = self.completed_at - self.started_at
                values["durationMs"] = max(0, round(taken.total_seconds() * 1000))
        return values


@dataclass(slots=True)
class JobState(Part):
    steps: list[Part] = field(default_factory=list)


class Execution:
    """A run of a workflow."""

    def __init__(self, workflow: Workflow, order: Order, queued_at: datetime) -> None:
        self.workflow = workflow
        self.order = order
        self.queued_at = queued_at
        self.run = Part()
        self.cancelled_by: str | None = None
        self.definitions: dict[str, Job] = {job.id: job for job in workflow.jobs}
        self.jobs = {job.id: JobState(steps=[Part() for _ in job.steps]) for job in workflow.jobs}
        self._release()

    @property
    def ended(self) -> bool:
        return self.run.status in FINAL

    def queued(self) -> list[str]:
        """The jobs that wait for an agent."""
        return self._having("QUEUED")

    def active(self) -> list[str]:
        """The jobs that an agent is busy with."""
        return [job_id for job_id, job in self.jobs.items() if job.status in _ACTIVE]

    def report(self, now: datetime) -> Input:
        """Everything about the run."""
        return self._report(now, {job_id: range(len(job.steps)) for job_id, job in self.jobs.items()})

    def start_job(self, job_id: str, agent_id: str, now: datetime) -> Input:
        """An agent was given the job."""
        job = self.jobs[job_id]
        job.begin(now)
        job.agent_id = agent_id
        if self.run.status == "PENDING":
            self.run.begin(now)
        return self._report(now, {job_id: ()})

    def start_step(self, job_id: str, step: int, now: datetime) -> Input:
        self.jobs[job_id].steps[step].begin(now)
        return self._report(now, {job_id: (step,)})

    def end_step(
        self, job_id: str, step: int, status: str, exit_code: int, error: str, now: datetime
    ) -> Input:
        part = self.jobs[job_id].steps[step]
        part.end(status, now, error)
        part.exit_code = exit_code
        return self._report(now, {job_id: (step,)})

    def end_job(self, job_id: str, status: str, error: str, now: datetime) -> Input:
        """The job has ended; so have its steps, and the run perhaps, and jobs that needed it may begin or never will."""
        job = self.jobs[job_id]
        if job.status in FINAL:
            return self._report(now, {})
        self._close(job, status, error, now)
        before = {key: each.status for key, each in self.jobs.items()}
        if status != "SUCCESS":
            self._skip(now)
        self._release()
        self._settle(now)
        changed = {job_id, *(key for key, each in self.jobs.items() if before[key] != each.status)}
        return self._report(now, {key: range(len(self.jobs[key].steps)) for key in changed})

    def cancel(self, by: str | None, now: datetime) -> Input:
        """Give up the jobs that have not begun; the others have to be ended."""
        self.cancelled_by = self.cancelled_by or by
        for job in self.jobs.values():
            if job.status in {"PENDING", "QUEUED"}:
                self._close(job, "CANCELLED", "the run was cancelled", now)
            elif job.status == "RUNNING":
                job.status = "CANCELLING"
        if self.active() and self.run.status in {"PENDING", "RUNNING"}:
            self.run.status = "CANCELLING"
        self._settle(now)
        return self.report(now)

    def record(self) -> dict[str, Any]:
        """What the book keeps of it, for ``recall`` and ``epitaph``."""
        return {
            "order": asdict(self.order),
            "workflow": self.workflow.name,
            "repository": self.workflow.repository,
            "queuedAt": self.queued_at.isoformat(),
            "startedAt": self.run.started_at.isoformat() if self.run.started_at else None,
            "jobs": {
                key: {"status": each.status, "name": self.definitions[key].name}
                for key, each in self.jobs.items()
            },
        }

    def _having(self, status: str) -> list[str]:
        return [job_id for job_id, job in self.jobs.items() if job.status == status]

    def _release(self) -> None:
        """Queue the jobs whose needs are met."""
        if self.run.status == "CANCELLING":
            return
        done = set(self._having("SUCCESS"))
        for job_id in self._having("PENDING"):
            if done.issuperset(self.definitions[job_id].needs):
                self.jobs[job_id].status = "QUEUED"

    def _skip(self, now: datetime) -> None:
        """Jobs that need one that did not succeed are skipped, and those that need these."""
        bad = {key for key, each in self.jobs.items() if each.status in FINAL - {"SUCCESS"}}
        while more := [
            key for key in self._having("PENDING") if bad.intersection(self.definitions[key].needs)
        ]:
            for key in more:
                need = next(each for each in self.definitions[key].needs if each in bad)
                self._close(self.jobs[key], "SKIPPED", f"it needs job {need}, which did not succeed", now)
            bad.update(more)

    def _close(self, job: JobState, status: str, error: str, now: datetime) -> None:
        for step in job.steps:
            if step.status == "RUNNING":
                step.end("CANCELLED" if status == "CANCELLED" else "FAILED", now, error)
            elif step.status == "PENDING":
                step.end("SKIPPED", now)
        job.end(status, now, error)

    def _settle(self, now: datetime) -> None:
        if self.ended or any(job.status not in FINAL for job in self.jobs.values()):
            return
        found = {job.status for job in self.jobs.values()}
        status = "FAILED" if "FAILED" in found else "CANCELLED" if "CANCELLED" in found else "SUCCESS"
        self.run.end(status, now, self._reason() if status == "FAILED" else None)

    def _reason(self) -> str:
        return next(f"job {key}: {each.error}" for key, each in self.jobs.items() if each.status == "FAILED")

    def _report(self, now: datetime, parts: dict[str, Any]) -> Input:
        values = {
            **_about(self.order, self.workflow.name, self.workflow.repository, self.queued_at, now),
            **self.run.times(),
            "jobs": [self._job(job_id, steps) for job_id, steps in parts.items()],
        }
        if self.run.error is not None:
            values["failureReason"] = self.run.error
        if self.cancelled_by is not None:
            values["cancelledBy"] = self.cancelled_by
        return values

    def _job(self, job_id: str, steps: Any) -> Input:
        job, definition = self.jobs[job_id], self.definitions[job_id]
        values = {
            "jobId": job_id,
            "name": definition.name,
            "runsOn": list(definition.runs_on),
            **job.times(),
            "steps": [
                {
                    "number": number,
                    "name": definition.steps[number].name,
                    **job.steps[number].times(),
                    **_known(errorMessage=job.steps[number].error, exitCode=job.steps[number].exit_code),
                }
                for number in steps
            ],
        }
        return values | _known(agentId=job.agent_id, errorMessage=job.error)


def recall(record: dict[str, Any], workflow: Workflow | None) -> Execution | None:
    """A run of an earlier life that had not begun yet, to be gone on with; None when it had, or can't be any more."""
    waiting = all(job["status"] in {"PENDING", "QUEUED"} for job in record["jobs"].values())
    if workflow is None or not waiting or {job.id for job in workflow.jobs} != set(record["jobs"]):
        return None
    return Execution(workflow, Order(**record["order"]), datetime.fromisoformat(record["queuedAt"]))


def epitaph(record: dict[str, Any], reason: str, now: datetime) -> Input:
    """A RunReportInput that ends a run of an earlier life which nobody can go on with."""
    order = Order(**record["order"])
    jobs = [
        {
            "jobId": key,
            "name": job["name"],
            "status": "FAILED",
            "errorMessage": reason,
            "completedAt": now.isoformat(),
        }
        for key, job in record["jobs"].items()
        if job["status"] not in FINAL
    ]
    return {
        **_about(
            order, record["workflow"], record["repository"], datetime.fromisoformat(record["queuedAt"]), now
        ),
        **_known(startedAt=record["startedAt"]),
        "status": "FAILED",
        "failureReason": reason,
        "completedAt": now.isoformat(),
        "jobs": jobs,
    }


def moment(unix_time: float) -> datetime:
    """A time that an agent told."""
    return datetime.fromtimestamp(unix_time, UTC)


def _about(order: Order, workflow: str, repository: str, queued_at: datetime, now: datetime) -> Input:
    values: Input = {
        "runId": order.run_id,
        "at": now.isoformat(),
        "workflowName": workflow,
        "registrationId": workflow,
        "repository": repository,
        "queuedAt": queued_at.isoformat(),
    }
    return values | _known(triggerType=order.trigger_type, triggeredBy=order.triggered_by)


def _known(**values: object) -> Input:
    return {name: value for name, value in values.items() if value is not None}
