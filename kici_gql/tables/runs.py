"""Runs, their logs, and the figures kept of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from kici_gql.tables.columns import Compressed, big_column, json_column, word_column
from kici_gql.words import JobStatus, RunStatus, StepStatus

_FILTERS = ("status", "workflow_name", "branch", "repository", "trigger_type", "cluster_id", "workflow_id")


class Run(SQLModel, table=True):
    """One execution. `stamps` says when the orchestrator last spoke of each column (see `rules.merging`).

    `status_by_server` marks a verdict of ours, which any report of the orchestrator overrules.

    One index for each filter, for those who use one. One for each order, with the columns of all filters in it: any
    number of filters is answered from that index alone, in order, so no page is ever sorted.
    """

    __table_args__ = (
        UniqueConstraint("cluster_id", "external_id"),
        Index("run_external", "org_id", "external_id"),
        Index("run_status", "org_id", "status", "id"),
        Index("run_workflow", "org_id", "workflow_name", "id"),
        Index("run_branch", "org_id", "branch", "id"),
        Index("run_repository", "org_id", "repository", "id"),
        Index("run_trigger", "org_id", "trigger_type", "id"),
        Index("run_cluster", "org_id", "cluster_id", "id"),
        Index("run_workflow_id", "workflow_id", "org_id", "id"),
        Index("run_created", "org_id", "id", *_FILTERS),
        Index("run_queued", "org_id", "queued_at", "id", *_FILTERS),
        Index("run_duration", "org_id", "duration_order_ms", "id", *_FILTERS),
    )

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    cluster_id: str = Field(foreign_key="cluster.id")
    external_id: str
    workflow_id: str | None = None
    workflow_name: str
    status: RunStatus = word_column(RunStatus)
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
    inputs: dict[str, str] = json_column()
    queued_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    duration_order_ms: int = -1
    log_bytes: int = big_column(default=0)
    updated_at: datetime
    stamps: dict[str, int] = json_column()
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
    status: JobStatus = word_column(JobStatus)
    agent_id: str | None = None
    runs_on: list[str] = json_column()
    error_message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    stamps: dict[str, int] = json_column()
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
    status: StepStatus = word_column(StepStatus)
    error_message: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    stamps: dict[str, int] = json_column()


class LogChunk(SQLModel, table=True):
    """Consecutive log lines of one step, `first_line` to `last_line`, as a JSON list. Chunks of a step never overlap."""

    __tablename__ = "log_chunk"
    __table_args__ = (Index("log_chunk_at", "org_id", "at"), Index("log_chunk_run", "run_id"))

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    step: int = Field(primary_key=True)
    first_line: int = big_column(primary_key=True)
    last_line: int = big_column()
    org_id: str = Field(foreign_key="org.id")
    run_id: str = Field(foreign_key="run.id")
    bytes: int
    at: datetime
    body: Any = Field(sa_column=Column(Compressed, nullable=False))


class RunBucket(SQLModel, table=True):
    """Figures of the runs that were queued in one five-minute span, kept up to date with each report."""

    __tablename__ = "run_bucket"

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    start: datetime = Field(primary_key=True)
    hour: datetime
    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    timed: int = 0
    duration_ms: int = big_column(default=0)


class JobFigures(SQLModel, table=True):
    """How many jobs of an org wait and run now."""

    __tablename__ = "job_figures"

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    queued: int = 0
    running: int = 0
