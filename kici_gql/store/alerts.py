"""Alerts."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from kici_gql.store.records import fetch_all, fetch_one
from kici_gql.tables import Alert, AlertKind, AlertState, table_of

_alert = table_of(Alert)


def by_key(connection: Connection, org_id: str, dedupe_key: str) -> Alert | None:
    """The org's alert about this problem, whatever its state."""
    query = select(_alert).where(_alert.c.org_id == org_id, _alert.c.dedupe_key == dedupe_key)
    return fetch_one(connection, query, Alert)


def unresolved(connection: Connection, org_id: str, cluster_id: str | None) -> Sequence[Alert]:
    """All alerts of the org, or of one cluster, that are open or acknowledged."""
    query = select(_alert).where(_alert.c.org_id == org_id, _alert.c.state != AlertState.RESOLVED)
    if cluster_id is not None:
        query = query.where(_alert.c.cluster_id == cluster_id)
    return fetch_all(connection, query.order_by(_alert.c.id), Alert)


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
