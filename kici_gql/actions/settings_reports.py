"""Settings that orchestrators report: scoped surfaces and secret backends."""

from collections.abc import Mapping, Sequence
from typing import Any

from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.problems import raise_alert, review, settle
from kici_gql.actions.surfaces import is_current
from kici_gql.errors import Forbidden
from kici_gql.events import Event, EventType
from kici_gql.rules import settings_reports as rules
from kici_gql.rules.alerts import problem
from kici_gql.rules.secrets import redacted
from kici_gql.store import Tx, alerts, fleet, records, settings
from kici_gql.tables import AlertKind, Cluster, Orchestrator, Prefix, SecretBackend, Surface, new_id

_INPUT_NAMES = {
    Surface.SECURITY_POLICY: "securityPolicy",
    Surface.ENVIRONMENTS: "environments",
    Surface.SECRET_SCOPES: "secretScopes",
    Surface.DEAD_LETTERS: "deadLetters",
    Surface.GLOBAL_WORKFLOWS: "globalWorkflows",
}


async def report(
    call: Call,
    connection_id: str,
    surfaces: Mapping[Surface, Mapping[str, Any]],
    backends: Sequence[rules.Backend] | None,
    policy: rules.Policy | None = None,
) -> Done:
    """Take the surfaces that the report speaks of, whole, and all secret backends if it speaks of them.

    `policy` is the security policy as it was sent, where that may say something twice.
    """
    surfaces = {which: rules.with_texts_redacted(document) for which, document in surfaces.items()}

    def check() -> None:
        if policy is not None:
            rules.check_policy(policy)
        for which, document in surfaces.items():
            rules.check_document(document, _INPUT_NAMES[which])
        if backends is not None:
            rules.check_backends(backends)

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        cluster = _spoken_for(tx, orchestrator)
        for which, document in surfaces.items():
            take_surface(tx, cluster, which, document)
        if backends is not None:
            take_backends(tx, cluster, backends)
        return {"object_id": orchestrator.id}

    return await perform(call, Action("orchestratorReportSettings", work, check))


async def report_queue(call: Call, connection_id: str, dead_letters: int) -> Done:
    """Take how many dead letters there are, of an orchestrator that is asked for the letters themselves."""

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        cluster = _spoken_for(tx, orchestrator)
        if dead_letters != cluster.dead_letters:
            told = {"cluster_id": cluster.id, "surface": Surface.DEAD_LETTERS}
            tx.append(Event(EventType.SURFACE_CHANGED, told))
            _watch_queue(tx, cluster, dead_letters)
        return {"object_id": orchestrator.id}

    return await perform(call, Action("orchestratorReportSettings", work))


def _spoken_for(tx: Tx, orchestrator: Orchestrator) -> Cluster:
    """The orchestrator's cluster. Raises Forbidden when another one of that name speaks for it."""
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, orchestrator.cluster_id)
    assert cluster is not None, "a foreign key says so"
    speakers = fleet.speakers(tx.connection, tx.org_id, cluster.id)
    if all(row.id != orchestrator.id for row in speakers):
        raise Forbidden(
            f"another cluster called {cluster.name} was here first", hint="Give one of them another name."
        )
    return cluster


def take_surface(tx: Tx, cluster: Cluster, which: Surface, document: Mapping[str, Any]) -> None:
    """Write a surface; tell it when it differs, or can be read again after the cluster was away."""
    before = settings.surface(tx.connection, tx.org_id, cluster.id, which)
    settings.write_surface(tx.connection, tx.org_id, cluster.id, which, document, tx.now)
    if before is None or before.document != document or not is_current(cluster, before.reported_at):
        tx.append(Event(EventType.SURFACE_CHANGED, {"cluster_id": cluster.id, "surface": which}))
    if which is Surface.DEAD_LETTERS:
        _watch_queue(tx, cluster, len(document.get("items", ())))


def take_backends(tx: Tx, cluster: Cluster, told: Sequence[rules.Backend]) -> None:
    """Write what differs, remove what is not told, and bring the backends' alerts into line."""
    cluster_id = cluster.id
    records.change(tx.connection, Cluster, cluster_id, {"backends_reported_at": tx.now})
    known = {row.name: row for row in settings.backends_of(tx.connection, tx.org_id, [cluster_id])}
    evidence: dict[str, list[int]] = {}
    for each in told:
        row, seq = _write(tx, cluster, known.get(each.name), each)
        if seq is not None:
            evidence[row.id] = [seq]
    kept = {each.name for each in told}
    for name, row in known.items():
        if name not in kept:
            records.remove(tx.connection, SecretBackend, [row.id])
            data = {"id": row.id, "cluster_id": cluster_id}
            evidence[row.id] = [tx.append(Event(EventType.BACKEND_REMOVED, data))]
    if evidence:
        review(tx, cluster_id, evidence)


def _write(
    tx: Tx, cluster: Cluster, row: SecretBackend | None, told: rules.Backend
) -> tuple[SecretBackend, int | None]:
    values: dict[str, Any] = {
        "type": told.type,
        "connected": told.connected,
        "health": told.health,
        "scopes": sorted(told.scopes),
        "last_sync_at": told.last_sync_at,
        "last_error": None if told.last_error is None else redacted(told.last_error),
    }
    same = row is not None and all(getattr(row, name) == value for name, value in values.items())
    if row is not None and same and is_current(cluster, row.reported_at):
        return row, None
    if row is None:
        row = SecretBackend(
            id=new_id(Prefix.SECRET_BACKEND, tx.now),
            org_id=tx.org_id,
            cluster_id=cluster.id,
            name=told.name,
            reported_at=tx.now,
            **values,
        )
        records.add(tx.connection, row)
    else:
        values |= {"reported_at": tx.now, "revision": row.revision + 1}
        row = records.change(tx.connection, SecretBackend, row.id, values)
    return row, tx.append(Event(EventType.BACKEND_CHANGED, records.state_of(row)))


def _watch_queue(tx: Tx, cluster: Cluster, now: int) -> None:
    """A queue that grew is a problem until it is empty, or shorter than it was."""
    before = cluster.dead_letters
    if now != before:
        records.change(tx.connection, Cluster, cluster.id, {"dead_letters": now})
    key = f"{AlertKind.DEAD_LETTERS_GROWING}:{cluster.id}"
    if before is not None and now > before:
        text = f"The dead-letter queue of cluster {cluster.name} grew to {now}"
        raise_alert(tx, problem(AlertKind.DEAD_LETTERS_GROWING, cluster.id, text, cluster.id), [tx.seq])
    elif now == 0 or (before is not None and now < before):
        alert = alerts.by_key(tx.connection, tx.org_id, key)
        if alert is not None:
            settle(tx, alert, [tx.seq])
