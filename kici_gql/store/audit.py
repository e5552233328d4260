"""The audit log and the memory of idempotency keys."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from kici_gql.store.prepared import prepared_insert
from kici_gql.store.records import fetch_one
from kici_gql.store.transaction import Tx
from kici_gql.tables import Audit, Idempotency, table_of

_audit = table_of(Audit)
_idempotency = table_of(Idempotency)
_ADD = prepared_insert(Audit)
_COLUMNS = [column.name for column in _audit.c]


def add(tx: Tx, row: Mapping[str, Any], *, at_once: bool) -> None:
    """Write one entry, a value for each column: at once, or with those of other transactions."""
    tx.later(_ADD, [[row[name] for name in _COLUMNS]])
    if at_once:
        tx.flush()


def remembered(
    connection: Connection, org_id: str, token_id: str, action: str, key: str
) -> Idempotency | None:
    """What this key of this token already led to."""
    query = select(_idempotency).where(
        _idempotency.c.org_id == org_id,
        _idempotency.c.token_id == token_id,
        _idempotency.c.action == action,
        _idempotency.c.key == key,
    )
    return fetch_one(connection, query, Idempotency)


def forget(connection: Connection, *, keys_before: datetime, audit_before: datetime, limit: int) -> int:
    """Remove what is too old, at most `limit` rows of each kind. Returns how many went."""
    old_audit = select(_audit.c.id).where(_audit.c.at < audit_before).limit(limit)
    keys = connection.execute(delete(_idempotency).where(_idempotency.c.created_at < keys_before)).rowcount
    return keys + connection.execute(delete(_audit).where(_audit.c.id.in_(old_audit))).rowcount
