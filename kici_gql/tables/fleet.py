"""Clusters, their settings, and what is in them."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    Subquery,
    UniqueConstraint,
    func,
    select,
)
from sqlmodel import Field, SQLModel

from kici_gql.tables.columns import big_column, json_column, number_key, table_of, word_column
from kici_gql.words import BackendHealth, Liveness, OrchestratorRole, ScalerType, Surface


class Cluster(SQLModel, table=True):
    """`connected_since` is None while none of its orchestrators is there: what they said before is no longer known to hold.

    `dead_letters` is how many were in its queue when that was last told, in whichever way; None: it never was.
    """

    __table_args__ = (UniqueConstraint("org_id", "name"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    name: str
    auto_named: bool = False
    pending_name: str | None = None
    connected_since: datetime | None = None
    backends_reported_at: datetime | None = None
    dead_letters: int | None = None
    created_at: datetime
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
    document: Any = json_column()
    reported_at: datetime


class Question(SQLModel, table=True):
    """A surface that is wanted in a process that does not hold the orchestrator's connection. It lives for seconds.

    Either `document` is the answer, or `problem` says why there is none.
    """

    __table_args__ = (Index("question_open", "orchestrator_id", "answered_at"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    orchestrator_id: str = Field(foreign_key="orchestrator.id")
    surface: Surface = Field(sa_type=cast(Any, Enum(Surface, native_enum=False, length=32)))
    asked_at: datetime = Field(index=True)
    answered_at: datetime | None = None
    document: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    problem: str | None = None
    hint: str | None = None


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
    health: BackendHealth = word_column(BackendHealth)
    scopes: list[str] = json_column()
    last_sync_at: datetime | None = None
    last_error: str | None = None
    reported_at: datetime
    revision: int = 1


class Orchestrator(SQLModel, table=True):
    """One orchestrator process.

    `due_at` is when its silence or that of one of its agents has to be judged next, or sooner; None: never by itself.
    `asked_live`: it does not report its settings, a process of ours asks it over the connection that it holds.
    `listens_at` is the process of ours to which it came last to follow its commands, or that asks it; None: it follows
    none, or nobody holds its connection any more.
    """

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
    asked_live: bool = False
    listens_at: str | None = None
    connection_id: str = Field(unique=True)
    role: OrchestratorRole = word_column(OrchestratorRole)
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
    routing_keys: list[str] = json_column()
    capabilities: list[str] = json_column()
    registry_version: str | None = None
    running_jobs: int = 0
    queued_jobs: int = 0
    liveness: Liveness = word_column(Liveness)
    liveness_reason: str
    liveness_since: datetime
    missed_beats: int = 0
    connected_at: datetime
    disconnected_at: datetime | None = None
    last_heartbeat_at: datetime
    clock_skew_ms: int | None = None
    due_at: datetime | None = None
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
    type: ScalerType = word_column(ScalerType)
    active_agents: int = 0
    max_agents: int
    labels: list[str] = json_column()
    config_summary: dict[str, str] = json_column()
    hosts: list[str] = json_column()
    revision: int = 1


class _AgentColumns(SQLModel):
    """What both the stored agent and the one that is read have."""

    id: str = Field(primary_key=True)
    serial: int = big_column()
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
    memory_total_mb: int
    labels: list[str] = json_column()
    max_concurrency: int
    paused: bool = False
    liveness: Liveness = word_column(Liveness)
    liveness_reason: str
    liveness_since: datetime
    missed_beats: int = 0
    first_seen_at: datetime
    revision: int = 1


class AgentRecord(_AgentColumns, table=True):
    """What seldom changes about an agent. When its silence has to be judged is its orchestrator's to know."""

    __tablename__ = "agent"
    __table_args__ = (
        UniqueConstraint("cluster_id", "agent_id"),
        Index("agent_org", "org_id", "id"),
        Index("agent_serial", "serial", unique=True),
        CheckConstraint("cpu_count > 0 AND memory_total_mb >= 0 AND max_concurrency > 0"),
    )


class AgentFigures(SQLModel, table=True):
    """What every heartbeat brings anew, apart from the rest: narrow rows that are found by a number are cheap to write."""

    __tablename__ = "agent_figures"
    __table_args__ = (CheckConstraint("memory_used_mb >= 0 AND uptime_seconds >= 0 AND active_jobs >= 0"),)

    serial: int = number_key(ForeignKey("agent.serial", ondelete="CASCADE"))
    memory_used_mb: int
    uptime_seconds: int
    active_jobs: int
    last_heartbeat_at: datetime | None


class Agent(_AgentColumns):
    """An agent with its figures: the only way to read it. `table_of` answers the two tables joined."""

    memory_used_mb: int
    uptime_seconds: int
    active_jobs: int
    last_heartbeat_at: datetime | None


def _agent_with_figures() -> Subquery:
    record, figures = table_of(AgentRecord), table_of(AgentFigures)
    counted = [
        func.coalesce(figures.c[name], 0).label(name)
        for name in ("memory_used_mb", "uptime_seconds", "active_jobs")
    ]
    joined = record.outerjoin(figures, record.c.serial == figures.c.serial)
    return select(*record.c, *counted, figures.c.last_heartbeat_at).select_from(joined).subquery("agents")


Agent.__table__ = _agent_with_figures()
