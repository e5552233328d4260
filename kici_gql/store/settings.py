"""Scoped surfaces, secret backends, former names."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from kici_gql.store import fleet
from kici_gql.store.records import fetch_all, fetch_one, listed
from kici_gql.tables import Cluster, FormerName, ReportedSurface, SecretBackend, Surface, table_of

_surface = table_of(ReportedSurface)
_backend = table_of(SecretBackend)
_former = table_of(FormerName)


def surface(connection: Connection, org_id: str, cluster_id: str, which: Surface) -> ReportedSurface | None:
    """What the cluster's orchestrators last reported."""
    query = select(_surface).where(
        _surface.c.cluster_id == cluster_id, _surface.c.surface == which, _surface.c.org_id == org_id
    )
    return fetch_one(connection, query, ReportedSurface)


def write_surface(
    connection: Connection, org_id: str, cluster_id: str, which: Surface, document: Any, now: datetime
) -> None:
    _put(
        connection,
        _surface,
        {"cluster_id": cluster_id, "surface": which},
        {"org_id": org_id, "document": document, "reported_at": now},
    )


def backends_of(connection: Connection, org_id: str, cluster_ids: Collection[str]) -> Sequence[SecretBackend]:
    """Secret backends of these clusters, by name."""
    values = {"org_id": org_id, "cluster_ids": sorted(cluster_ids)}
    return fetch_all(connection, _BACKENDS_OF, SecretBackend, **values)


_BACKENDS_OF = (
    select(_backend)
    .where(_backend.c.org_id == bindparam("org_id"), _backend.c.cluster_id.in_(listed("cluster_ids")))
    .order_by(_backend.c.name, _backend.c.id)
)


def connected_backends(connection: Connection, org_id: str) -> Sequence[SecretBackend]:
    """Backends that were told of since their cluster connected: of the others nobody knows how they are."""
    clusters = {row.id: row.connected_since for row in fleet.whole(connection, Cluster, org_id, None)}
    return [row for row in backends_of(connection, org_id, clusters) if is_current(row, clusters)]


def is_current(row: SecretBackend, connected_since: Mapping[str, datetime | None]) -> bool:
    """Whether the backend was told of since its cluster connected."""
    since = connected_since[row.cluster_id]
    return since is not None and row.reported_at >= since


def former(connection: Connection, org_id: str, name: str, since: datetime | None) -> FormerName | None:
    """Which cluster had this name before, if it was renamed after `since`; None: whenever it was."""
    query = select(_former).where(_former.c.org_id == org_id, _former.c.name == name)
    if since is not None:
        query = query.where(_former.c.renamed_at > since)
    return fetch_one(connection, query, FormerName)


def remember_name(connection: Connection, org_id: str, name: str, cluster_id: str, now: datetime) -> None:
    _put(connection, _former, {"org_id": org_id, "name": name}, {"cluster_id": cluster_id, "renamed_at": now})


def forget_name(connection: Connection, org_id: str, name: str) -> None:
    connection.execute(delete(_former).where(_former.c.org_id == org_id, _former.c.name == name))


def _put(connection: Connection, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
    insert = (
        (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table).values(**key, **values)
    )
    written = {name: insert.excluded[name] for name in values}
    connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=written))
