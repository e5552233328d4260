"""Which cluster a connecting orchestrator belongs to, and when a new name takes effect."""

from sqlalchemy import Connection

from kici_gql.auth import Viewer
from kici_gql.errors import Forbidden
from kici_gql.events import Event, EventType
from kici_gql.rules import names, reports
from kici_gql.store import Tx, fleet, orgs, records, settings
from kici_gql.tables import Cluster, Prefix, new_id


def cluster_for(tx: Tx, viewer: Viewer, report: reports.Connect) -> Cluster:
    """The cluster that the orchestrator belongs to; a new one when there is none of that name.

    A name that a cluster is about to have makes it take that name. A name that it had lately still leads to it, and
    the answer of the connect carries the present one. Only then does the cluster's key count: it is how a rename on
    the orchestrator's own host is noticed, while a sibling that was not restarted still says the old name.
    """
    bound = _bound(tx, viewer)
    name = report.cluster_name or bound
    if name is None:
        return _unnamed(tx, report)
    cluster = fleet.cluster_named(tx.connection, tx.org_id, name)
    if cluster is None and (waiting := fleet.cluster_pending(tx.connection, tx.org_id, name)) is not None:
        if bound != name:
            _require_bound(tx, viewer, waiting)
        return rename(tx, waiting, name)
    cluster = cluster or formerly(tx, name)
    if cluster is None:
        moved = fleet.cluster_of_key(tx.connection, tx.org_id, report.cluster_key)
        if moved is not None:
            _require_bound(tx, viewer, moved)
            return rename(tx, moved, name)
        if bound not in {None, name}:
            raise _foreign()
        return _add(tx, name, auto_named=False)
    _require_bound(tx, viewer, cluster)
    return cluster


def home_of(tx: Tx, viewer: Viewer, report: reports.Connect) -> Cluster | None:
    """The cluster that `cluster_for` will answer, as far as it is there already. Changes nothing."""
    name = report.cluster_name or _bound(tx, viewer)
    home = None
    if name is not None:
        home = (
            fleet.cluster_named(tx.connection, tx.org_id, name)
            or fleet.cluster_pending(tx.connection, tx.org_id, name)
            or formerly(tx, name)
        )
    return home or fleet.cluster_of_key(tx.connection, tx.org_id, report.cluster_key)


def _bound(tx: Tx, viewer: Viewer) -> str | None:
    """The name that the token is bound to by now; None for one that may speak for any cluster."""
    return viewer.cluster_name and (orgs.binding(tx.connection, viewer.token_id) or viewer.cluster_name)


def rename(tx: Tx, cluster: Cluster, name: str) -> Cluster:
    """The new name takes effect: ids and history stay, tokens bound to the old name follow."""
    settings.remember_name(tx.connection, tx.org_id, cluster.name, cluster.id, tx.now)
    settings.forget_name(tx.connection, tx.org_id, name)
    orgs.rebind_tokens(tx.connection, tx.org_id, cluster.name, name)
    values = {"name": name, "pending_name": None, "auto_named": False, "revision": cluster.revision + 1}
    row = records.change(tx.connection, Cluster, cluster.id, values)
    tx.append(Event(EventType.CLUSTER_CHANGED, records.state_of(row)))
    return row


def formerly(tx: Tx, name: str) -> Cluster | None:
    """The cluster that had this name lately."""
    old = settings.former(tx.connection, tx.org_id, name, tx.now - names.FORMER_NAME_KEPT)
    return None if old is None else records.by_id(tx.connection, Cluster, tx.org_id, old.cluster_id)


def belongs(connection: Connection, viewer: Viewer, cluster: Cluster) -> bool:
    """Whether the viewer's token may speak for this cluster.

    The token's row is asked and not the viewer, who may be as old as a socket: tokens follow a rename.
    """
    if viewer.cluster_name is None:
        return True
    bound = orgs.binding(connection, viewer.token_id)
    if bound is None or bound == cluster.name:
        return bound is not None
    old = settings.former(connection, viewer.org_id, bound, None)
    return old is not None and old.cluster_id == cluster.id


def _require_bound(tx: Tx, viewer: Viewer, cluster: Cluster) -> None:
    if not belongs(tx.connection, viewer, cluster):
        raise _foreign()


def _foreign() -> Forbidden:
    return Forbidden(
        "this token belongs to another cluster", hint="Use the token of this cluster.", path=["clusterName"]
    )


def _unnamed(tx: Tx, report: reports.Connect) -> Cluster:
    """A name of our own making for a cluster that nobody named; one that is known already is found again."""
    known = fleet.cluster_of_key(tx.connection, tx.org_id, report.cluster_key)
    if known is None and report.instance_id is not None:
        known = fleet.auto_named_home(tx.connection, tx.org_id, report.instance_id)
    return known or _add(tx, names.generate_cluster_name(), auto_named=True)


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
