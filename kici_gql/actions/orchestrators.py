"""What orchestrators do: connect, beat, report what they have, say goodbye."""

import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from kici_gql.actions import departures, inventory, naming, presence, registry, steady
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.presence import Changes
from kici_gql.auth import Viewer
from kici_gql.errors import UnknownConnection
from kici_gql.events import Event, EventType
from kici_gql.rules import liveness, reports
from kici_gql.rules.liveness import Thresholds
from kici_gql.rules.secrets import redacted
from kici_gql.store import Tx, fleet, records
from kici_gql.tables import Agent, Cluster, Liveness, Orchestrator, Prefix, new_id


def _nothing(_tx: Tx) -> None:
    pass


async def connect(
    call: Call,
    report: reports.Connect,
    idempotency_key: str | None = None,
    *,
    held_by: str | None = None,
    before: Callable[[Tx], None] = _nothing,
) -> Done:
    """Introduce an orchestrator with all it has. Answers `orchestrator_id`, `connection_id` and `cluster_name`.

    A known instance keeps its id and history and gets a new connection; the old connection ends with that.
    `held_by`: it will not report its settings, this process of ours has to ask over the connection that it holds.
    `before` is done first, in the same transaction.
    """
    limits = presence.thresholds(call.settings)

    def work(tx: Tx) -> Result:
        before(tx)
        return _connect(tx, call.viewer, report, limits, held_by=held_by)

    check = partial(reports.check_connect, report)
    return await perform(
        call,
        Action("orchestratorConnect", work, check, idempotency_key=idempotency_key, input=report),
    )


async def heartbeat(call: Call, beat: reports.Heartbeat) -> Done:
    """Take one orchestrator's and all its agents' figures. Answers `accepted` and the names that are `unknown`."""
    work = partial(_heartbeat, viewer=call.viewer, beat=beat, limits=presence.thresholds(call.settings))
    return await perform(
        call,
        Action("orchestratorHeartbeat", work, lambda: reports.check_heartbeat(beat, call.store.now())),
    )


async def report_inventory(
    call: Call,
    report: reports.Inventory,
    idempotency_key: str | None = None,
    *,
    before: Callable[[Tx], None] = _nothing,
) -> Done:
    """Take an orchestrator's scalers and agents: all of them (`full`), or only what changed.

    `before` is done first, in the same transaction.
    """

    def check() -> None:
        reports.check_inventory(report.scalers, report.agents)
        reports.check_count(report.removed_scalers, "removedScalers", reports.MAX_SCALERS)
        reports.check_count(report.removed_agents, "removedAgents", reports.MAX_AGENTS)
        reports.check_removals(report)

    def work(tx: Tx) -> Result:
        before(tx)
        return _report_inventory(tx, call.viewer, report)

    return await perform(
        call,
        Action("orchestratorReportInventory", work, check, idempotency_key=idempotency_key, input=report),
    )


async def disconnect(call: Call, connection_id: str, reason: str | None) -> Done:
    """Say goodbye: the orchestrator and its agents are OFFLINE at once."""

    def check() -> None:
        if reason is not None:
            reports.check_text(reason, ["reason"], empty=True)

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        departures.farewell(tx, orchestrator, redacted(reason or "said goodbye"))
        return {"orchestrator_id": orchestrator.id, "object_id": orchestrator.id}

    return await perform(call, Action("orchestratorDisconnect", work, check))


def connected(tx: Tx, viewer: Viewer, connection_id: str) -> Orchestrator:
    """The orchestrator behind this connection. Raises UnknownConnection when it is not there, or not the viewer's."""
    return find_connected(tx.connection, viewer, connection_id)


def find_connected(connection: Connection, viewer: Viewer, connection_id: str) -> Orchestrator:
    """As `connected`, outside of a transaction."""
    row = fleet.orchestrator_of(connection, viewer.org_id, connection_id)
    if row is not None and viewer.cluster_name is not None:
        cluster = records.by_id(connection, Cluster, viewer.org_id, row.cluster_id)
        row = row if cluster is not None and naming.belongs(connection, viewer, cluster) else None
    if row is None or row.liveness is Liveness.OFFLINE:
        raise UnknownConnection(
            "no orchestrator is connected with this connectionId",
            hint="Call orchestratorConnect and use the connectionId that it answers.",
            path=["connectionId"],
        )
    return row


