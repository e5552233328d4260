"""What orchestrators do: connect, beat, report what they have, say goodbye."""

import uuid
from functools import partial
from typing import Any

from sqlalchemy import Connection

from kici_gql.actions import inventory, naming, presence, registry, steady
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


async def connect(call: Call, report: reports.Connect, idempotency_key: str | None = None) -> Done:
    """Introduce an orchestrator with all it has. Answers `orchestrator_id`, `connection_id` and `cluster_name`.

    A known instance keeps its id and history and gets a new connection; the old connection ends with that.
    """
    limits = presence.thresholds(call.settings)
    work = partial(_connect, viewer=call.viewer, report=report, limits=limits)
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


async def report_inventory(call: Call, report: reports.Inventory, idempotency_key: str | None = None) -> Done:
    """Take an orchestrator's scalers and agents: all of them (`full`), or only what changed."""

    def check() -> None:
        reports.check_inventory(report.scalers, report.agents)
        reports.check_count(report.removed_scalers, "removedScalers", reports.MAX_SCALERS)
        reports.check_count(report.removed_agents, "removedAgents", reports.MAX_AGENTS)
        reports.check_removals(report)

    work = partial(
        _report_inventory, viewer=call.viewer, report=report, limits=presence.thresholds(call.settings)
    )
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
        presence.farewell(tx, orchestrator, redacted(reason or "said goodbye"))
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


def _connect(tx: Tx, viewer: Viewer, report: reports.Connect, limits: Thresholds) -> Result:
    cluster = naming.cluster_for(tx, viewer, report)
    row = _orchestrator_for(tx, cluster, report, limits)
    for elsewhere in fleet.namesakes(tx.connection, tx.org_id, row.instance_id, row.cluster_key, cluster.id):
        if elsewhere.liveness is not Liveness.OFFLINE:
            presence.farewell(tx, elsewhere, f"moved to cluster {cluster.name}")
    changes = Changes(cluster.id)
    changes.orchestrator(tx, row, arrives=True)
    inventory.keep_only(
        tx, row, {each.name for each in report.scalers}, {each.agent_id for each in report.agents}, changes
    )
    inventory.apply(tx, row, report.scalers, report.agents, limits, changes)
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


def _orchestrator_for(tx: Tx, cluster: Cluster, report: reports.Connect, limits: Thresholds) -> Orchestrator:
    verdict = liveness.alive(tx.now, limits)
    values: dict[str, Any] = {
        "connection_id": str(uuid.uuid4()),
        "cluster_key": _key_of(cluster, report),
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
        "due_at": verdict.due_at,
        **inventory.host_columns(report.host),
    }
    known = fleet.instance_of(tx.connection, cluster.id, report.instance_id) if report.instance_id else None
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


def _report_inventory(tx: Tx, viewer: Viewer, report: reports.Inventory, limits: Thresholds) -> Result:
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
    inventory.apply(tx, row, report.scalers, report.agents, limits, changes)
    changes.finish(tx)
    return {"object_id": row.id, "orchestrator_id": row.id}


def _heartbeat(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result:
    result = steady.take(tx, viewer, beat, limits)
    if result is None:
        result = _any_heartbeat(tx, viewer, beat, limits)
    registry.announce(tx, result.pop("cluster_id"), beat.registry_version)
    return result


def _any_heartbeat(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result:
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
    new = records.change(tx.connection, Orchestrator, row.id, figures)
    if verdict.state != row.liveness:
        changes.orchestrator(tx, new)
    accepted, unknown = _agents_beat(tx, row, beat, limits, changes)
    seq = tx.append(Event(EventType.ORCHESTRATOR_BEAT, steady.orchestrator_beat(tx, new)))
    if (row.queued_jobs > 0) != (beat.queued_jobs > 0):
        changes.evidence[row.id].append(seq)
    for agent in accepted:
        tx.append(Event(EventType.AGENT_BEAT, agent))
    changes.finish(tx)
    steady.remember(tx, new, accepted)
    return {
        "object_id": row.id,
        "orchestrator_id": row.id,
        "cluster_id": row.cluster_id,
        "accepted": len(accepted),
        "unknown": unknown,
    }


def _agents_beat(
    tx: Tx, orchestrator: Orchestrator, beat: reports.Heartbeat, limits: Thresholds, changes: Changes
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write the agents' figures. Returns the beats to tell, and the names that this orchestrator never reported."""
    rows = {
        row.agent_id: row
        for row in fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [orchestrator.id])
    }
    verdict = liveness.alive(tx.now, limits)
    written: list[dict[str, Any]] = []
    beats: list[dict[str, Any]] = []
    for each in beat.agents:
        row = rows.get(each.agent_id)
        if row is None:
            continue
        figures = {
            "memory_used_mb": each.memory_used_mb,
            "uptime_seconds": each.uptime_seconds,
            "active_jobs": each.active_jobs,
            "paused": each.paused,
            "last_heartbeat_at": tx.now,
        }
        if row.liveness is Liveness.ONLINE and row.paused == each.paused:
            written.append({"id": row.id, "due_at": verdict.due_at, "missed_beats": 0, **figures})
        else:
            values = figures | presence.verdict_columns(row, verdict, tx.now) | {"revision": row.revision + 1}
            changes.agent(tx, records.change(tx.connection, Agent, row.id, values))
        beats.append(steady.agent_beat(row, figures, tx))
    records.change_many(tx.connection, Agent, written)
    return beats, [each.agent_id for each in beat.agents if each.agent_id not in rows]
