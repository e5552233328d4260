"""Frames that tell something else than the state of a run: events, contexts, figures, refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kici_gql.relay.messages import values
from kici_gql.relay.messages.telemetry import Job, Run, status_of
from kici_gql.relay.messages.values import Body
from kici_gql.tables import JobStatus

MAX_METRICS = 2000
MAX_METRIC_NAMES = 200
MAX_ENV_NAMES = 200


@dataclass(frozen=True, slots=True)
class Heartbeat:
    sent_at: datetime | None


def read_heartbeat(body: Body) -> Heartbeat:
    return Heartbeat(values.moment(body.get("timestamp")))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook was processed. Its `runId` is random and belongs to no run, so it is not even read."""

    event: str | None
    matched_workflows: int


def read_execution_event(body: Body) -> Delivery | Run | None:
    """`started` is a record of a delivery; `job_completed` is the end of a job; others say nothing new."""
    data = values.mapping(body.get("data"))
    if body.get("event") == "started":
        return Delivery(
            values.ident(data.get("webhookEvent")), values.number(data.get("matchedWorkflows")) or 0
        )
    run_id, job_id = values.ident(body.get("runId")), values.name(data.get("jobId"))
    if body.get("event") != "job_completed" or run_id is None or job_id is None:
        return None
    job = Job(
        job_id=job_id,
        status=status_of(JobStatus, data.get("state")),
        duration_ms=values.number(data.get("durationMs")),
    )
    return Run(run_id=run_id, at=values.moment(body.get("timestamp")), jobs=[job])


@dataclass(frozen=True, slots=True)
class JobContext:
    """Where a job runs. The frame carries the agent's live token and its whole environment: only names are kept."""

    run_id: str
    job_id: str
    sandbox: str | None
    working_directory: str | None
    env_names: tuple[str, ...]


def read_job_context(body: Body) -> JobContext | None:
    run_id, job_id = values.ident(body.get("runId")), values.name(body.get("jobId"))
    if run_id is None or job_id is None:
        return None
    context = values.mapping(body.get("context"))
    names = (values.ident(each.get("name")) for each in values.items(context.get("envVars"), MAX_ENV_NAMES))
    return JobContext(
        run_id,
        job_id,
        values.ident(context.get("sandboxType")),
        values.name(context.get("workingDirectory")),
        tuple(each for each in names if each),
    )


@dataclass(frozen=True, slots=True)
class RunEvent:
    run_id: str
    event_type: str
    job_id: str | None


def read_run_event(body: Body) -> RunEvent | None:
    run_id, event_type = values.ident(body.get("runId")), values.ident(body.get("eventType"))
    if run_id is None or event_type is None:
        return None
    return RunEvent(run_id, event_type, values.name(body.get("jobId")))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Sums over all labels of the counters and gauges of one `orch.metrics` frame."""

    at: datetime | None
    figures: Mapping[str, float]


def read_metrics(body: Body) -> Metrics:
    figures: dict[str, float] = {}
    for each in values.items(body.get("metrics"), MAX_METRICS):
        name, value = values.ident(each.get("name")), values.number(each.get("value"))
        if name is not None and value is not None and (name in figures or len(figures) < MAX_METRIC_NAMES):
            figures[name] = figures.get(name, 0) + value
    return Metrics(values.moment(body.get("timestamp")), figures)


@dataclass(frozen=True, slots=True)
class RegistrationToggled:
    """Comes just before the result of a toggle, also of one that changed nothing, and when somebody else did it."""

    registration_id: str


def read_registration_toggled(body: Body) -> RegistrationToggled | None:
    registration_id = values.ident(body.get("registrationId"))
    return RegistrationToggled(registration_id) if registration_id is not None else None


@dataclass(frozen=True, slots=True)
class Nack:
    """0.9 did not know a type of ours. Never answered: two nacks would be a loop."""

    received_type: str | None
    reference: str | None


def read_nack(body: Body) -> Nack:
    reference = body.get("requestId") or body.get("messageId")
    return Nack(values.ident(body.get("receivedType")), values.ident(reference))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request. Its body is judged by whoever asked."""

    type: str
    request_id: str
    body: Body = field(repr=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """A frame that is right and says nothing we keep."""

    type: str
