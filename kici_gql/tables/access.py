"""Tenants, who may come in, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
)
from sqlmodel import Field, SQLModel

from kici_gql.tables.columns import big_column, json_column, word_column
from kici_gql.words import AuditOutcome, TokenScope


class Org(SQLModel, table=True):
    """A tenant, and the head of its event log: events `first_seq` to `last_seq` of log `log_epoch` can be read.

    `fleet_seq` grows with each change of the fleet: whoever remembers the fleet can tell whether it still holds.
    """

    id: str = Field(primary_key=True)
    slug: str = Field(unique=True)
    name: str
    created_at: datetime
    log_epoch: str
    first_seq: int = big_column(default=1)
    last_seq: int = big_column(default=0)
    fleet_seq: int = big_column(default=0)


class Token(SQLModel, table=True):
    """A credential. Only the SHA-256 of its secret is kept; `prefix` is enough to recognise it by eye."""

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id", index=True)
    name: str
    prefix: str
    sha256: str = Field(unique=True)
    scope: TokenScope = word_column(TokenScope)
    cluster_name: str | None = None
    created_by: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Audit(SQLModel, table=True):
    __table_args__ = (Index("audit_at", "org_id", "at", "id"),)

    id: str = Field(primary_key=True)
    org_id: str = Field(foreign_key="org.id")
    at: datetime
    token_id: str | None = None
    token_name: str | None = None
    action: str
    object_id: str | None = None
    outcome: AuditOutcome = word_column(AuditOutcome)
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
    result: dict[str, Any] = json_column()
    created_at: datetime
