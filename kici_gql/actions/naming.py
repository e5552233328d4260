"""Which cluster a connecting orchestrator belongs to, and when a new name takes effect."""

from kici_gql.auth import Viewer
from kici_gql.errors import Forbidden
from kici_gql.events import Event, EventType
from kici_gql.rules import names, reports
from kici_gql.store import Tx, fleet, orgs, records, settings
from kici_gql.tables import Cluster, Prefix, new_id


def cluster_for(tx: Tx, viewer: Viewer, report: reports.Connect) -> Cluster:
    """The cluster that the orchestrator belongs to; a new one when there is none of that name.

    A name that a cluster is about to have makes it take that name. A name that it had before still leads to it, unless
    another one has taken it; the answer of the connect carries the present name.
    """
    name = report.cluster_name or viewer.cluster_name
    if name is None:
        return _unnamed(tx, report)
    cluster = fleet.cluster_named(tx.connection, tx.org_id, name)
    if cluster is None:
        waiting = fleet.cluster_pending(tx.connection, tx.org_id, name)
        moved = waiting or fleet.cluster_of_key(tx.connection, tx.org_id, report.cluster_key)
        if moved is not None:
            _require_bound(viewer, moved.name, name)
            return rename(tx, moved, name)
        former = settings.former(tx.connection, tx.org_id, name)
        cluster = (
            None if former is None else records.by_id(tx.connection, Cluster, tx.org_id, former.cluster_id)
        )
    _require_bound(viewer, name if cluster is None else cluster.name, name)
    return cluster or _add(tx, name, auto_named=False)


def rename(tx: Tx, cluster: Cluster, name: str) -> Cluster:
    """The new name takes effect: ids and history stay, tokens bound to the old name follow."""
    settings.remember_name(tx.connection, tx.org_id, cluster.name, cluster.id, tx.now)
    settings.forget_name(tx.connection, tx.org_id, name)
    orgs.rebind_tokens(tx.connection, tx.org_id, cluster.name, name)
    values = {"name": name, "pending_name": None, "auto_named": False, "revision": cluster.revision + 1}
    row = records.change(tx.connection, Cluster, cluster.id, values)
    tx.append(Event(EventType.CLUSTER_CHANGED, records.state_of(row)))
    return row


def _require_bound(viewer: Viewer, *allowed: str) -> None:
    if viewer.cluster_name is not None and viewer.cluster_name not in allowed:
        raise Forbidden(
            "this token belongs to another cluster",
            hint="Use the token of this cluster.",
            path=["clusterName"],
        )


def _unnamed(tx: Tx, report: reports.Connect) -> Cluster:
    """A name of our own making for a cluster that nobody named; a known instance finds its own again."""
    if report.instance_id is not None:
        known = fleet.auto_named_home(tx.connection, tx.org_id, report.instance_id)
        if known is not None:
            return known
    return _add(tx, names.generate_cluster_name(), auto_named=True)


def _add(tx: Tx, name: str, *, auto_named: bool) -> Cluster:
    cluster = Cluster(
        id=new_id(Prefix.CLUSTER, tx.now),
        org_id=tx.org_id,
        name=name,
        auto_named=auto_named,
        created_at=tx.now,
    )
    settings.forget_name(tx.connection, tx.org_id, name)
    records.add(tx.connection, cluster)
    tx.append(Event(EventType.CLUSTER_CHANGED, records.state_of(cluster)))
    return cluster
