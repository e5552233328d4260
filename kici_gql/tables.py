"""The rows. Declarations only: every statement is in `store`, every rule in `rules`.

Ids are typed and sortable by time (`agt_…`), never reused, and are the public GraphQL ids too.
A row that can change carries `revision`, which grows with each change a user would notice.
"""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Enum,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel


class Prefix(StrEnum):
    """First part of an id: which kind of object it names."""

    ORG = "org"
    TOKEN = "tok"  # noqa: S105 - the kind of an id, not a password
    CLUSTER = "clu"
    ORCHESTRATOR = "orc"
    SCALER = "scl"
    AGENT = "agt"
    ALERT = "alr"
    AUDIT = "aud"
    WORKFLOW = "wfl"
    RUN = "run"
    JOB = "job"
    STEP = "stp"
    COMMAND = "cmd"
    SECRET_BACKEND = "sbe"  # noqa: S105 - the kind of an id, not a password


def new_id(prefix: Prefix, now: datetime) -> str:
    """A fresh id: kind, milliseconds since 1970 in hex, and 80 random bits."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"


class OrchestratorRole(StrEnum):
    COORDINATOR = "COORDINATOR"
    WORKER = "WORKER"


class ScalerType(StrEnum):
    CONTAINER = "CONTAINER"
    FIRECRACKER = "FIRECRACKER"
    BARE_METAL = "BARE_METAL"
    KUBERNETES = "KUBERNETES"


class Liveness(StrEnum):
    ONLINE = "ONLINE"
    LATE = "LATE"
    LOST = "LOST"
    OFFLINE = "OFFLINE"
    NEVER_SEEN = "NEVER_SEEN"


class AlertKind(StrEnum):
    ORCHESTRATOR_DISCONNECTED = "ORCHESTRATOR_DISCONNECTED"
    AGENT_LOST = "AGENT_LOST"
    CLUSTER_SILENT = "CLUSTER_SILENT"
    SCALER_AT_CAPACITY = "SCALER_AT_CAPACITY"
    VERSION_SKEW = "VERSION_SKEW"
    NAME_COLLISION = "NAME_COLLISION"
    BACKEND_UNHEALTHY = "BACKEND_UNHEALTHY"
    DEAD_LETTERS_GROWING = "DEAD_LETTERS_GROWING"
    REPORTED = "REPORTED"


class AlertSeverity(StrEnum):
    CRITICAL = "CRITICAL"
    WARNING = "WARNING"
    INFO = "INFO"


class AlertState(StrEnum):
    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


class TokenScope(StrEnum):
    VIEWER = "VIEWER"
    OPERATOR = "OPERATOR"
    ADMIN = "ADMIN"
    ORCHESTRATOR = "ORCHESTRATOR"


class RunStatus(StrEnum):
    """KiCI's words for a run."""

    PENDING = "PENDING"
    HELD = "HELD"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobStatus(StrEnum):
    """KiCI's words for a job."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RECOVERING = "RECOVERING"
    CANCELLING = "CANCELLING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    TIMED_OUT_STALE = "TIMED_OUT_STALE"
    DRIFT_DROPPED = "DRIFT_DROPPED"


class StepStatus(StrEnum):
    """KiCI's words for a step."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class CommandKind(StrEnum):
    RUN_NOW = "RUN_NOW"
    SET_ENABLED = "SET_ENABLED"
    DELETE = "DELETE"
    CANCEL = "CANCEL"
    RERUN = "RERUN"
    RENAME = "RENAME"
    BACKEND_SYNC = "BACKEND_SYNC"
    BACKEND_SYNC_ALL = "BACKEND_SYNC_ALL"
    BACKEND_TEST = "BACKEND_TEST"
    DEAD_LETTER_RETRY = "DEAD_LETTER_RETRY"
    DEAD_LETTER_DISCARD = "DEAD_LETTER_DISCARD"


