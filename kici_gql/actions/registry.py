"""Health of a cluster's workflow registry."""

from collections.abc import Mapping
from typing import Any

from kici_gql.events import Event, EventType
from kici_gql.store import Tx, records, workflows
from kici_gql.tables import Registry


def announce(tx: Tx, cluster_id: str, version: str | None) -> None:
    """Note the version that an orchestrator says its registry has; the report of it may still be on its way."""
    if version is None:
        return
    known = workflows.registry(tx.connection, cluster_id)
    if known is None or known.announced_version != version:
        write(tx, cluster_id, {"announced_version": version, "announced_at": tx.now})


def write(tx: Tx, cluster_id: str, values: Mapping[str, Any]) -> None:
    """Write what differs, and tell it."""
    known = workflows.registry(tx.connection, cluster_id)
    if known is None:
        row = Registry(cluster_id=cluster_id, org_id=tx.org_id, **values)
        records.add(tx.connection, row)
    elif all(getattr(known, name) == value for name, value in values.items()):
        return
    else:
        row = records.change(tx.connection, Registry, cluster_id, values, key="cluster_id")
    tx.append(Event(EventType.REGISTRY_CHANGED, records.state_of(row)))
