"""Workflows and their registries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from kici_gql.store.records import fetch_all, fetch_one
from kici_gql.tables import Registry, Workflow, table_of

_workflow = table_of(Workflow)
_registry = table_of(Registry)


def in_cluster(connection: Connection, cluster_id: str) -> dict[str, Workflow]:
    """All workflows of a cluster, by the id its orchestrator gave them."""
    query = select(_workflow).where(_workflow.c.cluster_id == cluster_id)
    return {row.external_id: row for row in fetch_all(connection, query, Workflow)}


def by_external_id(connection: Connection, cluster_id: str, external_id: str) -> Workflow | None:
    return fetch_one(connection, _BY_EXTERNAL_ID, Workflow, cluster_id=cluster_id, external_id=external_id)


_BY_EXTERNAL_ID = select(_workflow).where(
    _workflow.c.cluster_id == bindparam("cluster_id"), _workflow.c.external_id == bindparam("external_id")
)


def named(connection: Connection, cluster_id: str, name: str, repository: str | None) -> Workflow | None:
    """The cluster's workflow of this name, in this repository if there is one; the oldest when several fit."""
    values = {"cluster_id": cluster_id, "name": name}
    if repository is None:
        return fetch_one(connection, _NAMED, Workflow, **values)
    return fetch_one(connection, _NAMED_IN, Workflow, **values, repository=repository)


_NAMED = (
    select(_workflow)
    .where(_workflow.c.cluster_id == bindparam("cluster_id"), _workflow.c.name == bindparam("name"))
    .order_by(_workflow.c.id)
    .limit(1)
)
_NAMED_IN = _NAMED.where(_workflow.c.repository == bindparam("repository"))


def registry(connection: Connection, cluster_id: str) -> Registry | None:
    return fetch_one(connection, select(_registry).where(_registry.c.cluster_id == cluster_id), Registry)


def registries(connection: Connection, org_id: str) -> Sequence[Registry]:
    query = select(_registry).where(_registry.c.org_id == org_id).order_by(_registry.c.cluster_id)
    return fetch_all(connection, query, Registry)


def overdue(connection: Connection, org_id: str, now: datetime, limit: int) -> Sequence[Workflow]:
    """Workflows whose next fire time has passed, so that the next one has to be worked out."""
    query = (
        select(_workflow)
        .where(_workflow.c.org_id == org_id, _workflow.c.next_fire_at <= now)
        .order_by(_workflow.c.next_fire_at)
        .limit(limit)
    )
    return fetch_all(connection, query, Workflow)


def orgs_overdue(connection: Connection, now: datetime) -> Sequence[str]:
    query = select(_workflow.c.org_id).where(_workflow.c.next_fire_at <= now)
    return sorted({row.org_id for row in connection.execute(query.distinct())})
