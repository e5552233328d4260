"""What is wrong with a cluster now, and the alerts that say so.

The problems are worked out anew from the present state whenever something about a cluster changed, and compared with
the alerts that are open: what is new opens, what is gone resolves. So every alert ends by itself.
"""

from collections.abc import Iterable, Mapping, Sequence

from kici_gql.events import Event, EventType
from kici_gql.rules import alerts as rules
from kici_gql.rules import liveness
from kici_gql.rules.alerts import Problem, problem
from kici_gql.store import Tx, fleet, records, settings
from kici_gql.store import alerts as store
from kici_gql.tables import (
    Alert,
    AlertKind,
    BackendHealth,
    Cluster,
    Liveness,
    Orchestrator,
    Prefix,
    Scaler,
    new_id,
)

Evidence = Mapping[str, Sequence[int]]
"""Sequence numbers of the events that show it, by the id of the object they are about."""

# A growing dead-letter queue is judged by two reports, not by the present state.
_JUDGED_HERE = frozenset(rules.SEVERITY) - {AlertKind.DEAD_LETTERS_GROWING}


def review(tx: Tx, cluster_id: str, evidence: Evidence) -> None:
    """Bring the alerts that this server judges itself into line with the cluster's present state."""
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, cluster_id)
    if cluster is None:
        return
    found: dict[str, Problem] = {}
    for each in _problems(tx, cluster):
        found.setdefault(each.key, each)  # silent agents say less than silent orchestrators
    for alert in store.unresolved(tx.connection, tx.org_id, cluster_id):
        if alert.kind in _JUDGED_HERE and alert.dedupe_key not in found:
            settle(tx, alert, _about(evidence, alert.subject_id, cluster_id))
    for each in found.values():
        raise_alert(tx, each, _about(evidence, each.subject_id, cluster_id))


def raise_alert(tx: Tx, found: Problem, evidence: list[int]) -> Alert:
    """Open the problem's alert, open it again, or leave it as it is."""
    alert = store.by_key(tx.connection, tx.org_id, found.key)
    values = rules.opened(alert, found, tx.now, evidence)
    if alert is not None and values is None:
        return alert
    assert values is not None
    if alert is not None:
        return changed(tx, alert, values)
    row = Alert(
        id=new_id(Prefix.ALERT, tx.now),
        org_id=tx.org_id,
        dedupe_key=found.key,
        kind=found.kind,
        cluster_id=found.cluster_id,
        subject_id=found.subject_id,
        **values,
    )
    records.add(tx.connection, row)
    tx.append(Event(EventType.ALERT_CHANGED, records.state_of(row)))
    return row


def settle(tx: Tx, alert: Alert, evidence: list[int]) -> None:
    """Resolve an alert whose problem is gone."""
    values = rules.resolved(alert, tx.now, evidence)
    if values is not None:
        changed(tx, alert, values)


def changed(tx: Tx, alert: Alert, values: Mapping[str, object]) -> Alert:
    """Write a change of an alert and tell it."""
    row = records.change(tx.connection, Alert, alert.id, values)
    tx.append(Event(EventType.ALERT_CHANGED, records.state_of(row)))
    return row


def _about(evidence: Evidence, subject_id: str | None, cluster_id: str) -> list[int]:
    """The events about the subject; all of them for a problem of the whole cluster, or when none was about it alone."""
    if subject_id is not None and subject_id in evidence and subject_id != cluster_id:
        return list(evidence[subject_id])
    return sorted({seq for seqs in evidence.values() for seq in seqs})


def _problems(tx: Tx, cluster: Cluster) -> Iterable[Problem]:
    orchestrators = {
        row.id: row
        for row in fleet.children(tx.connection, Orchestrator, tx.org_id, "cluster_id", [cluster.id])
    }
    yield from _lost_orchestrators(cluster, orchestrators.values())
    yield from _version_skew(cluster, orchestrators.values())
    yield from _name_collision(cluster, orchestrators.values())
    yield from _unhealthy_backends(tx, cluster)
    yield from _silent_agents(tx, cluster, orchestrators)
    yield from _full_scalers(tx, cluster, orchestrators)


