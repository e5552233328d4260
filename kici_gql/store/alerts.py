"""Alerts."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from kici_gql.store.records import fetch_all, fetch_one
from kici_gql.tables import Alert, AlertKind, AlertState, table_of

_alert = table_of(Alert)


def by_key(connection: Connection, org_id: str, dedupe_key: str) -> Alert | None:
    """The org's alert about this problem, whatever its state."""
    return fetch_one(connection, _BY_KEY, Alert, org_id=org_id, dedupe_key=dedupe_key)


_BY_KEY = select(_alert).where(
    _alert.c.org_id == bindparam("org_id"), _alert.c.dedupe_key == bindparam("dedupe_key")
)


def unresolved(connection: Connection, org_id: str, cluster_id: str | None) -> Sequence[Alert]:
    """All alerts of the org, or of one cluster, that are open or acknowledged."""
    if cluster_id is None:
        return fetch_all(connection, _UNRESOLVED.order_by(_alert.c.id), Alert, org_id=org_id)
    return fetch_all(connection, _UNRESOLVED_IN, Alert, org_id=org_id, cluster_id=cluster_id)


_UNRESOLVED = select(_alert).where(
    _alert.c.org_id == bindparam("org_id"), _alert.c.state != AlertState.RESOLVED
)
_UNRESOLVED_IN = _UNRESOLVED.where(_alert.c.cluster_id == bindparam("cluster_id")).order_by(_alert.c.id)


def unresolved_of_kind(
    connection: Connection, org_id: str, cluster_id: str, kind: AlertKind
) -> Sequence[Alert]:
    query = select(_alert).where(
        _alert.c.org_id == org_id,
        _alert.c.cluster_id == cluster_id,
        _alert.c.kind == kind,
        _alert.c.state != AlertState.RESOLVED,
    )
    return fetch_all(connection, query, Alert)


def run_out(connection: Connection, now: datetime, limit: int) -> Sequence[Alert]:
    """Acknowledged alerts whose acknowledgement has run out, over all orgs."""
    query = (
        select(_alert)
        .where(_alert.c.state == AlertState.ACKNOWLEDGED, _alert.c.acknowledged_until <= now)
        .order_by(_alert.c.acknowledged_until)
        .limit(limit)
    )
    return fetch_all(connection, query, Alert)
