"""Workflows, and what users ask of orchestrators."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from kici_gql.tables.columns import json_column, word_column
from kici_gql.words import CommandKind, CommandState


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
    trigger_types: list[str] = json_column()
    triggers: list[dict[str, Any]] = json_column()
    source_repos: list[str] = json_column()
    source_file: str | None = None
    commit_sha: str | None = None
    inputs: list[dict[str, Any]] = json_column()
    enabled: bool = True
    registered_at: datetime
    updated_at: datetime
    last_triggered_at: datetime | None = None
    next_fire_at: datetime | None = None
    next_fire_reported: bool = False
    revision: int = 1


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
    kind: CommandKind = word_column(CommandKind)
    state: CommandState = word_column(CommandState)
    workflow_id: str | None = None
    run_id: str | None = None
    payload: dict[str, Any] = json_column()
    result: dict[str, Any] = json_column()
    message: str | None = None
    requested_by: str
    created_at: datetime
    delivered_at: datetime | None = None
    completed_at: datetime | None = None
    due_at: datetime | None = None
    revision: int = 1
