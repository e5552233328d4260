"""Settings that orchestrators report: scoped surfaces and secret backends."""

from collections.abc import Mapping, Sequence
from typing import Any

from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.problems import raise_alert, review, settle
from kici_gql.events import Event, EventType
from kici_gql.rules import settings_reports as rules
from kici_gql.rules.alerts import problem
from kici_gql.store import Tx, alerts, records, settings
from kici_gql.tables import AlertKind, Cluster, Prefix, SecretBackend, Surface, new_id


async def report(
    call: Call,
    connection_id: str,
    surfaces: Mapping[Surface, Mapping[str, Any]],
    backends: Sequence[rules.Backend] | None,
) -> Done:
    """Take the surfaces that the report speaks of, whole, and all secret backends if it speaks of them."""

    def check() -> None:
        for which, document in surfaces.items():
            rules.check_document(document, which.value)
        if backends is not None:
            rules.check_backends(backends)

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        for which, document in surfaces.items():
            take_surface(tx, orchestrator.cluster_id, which, document)
        if backends is not None:
            take_backends(tx, orchestrator.cluster_id, backends)
        return {"object_id": orchestrator.id}

    return await perform(call, Action("orchestratorReportSettings", work, check))


def take_surface(tx: Tx, cluster_id: str, which: Surface, document: Mapping[str, Any]) -> None:
    before = settings.surface(tx.connection, tx.org_id, cluster_id, which)
    settings.write_surface(tx.connection, tx.org_id, cluster_id, which, document, tx.now)
    if before is None or before.document != document:
        tx.append(Event(EventType.SURFACE_CHANGED, {"cluster_id": cluster_id, "surface": which}))
    if which is Surface.DEAD_LETTERS:
        _watch_queue(
            tx, cluster_id, _total(before.document) if before is not None else None, _total(document)
        )


def take_backends(tx: Tx, cluster_id: str, told: Sequence[rules.Backend]) -> None:
    """Write what differs, remove what is not told, and bring the backends' alerts into line."""
    known = {row.name: row for row in settings.backends_of(tx.connection, tx.org_id, [cluster_id])}
    evidence: dict[str, list[int]] = {}
    for each in told:
        row, seq = _write(tx, cluster_id, known.get(each.name), each)
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
    tx: Tx, cluster_id: str, row: SecretBackend | None, told: rules.Backend
) -> tuple[SecretBackend, int | None]:
    values: dict[str, Any] = {
        "type": told.type,
        "connected": told.connected,
        "health": told.health,
        "scopes": sorted(told.scopes),
        "last_sync_at": told.last_sync_at,
        "last_error": None if told.last_error is None else rules.redacted(told.last_error),
    }
    if row is not None and all(getattr(row, name) == value for name, value in values.items()):
        return row, None
    if row is None:
        row = SecretBackend(
            id=new_id(Prefix.SECRET_BACKEND, tx.now),
            org_id=tx.org_id,
            cluster_id=cluster_id,
            name=told.name,
            reported_at=tx.now,
            **values,
        )
        records.add(tx.connection, row)
    else:
        values |= {"reported_at": tx.now, "revision": row.revision + 1}
        row = records.change(tx.connection, SecretBackend, row.id, values)
    return row, tx.append(Event(EventType.BACKEND_CHANGED, records.state_of(row)))


def _total(document: Mapping[str, Any]) -> int:
    return len(document.get("items", ()))


def _watch_queue(tx: Tx, cluster_id: str, before: int | None, now: int) -> None:
    """A queue that grew is a problem until it is empty, or shorter than it was."""
    key = f"{AlertKind.DEAD_LETTERS_GROWING}:{cluster_id}"
    if before is not None and now > before:
        cluster = records.by_id(tx.connection, Cluster, tx.org_id, cluster_id)
        name = cluster.name if cluster is not None else "?"
        text = f"The dead-letter queue of cluster {name} grew to {now}"
        raise_alert(tx, problem(AlertKind.DEAD_LETTERS_GROWING, cluster_id, text, cluster_id), [tx.seq])
    elif now == 0 or (before is not None and now < before):
        alert = alerts.by_key(tx.connection, tx.org_id, key)
        if alert is not None:
            settle(tx, alert, [tx.seq])