def _connect(
    tx: Tx, viewer: Viewer, report: reports.Connect, limits: Thresholds, *, held_by: str | None
) -> Result:
    cluster = naming.cluster_for(tx, viewer, report)
    known = fleet.instance_of(tx.connection, cluster.id, report.instance_id) if report.instance_id else None
    row = _orchestrator_for(tx, cluster, known, report, limits, held_by=held_by)
    for elsewhere in fleet.namesakes(tx.connection, tx.org_id, row.instance_id, row.cluster_key, cluster.id):
        home = records.by_id(tx.connection, Cluster, tx.org_id, elsewhere.cluster_id)
        ours = home is not None and naming.belongs(tx.connection, viewer, home)
        if ours and elsewhere.liveness is not Liveness.OFFLINE:
            departures.farewell(tx, elsewhere, f"moved to cluster {cluster.name}")
    changes = Changes(cluster.id)
    changes.orchestrator(tx, row, arrives=True)
    inventory.keep_only(
        tx, row, {each.name for each in report.scalers}, {each.agent_id for each in report.agents}, changes
    )
    returns = known is not None and known.liveness is Liveness.LOST
    inventory.apply(tx, row, report.scalers, report.agents, changes, returns=returns)
    changes.finish(tx)
    registry.announce(tx, cluster.id, report.registry_version)
    return {
        "object_id": row.id,
        "orchestrator_id": row.id,
        "connection_id": row.connection_id,
        "cluster_name": cluster.name,
    }


def _key_of(cluster: Cluster, report: reports.Connect) -> str | None:
    """A cluster's global id in place of a key of its own means whichever cluster the orchestrator has come to be in."""
    key = report.cluster_key
    return cluster.id if key is not None and key.startswith(f"{Prefix.CLUSTER}_") else key


def _orchestrator_for(
    tx: Tx,
    cluster: Cluster,
    known: Orchestrator | None,
    report: reports.Connect,
    limits: Thresholds,
    *,
    held_by: str | None,
) -> Orchestrator:
    verdict = liveness.alive(tx.now, limits)
    values: dict[str, Any] = {
        "connection_id": str(uuid.uuid4()),
        "cluster_key": _key_of(cluster, report),
        "asked_live": held_by is not None,
        "listens_at": held_by,
        "role": report.role,
        "version": report.version,
        "mode": report.mode,
        "routing_keys": list(report.routing_keys),
        "capabilities": list(report.capabilities),
        "registry_version": report.registry_version,
        "liveness": verdict.state,
        "liveness_reason": "connected",
        "liveness_since": tx.now,
        "missed_beats": 0,
        "connected_at": tx.now,
        "disconnected_at": None,
        "last_heartbeat_at": tx.now,
        "due_at": tx.now,  # some of its agents may be known already, and silent for a while
        **inventory.host_columns(report.host),
    }
    if known is not None:
        return records.change(
            tx.connection, Orchestrator, known.id, values | {"revision": known.revision + 1}
        )
    row = Orchestrator(
        id=new_id(Prefix.ORCHESTRATOR, tx.now),
        org_id=tx.org_id,
        cluster_id=cluster.id,
        instance_id=report.instance_id or str(uuid.uuid4()),
        instance_named=report.instance_id is not None,
        memory_used_mb=0,
        uptime_seconds=0,
        **values,
    )
    return records.add(tx.connection, row)


def _report_inventory(tx: Tx, viewer: Viewer, report: reports.Inventory) -> Result:
    row = connected(tx, viewer, report.connection_id)
    changes = Changes(row.cluster_id)
    inventory.remove(
        tx,
        row,
        report.removed_scalers,
        report.removed_agents,
        {each.agent_id for each in report.agents},
        changes,
    )
    if report.full:
        inventory.keep_only(
            tx,
            row,
            {each.name for each in report.scalers},
            {each.agent_id for each in report.agents},
            changes,
        )
    inventory.apply(tx, row, report.scalers, report.agents, changes)
    if changes.evidence:  # whose silence is due when, is as it was where nothing changed
        fleet.judge_soon(tx.connection, row.id, tx.now)
    changes.finish(tx)
    return {"object_id": row.id, "orchestrator_id": row.id}


