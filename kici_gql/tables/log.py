"""The event log, and alerts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from kici_gql.tables.columns import Compressed, big_column, json_column, word_column
from kici_gql.words import AlertKind, AlertSeverity, AlertState


class LogEntry(SQLModel, table=True):
    """A stored `events.Entry`. The index lets a reader of one topic skip all others."""

    __tablename__ = "event_log"
    __table_args__ = (Index("event_log_topic", "org_id", "topic", "seq"),)

    org_id: str = Field(primary_key=True, foreign_key="org.id")
    seq: int = big_column(primary_key=True)
    first_seq: int = big_column()
    topic: str
    at: datetime
    body: bytes = Field(sa_column=Column(Compressed, nullable=False))


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
    kind: AlertKind = word_column(AlertKind)
    severity: AlertSeverity = word_column(AlertSeverity)
    state: AlertState = word_column(AlertState)
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
    evidence: list[int] = json_column()
    history: list[dict[str, Any]] = json_column()
    revision: int = 1