def _lost_orchestrators(cluster: Cluster, orchestrators: Iterable[Orchestrator]) -> Iterable[Problem]:
    awaited = [row for row in orchestrators if row.liveness is not Liveness.OFFLINE]
    lost = [row for row in awaited if row.liveness is Liveness.LOST]
    if liveness.silent_together(len(lost), len(awaited)):
        text = f"{len(lost)} of {len(awaited)} orchestrators of cluster {cluster.name} are disconnected"
        yield problem(AlertKind.CLUSTER_SILENT, cluster.id, text, cluster.id)
        return
    for row in lost:
        text = (
            f"Orchestrator {row.instance_id} of cluster {cluster.name} is disconnected: {row.liveness_reason}"
        )
        yield problem(AlertKind.ORCHESTRATOR_DISCONNECTED, row.id, text, cluster.id)


def _version_skew(cluster: Cluster, orchestrators: Iterable[Orchestrator]) -> Iterable[Problem]:
    versions = sorted({row.version for row in orchestrators if row.liveness in fleet.PRESENT})
    if len(versions) > 1:
        text = f"Orchestrators of cluster {cluster.name} run different versions: {', '.join(versions)}"
        yield problem(AlertKind.VERSION_SKEW, cluster.id, text, cluster.id)


def _name_collision(cluster: Cluster, orchestrators: Iterable[Orchestrator]) -> Iterable[Problem]:
    keys = {row.cluster_key for row in orchestrators if row.liveness in fleet.PRESENT and row.cluster_key}
    if len(keys) > 1:
        text = f"{len(keys)} different clusters call themselves {cluster.name}: rename all but one"
        yield problem(AlertKind.NAME_COLLISION, cluster.id, text, cluster.id)


def _unhealthy_backends(tx: Tx, cluster: Cluster) -> Iterable[Problem]:
    """What is known of a disconnected cluster's backends is no longer true, so it is no problem of its own."""
    since = {cluster.id: cluster.connected_since}
    for row in settings.backends_of(tx.connection, tx.org_id, [cluster.id]):
        if settings.is_current(row, since) and row.health in {
            BackendHealth.DEGRADED,
            BackendHealth.UNREACHABLE,
        }:
            text = f"Secret backend {row.name} of cluster {cluster.name} is {row.health.lower()}"
            yield problem(AlertKind.BACKEND_UNHEALTHY, row.id, text, cluster.id)


def _silent_agents(tx: Tx, cluster: Cluster, orchestrators: Mapping[str, Orchestrator]) -> Iterable[Problem]:
    """Lost agents of orchestrators that are there; a lost orchestrator's agents are part of its own alert."""
    lost = [
        agent
        for agent in fleet.agents_in(tx.connection, cluster.id, (Liveness.LOST,))
        if orchestrators[agent.orchestrator_id].liveness in fleet.PRESENT
    ]
    if not lost:
        return
    counts = fleet.liveness_counts(tx.connection, cluster.id)
    silent = counts.get(Liveness.LOST, 0) + counts.get(Liveness.LATE, 0)
    total = sum(counts.values()) - counts.get(Liveness.OFFLINE, 0)
    if liveness.silent_together(silent, total):
        text = f"Most agents of cluster {cluster.name} went silent at once"
        yield problem(AlertKind.CLUSTER_SILENT, cluster.id, text, cluster.id)
        return
    for agent in lost:
        yield problem(
            AlertKind.AGENT_LOST,
            agent.id,
            f"Agent {agent.agent_id} of cluster {cluster.name} is lost",
            cluster.id,
        )


def _full_scalers(tx: Tx, cluster: Cluster, orchestrators: Mapping[str, Orchestrator]) -> Iterable[Problem]:
    waiting = [
        row.id for row in orchestrators.values() if row.queued_jobs > 0 and row.liveness in fleet.PRESENT
    ]
    if not waiting:
        return
    for scaler in fleet.children(tx.connection, Scaler, tx.org_id, "orchestrator_id", waiting):
        if 0 < scaler.max_agents <= scaler.active_agents:
            text = f"Scaler {scaler.name} of cluster {cluster.name} is at capacity while jobs wait"
            yield problem(AlertKind.SCALER_AT_CAPACITY, scaler.id, text, cluster.id)


def acknowledgement_over(tx: Tx, alert: Alert) -> None:
    """Open an acknowledged alert again whose acknowledgement has run out."""
    changed(tx, alert, rules.unacknowledged(alert, tx.now))