def _heartbeat(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result:
    return steady.take(tx, viewer, beat, limits) or _any_heartbeat(tx, viewer, beat, limits)


def _any_heartbeat(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result:
    tx.put_off()  # a cut network that is whole again brings everybody's beats at once, and each changes a lot
    row = connected(tx, viewer, beat.connection_id)
    changes = Changes(row.cluster_id)
    figures: dict[str, Any] = {
        "memory_used_mb": beat.memory_used_mb,
        "uptime_seconds": beat.uptime_seconds,
        "running_jobs": beat.running_jobs,
        "queued_jobs": beat.queued_jobs,
        "last_heartbeat_at": tx.now,
    }
    if beat.sent_at is not None:
        figures["clock_skew_ms"] = int((beat.sent_at - tx.now).total_seconds() * 1000)
    verdict = liveness.alive(tx.now, limits)
    figures |= presence.verdict_columns(row, verdict, tx.now)
    if verdict.state != row.liveness:
        figures["disconnected_at"] = None
    beating = {each.agent_id for each in beat.agents}
    agents = fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [row.id])
    if row.liveness is Liveness.LOST:
        agents = [
            agent if agent.agent_id in beating else departures.recall(tx, agent, limits, changes)
            for agent in agents
        ]
    others_due_at = _others_due_at(agents, beating, tx.now, limits)
    due_at = min(moment for moment in (verdict.due_at, others_due_at) if moment is not None)
    new = records.change(tx.connection, Orchestrator, row.id, figures | {"due_at": due_at})
    if verdict.state != row.liveness:
        changes.orchestrator(tx, new)
    accepted, unknown = _agents_beat(tx, agents, beat, limits, changes)
    seq = tx.append(Event(EventType.ORCHESTRATOR_BEAT, steady.orchestrator_beat(new)))
    if (row.queued_jobs > 0) != (beat.queued_jobs > 0):
        changes.evidence[row.id].append(seq)
        tx.disturbed.add(row.id)  # the alerts depend on it
    for agent in accepted:
        tx.append(Event(EventType.AGENT_BEAT, steady.agent_beat(agent)))
    changes.finish(tx)
    steady.remember(tx, new, accepted, others_due_at, beat.registry_version)
    registry.announce(tx, row.cluster_id, beat.registry_version)
    return {
        "object_id": row.id,
        "orchestrator_id": row.id,
        "accepted": len(accepted),
        "unknown": unknown,
    }


def _others_due_at(
    agents: Iterable[Agent], beating: Collection[str], now: datetime, limits: Thresholds
) -> datetime | None:
    """When the silence of those agents that did not beat has to be judged next."""
    awaited = (row for row in agents if row.agent_id not in beating and row.liveness in liveness.AWAITED)
    return min((liveness.due_at(presence.heard_at(row), now, limits) for row in awaited), default=None)


def _agents_beat(
    tx: Tx, agents: Iterable[Agent], beat: reports.Heartbeat, limits: Thresholds, changes: Changes
) -> tuple[list[Agent], list[str]]:
    """Write the agents' figures. Returns those that beat, and the names that this orchestrator never reported."""
    rows = {row.agent_id: row for row in agents}
    known = [(each, rows[each.agent_id]) for each in beat.agents if each.agent_id in rows]
    verdict = liveness.alive(tx.now, limits)
    figures = [
        (row.serial, each.memory_used_mb, each.uptime_seconds, each.active_jobs, tx.now)
        for each, row in known
    ]
    tx.later(fleet.FIGURES, figures)
    beaten = []
    for each, row in known:
        values: dict[str, Any] = {
            "memory_used_mb": each.memory_used_mb,
            "uptime_seconds": each.uptime_seconds,
            "active_jobs": each.active_jobs,
            "last_heartbeat_at": tx.now,
        }
        if row.liveness is Liveness.ONLINE and row.paused == each.paused:
            beaten.append(records.turned(row, {**values, "revision": row.revision}))
            continue
        values |= presence.verdict_columns(row, verdict, tx.now) | {"paused": each.paused}
        beaten.append(records.turned(row, {"revision": row.revision + 1, **values}))
        changes.turn(tx, beaten[-1])
    return beaten, [each.agent_id for each in beat.agents if each.agent_id not in rows]