class BackendHealth(StrEnum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNREACHABLE = "UNREACHABLE"
    UNKNOWN = "UNKNOWN"


class Surface(StrEnum):
    """Settings that a cluster's orchestrators alone hold."""

    SECURITY_POLICY = "SECURITY_POLICY"
    ENVIRONMENTS = "ENVIRONMENTS"
    SECRET_SCOPES = "SECRET_SCOPES"  # noqa: S105 - names of secrets, never a secret
    DEAD_LETTERS = "DEAD_LETTERS"
    GLOBAL_WORKFLOWS = "GLOBAL_WORKFLOWS"


class CommandState(StrEnum):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class AuditOutcome(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"


def _json() -> Any:
    return Field(sa_column=Column(JSON, nullable=False))


def _enum(values: type[StrEnum]) -> Any:
    """A text column, not a native enum: a new value must not need a migration that locks the table."""
    return Field(sa_type=cast(Any, Enum(values, native_enum=False, length=32)))


def _seq(**options: Any) -> Any:
    return Field(sa_type=BigInteger, **options)


class Org(SQLModel, table=True):
    """A tenant, and the head of its event log: events `first_seq` to `last_seq` of log `log_epoch` can be read."""

    id: str = Field(primary_key=True)
    slug: str = Field(unique=True)
    name: str
    created_at: datetime
    log_epoch: str
    first_seq: int = _seq(default=1)
    last_seq: int = _seq(default=0)


class Token(SQLModel, table=True):
    """A credential. Only the SHA-256 of its secret is kept; `prefix` is enough to recognise it by eye."""

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id", index=True)
    name: str
    prefix: str
    sha256: str = Field(unique=True)
    scope: TokenScope = _enum(TokenScope)
    cluster_name: str | None = None
    created_by: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Cluster(SQLModel, table=True):
    __table_args__ = (UniqueConstraint("org_id", "name"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    name: str
    auto_named: bool = False
    pending_name: str | None = None
    created_at: datetime
    revision: int = 1


class Orchestrator(SQLModel, table=True):
    """One orchestrator process; `due_at` is when its silence has to be judged next, None when it need not be."""

    __table_args__ = (
        UniqueConstraint("cluster_id", "instance_id"),
        Index("orchestrator_due", "due_at"),
        Index("orchestrator_org", "org_id", "id"),
        CheckConstraint("cpu_count > 0 AND memory_total_mb >= 0 AND memory_used_mb >= 0"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    cluster_key: str | None = None
    instance_id: str
    instance_named: bool
    connection_id: str = Field(unique=True)
    role: OrchestratorRole = _enum(OrchestratorRole)
    version: str
    mode: str
    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_used_mb: int
    memory_total_mb: int
    uptime_seconds: int
    routing_keys: list[str] = _json()
    capabilities: list[str] = _json()
    registry_version: str | None = None
    running_jobs: int = 0
    queued_jobs: int = 0
    liveness: Liveness = _enum(Liveness)
    liveness_reason: str
    liveness_since: datetime
    missed_beats: int = 0
    connected_at: datetime
    disconnected_at: datetime | None = None
    last_heartbeat_at: datetime
    clock_skew_ms: int | None = None
    due_at: datetime | None = None
    revision: int = 1


class FormerName(SQLModel, table=True):
    """A name that a cluster had, so that whoever still uses it can be told the new one."""

    __tablename__ = "former_name"

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    name: str = Field(primary_key=True)
    cluster_id: str = Field(foreign_key="cluster.id")
    renamed_at: datetime


class ReportedSurface(SQLModel, table=True):
    """One of a cluster's scoped surfaces, as its orchestrator last reported it. Names only, never a secret's value."""

    __tablename__ = "reported_surface"

    cluster_id: str = Field(primary_key=True, foreign_key="cluster.id")
    surface: Surface = Field(sa_type=cast(Any, Enum(Surface, native_enum=False, length=32)), primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    document: Any = _json()
    reported_at: datetime


class SecretBackend(SQLModel, table=True):
    """Where a cluster keeps its secrets, as its orchestrator last reported it."""

    __tablename__ = "secret_backend"
    __table_args__ = (UniqueConstraint("cluster_id", "name"), Index("secret_backend_org", "org_id", "id"))

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    name: str
    type: str
    connected: bool
    health: BackendHealth = _enum(BackendHealth)
    scopes: list[str] = _json()
    last_sync_at: datetime | None = None
    last_error: str | None = None
    reported_at: datetime
    revision: int = 1


class Scaler(SQLModel, table=True):
    __table_args__ = (
        UniqueConstraint("orchestrator_id", "name"),
        Index("scaler_org", "org_id", "id"),
        CheckConstraint("max_agents >= 0 AND active_agents >= 0"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id", index=True)
    orchestrator_id: str = Field(foreign_key="orchestrator.id")
    name: str
    type: ScalerType = _enum(ScalerType)
    active_agents: int = 0
    max_agents: int
    labels: list[str] = _json()
    config_summary: dict[str, str] = _json()
    hosts: list[str] = _json()
    revision: int = 1


class Agent(SQLModel, table=True):
    __table_args__ = (
        UniqueConstraint("cluster_id", "agent_id"),
        Index("agent_due", "due_at"),
        Index("agent_org", "org_id", "id"),
        CheckConstraint("cpu_count > 0 AND memory_total_mb >= 0 AND memory_used_mb >= 0"),
        CheckConstraint("active_jobs >= 0 AND max_concurrency > 0"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    orchestrator_id: str = Field(foreign_key="orchestrator.id", index=True)
    scaler_id: str | None = Field(default=None, foreign_key="scaler.id", index=True)
    agent_id: str
    version: str
    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_used_mb: int = 0
    memory_total_mb: int
    uptime_seconds: int = 0
    labels: list[str] = _json()
    active_jobs: int = 0
    max_concurrency: int
    paused: bool = False
    liveness: Liveness = _enum(Liveness)
    liveness_reason: str
    liveness_since: datetime
    missed_beats: int = 0
    first_seen_at: datetime
    last_heartbeat_at: datetime | None = None
    due_at: datetime | None = None
    revision: int = 1


class Registry(SQLModel, table=True):
    """Health of one cluster's workflow registry: what was reported, and what its orchestrator says there is."""

    cluster_id: str = Field(primary_key=True, foreign_key="cluster.id")
    org_id: str = Field(foreign_key="org.id", index=True)
    version: str | None = None
    announced_version: str | None = None
    announced_at: datetime | None = None
    updated_at: datetime | None = None
    error: str | None = None


class Workflow(SQLModel, table=True):
    """A registration. `triggers` holds each trigger's whole configuration, its kind under `type`."""

    __table_args__ = (
        UniqueConstraint("cluster_id", "external_id"),
        Index("workflow_org", "org_id", "id"),
        Index("workflow_name", "org_id", "name", "id"),
        Index("workflow_fire", "next_fire_at"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    external_id: str
    name: str
    repository: str
    trigger_types: list[str] = _json()
    triggers: list[dict[str, Any]] = _json()
    source_repos: list[str] = _json()
    source_file: str | None = None
    commit_sha: str | None = None
    inputs: list[dict[str, Any]] = _json()
    enabled: bool = True
    registered_at: datetime
    updated_at: datetime
    last_triggered_at: datetime | None = None
    next_fire_at: datetime | None = None
    next_fire_reported: bool = False
    revision: int = 1


class Run(SQLModel, table=True):
    """One execution. `stamps` says when the orchestrator last spoke of each column (see `rules.merging`).

    `status_by_server` marks a verdict of ours, which any report of the orchestrator overrules.
    """

    __table_args__ = (
        UniqueConstraint("cluster_id", "external_id"),
        Index("run_org", "org_id", "id"),
        Index("run_status", "org_id", "status", "id"),
        Index("run_workflow", "org_id", "workflow_name", "id"),
        Index("run_branch", "org_id", "branch", "id"),
        Index("run_repository", "org_id", "repository", "id"),
        Index("run_trigger", "org_id", "trigger_type", "id"),
        Index("run_cluster", "cluster_id", "id"),
        Index("run_workflow_id", "workflow_id", "id"),
        Index("run_queued", "org_id", "queued_at", "id"),
        Index("run_duration", "org_id", "duration_order_ms", "id"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    external_id: str
    workflow_id: str | None = None
    workflow_name: str
    status: RunStatus = _enum(RunStatus)
    status_by_server: bool = False
    repository: str | None = None
    branch: str | None = None
    commit_sha: str | None = None
    commit_message: str | None = None
    trigger_type: str | None = None
    triggered_by: str | None = None
    cancelled_by: str | None = None
    failure_reason: str | None = None
    parent_run: str | None = None
    original_run: str | None = None
    inputs: dict[str, str] = _json()
    queued_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    duration_order_ms: int = -1
    log_bytes: int = _seq(default=0)
    updated_at: datetime
    stamps: dict[str, int] = _json()
    revision: int = 1


class Job(SQLModel, table=True):
    """A part of a run."""

    __table_args__ = (UniqueConstraint("run_id", "external_id"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    run_id: str = Field(foreign_key="run.id")
    external_id: str
    name: str
    status: JobStatus = _enum(JobStatus)
    agent_id: str | None = None
    runs_on: list[str] = _json()
    error_message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    stamps: dict[str, int] = _json()
    revision: int = 1


class Step(SQLModel, table=True):
    """A part of a job, numbered from 0; -1 is what happened before the first."""

    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    job_id: str = Field(foreign_key="job.id")
    run_id: str = Field(foreign_key="run.id", index=True)
    number: int
    name: str
    status: StepStatus = _enum(StepStatus)
    error_message: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    stamps: dict[str, int] = _json()


class LogChunk(SQLModel, table=True):
    """Consecutive log lines of one step, `first_line` to `last_line`, as a JSON list. Chunks of a step never overlap."""

    __tablename__ = "log_chunk"
    __table_args__ = (Index("log_chunk_at", "org_id", "at"),)

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    step: int = Field(primary_key=True)
    first_line: int = _seq(primary_key=True)
    last_line: int = _seq()
    org_id: str = Field(foreign_key="org.id")
    run_id: str = Field(foreign_key="run.id")
    bytes: int
    at: datetime
    body: Any = Field(sa_column=Column(LargeBinary, nullable=False))


class Command(SQLModel, table=True):
    """Something a user asked of an orchestrator, addressed to one of its cluster's orchestrators."""

    __table_args__ = (
        Index("command_org", "org_id", "id"),
        Index("command_open", "orchestrator_id", "state"),
        Index("command_due", "due_at"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    orchestrator_id: str = Field(foreign_key="orchestrator.id")
    kind: CommandKind = _enum(CommandKind)
    state: CommandState = _enum(CommandState)
    workflow_id: str | None = None
    run_id: str | None = None
    payload: dict[str, Any] = _json()
    result: dict[str, Any] = _json()
    message: str | None = None
    requested_by: str
    created_at: datetime
    delivered_at: datetime | None = None
    completed_at: datetime | None = None
    due_at: datetime | None = None
    revision: int = 1


class RunBucket(SQLModel, table=True):
    """Figures of the runs that were queued in one five-minute span, kept up to date with each report."""

    __tablename__ = "run_bucket"

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    start: datetime = Field(primary_key=True)
    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    timed: int = 0
    duration_ms: int = _seq(default=0)


class JobFigures(SQLModel, table=True):
    """How many jobs of an org wait and run now."""

    __tablename__ = "job_figures"

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    queued: int = 0
    running: int = 0


class LogEntry(SQLModel, table=True):
    """A stored `events.Entry`. The second index lets a reader of one topic skip all others."""

    __tablename__ = "event_log"
    __table_args__ = (
        Index("event_log_topic", "org_id", "topic", "seq"),
        Index("event_log_at", "org_id", "at"),
    )

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    seq: int = _seq(primary_key=True)
    first_seq: int = _seq()
    topic: str
    at: datetime
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Alert(SQLModel, table=True):
    """One problem. `dedupe_key` names the problem, so that it re-opens instead of piling up."""

    __table_args__ = (
        UniqueConstraint("org_id", "dedupe_key"),
        Index("alert_state", "org_id", "state", "opened_at", "id"),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str | None = Field(default=None, foreign_key="cluster.id", index=True)
    dedupe_key: str
    kind: AlertKind = _enum(AlertKind)
    severity: AlertSeverity = _enum(AlertSeverity)
    state: AlertState = _enum(AlertState)
    message: str
    subject_id: str | None = None
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_note: str | None = None
    acknowledged_until: datetime | None = None
    flap_count: int = 0
    evidence: list[int] = _json()
    history: list[dict[str, Any]] = _json()
    revision: int = 1


class Audit(SQLModel, table=True):
    __table_args__ = (Index("audit_at", "org_id", "at", "id"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    at: datetime
    token_id: str | None = None
    token_name: str | None = None
    action: str
    object_id: str | None = None
    outcome: AuditOutcome = _enum(AuditOutcome)
    error_code: str | None = None
    detail: str | None = None
    request_id: str | None = None


class Idempotency(SQLModel, table=True):
    """What a key already led to: `result` is whatever the action needs to answer the same again."""

    __table_args__ = (Index("idempotency_at", "created_at"),)

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    token_id: str = Field(primary_key=True)
    action: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    input_sha256: str
    result: dict[str, Any] = _json()
    created_at: datetime


def table_of(model: type[SQLModel]) -> Table:
    """The Core table behind a row class, for statements."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]
