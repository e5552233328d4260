"""What an orchestrator has: its scalers and agents, written only where they differ from what is known."""

from collections.abc import Collection, Sequence
from typing import Any

from kici_gql.actions.presence import Changes, recount
from kici_gql.errors import InvalidInput, NotFound
from kici_gql.events import Event, EventType
from kici_gql.rules import reports
from kici_gql.store import Tx, fleet, records
from kici_gql.tables import Agent, AgentRecord, Liveness, Orchestrator, Prefix, Scaler, new_id, new_serial


def apply(
    tx: Tx,
    orchestrator: Orchestrator,
    scalers: Sequence[reports.Scaler],
    agents: Sequence[reports.Agent],
    changes: Changes,
    *,
    returns: bool = False,
) -> None:
    """Add what is new, change what differs. Raises InvalidInput when an agent names an unknown scaler or is another's.

    `returns`: the orchestrator was LOST, and its agents with it.
    """
    known = {
        row.name: row
        for row in fleet.children(tx.connection, Scaler, tx.org_id, "orchestrator_id", [orchestrator.id])
    }
    for scaler in scalers:
        known[scaler.name] = _write_scaler(tx, orchestrator, known.get(scaler.name), scaler, changes)
    ours = fleet.agents_by_name(tx.connection, orchestrator.cluster_id, [agent.agent_id for agent in agents])
    away = _owners_away(tx, orchestrator, ours, agents) | ({orchestrator.id} if returns else set())
    for index, agent in enumerate(agents):
        scaler_id = None
        if agent.scaler is not None:
            if agent.scaler not in known:
                raise InvalidInput(
                    f"scaler {agent.scaler[:80]!r} is not one of this orchestrator's",
                    hint="Report the scaler in the same call, or before.",
                    path=["agents", index, "scaler"],
                )
            scaler_id = known[agent.scaler].id
        _write_agent(tx, orchestrator, ours.get(agent.agent_id), agent, scaler_id, changes, away)


def keep_only(
    tx: Tx, orchestrator: Orchestrator, scalers: Collection[str], agents: Collection[str], changes: Changes
) -> None:
    """Remove the orchestrator's scalers and agents whose names are not listed: the report was complete."""
    gone_agents = [
        row
        for row in fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [orchestrator.id])
        if row.agent_id not in agents
    ]
    gone_scalers = [
        row
        for row in fleet.children(tx.connection, Scaler, tx.org_id, "orchestrator_id", [orchestrator.id])
        if row.name not in scalers
    ]
    _remove(tx, gone_scalers, gone_agents, agents, changes)


def remove(
    tx: Tx,
    orchestrator: Orchestrator,
    scalers: Sequence[str],
    agents: Sequence[str],
    kept: Collection[str],
    changes: Changes,
) -> None:
    """Remove some by name, but no agent in `kept`. Raises NotFound when the orchestrator has none of that name."""
    mine = {
        row.agent_id: row
        for row in fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [orchestrator.id])
    }
    my_scalers = {
        row.name: row
        for row in fleet.children(tx.connection, Scaler, tx.org_id, "orchestrator_id", [orchestrator.id])
    }
    for field, names, rows in (("removedAgents", agents, mine), ("removedScalers", scalers, my_scalers)):
        for index, name in enumerate(names):
            if name not in rows:
                raise NotFound(
                    f"this orchestrator has no {name[:80]!r}",
                    hint="Remove only what it reported.",
                    path=[field, index],
                )
    _remove(tx, [my_scalers[name] for name in scalers], [mine[name] for name in agents], kept, changes)


def _remove(
    tx: Tx, scalers: Sequence[Scaler], agents: Sequence[Agent], kept: Collection[str], changes: Changes
) -> None:
    """Scalers go with their agents, except for agents in `kept`: the report that is at hand puts them elsewhere."""
    if not scalers and not agents:
        return
    doomed = {row.id for row in scalers}
    orphans = fleet.children(tx.connection, Agent, tx.org_id, "scaler_id", doomed) if doomed else []
    gone = {row.id: row for row in (*agents, *(row for row in orphans if row.agent_id not in kept))}
    for row in orphans:
        if row.id not in gone:
            changes.enter(tx, records.turned(row, {"scaler_id": None, "revision": row.revision + 1}))
    records.remove(tx.connection, AgentRecord, gone)
    for row in gone.values():
        data = {"id": row.id, "agent_id": row.agent_id, "cluster_id": row.cluster_id}
        changes.evidence[row.id].append(tx.append(Event(EventType.AGENT_REMOVED, data)))
    recount(tx, {row.scaler_id for row in gone.values() if row.scaler_id} - doomed)
    records.remove(tx.connection, Scaler, doomed)
    for scaler in scalers:
        data = {"id": scaler.id, "name": scaler.name, "cluster_id": scaler.cluster_id}
        changes.evidence[scaler.id].append(tx.append(Event(EventType.SCALER_REMOVED, data)))


def _write_scaler(
    tx: Tx, orchestrator: Orchestrator, row: Scaler | None, report: reports.Scaler, changes: Changes
) -> Scaler:
    values: dict[str, Any] = {
        "type": report.type,
        "max_agents": report.max_agents,
        "labels": list(report.labels),
        "config_summary": {entry.key: entry.value for entry in report.config_summary},
        "hosts": list(report.hosts),
    }
    if row is None:
        row = Scaler(
            id=new_id(Prefix.SCALER, tx.now),
            org_id=tx.org_id,
            cluster_id=orchestrator.cluster_id,
            orchestrator_id=orchestrator.id,
            name=report.name,
            **values,
        )
        records.add(tx.connection, row)
    elif all(getattr(row, name) == value for name, value in values.items()):
        return row
    else:
        row = records.change(tx.connection, Scaler, row.id, values | {"revision": row.revision + 1})
    changes.evidence[row.id].append(tx.append(Event(EventType.SCALER_CHANGED, records.state_of(row))))
    return row


def _write_agent(
    tx: Tx,
    orchestrator: Orchestrator,
    row: Agent | None,
    report: reports.Agent,
    scaler_id: str | None,
    changes: Changes,
    away: Collection[str],
) -> None:
    values = _agent_columns(orchestrator, report, scaler_id)
    if row is None:
        changes.enter(tx, _new_agent(tx, orchestrator, report.agent_id, values))
        return
    if row.liveness is Liveness.OFFLINE or (row.liveness is Liveness.LOST and row.orchestrator_id in away):
        # Its orchestrator is back, or it has another one, so somebody waits for its beats again.
        values |= {
            "liveness": Liveness.NEVER_SEEN,
            "liveness_reason": "no heartbeat since its orchestrator is back",
        }
        values |= {"liveness_since": tx.now, "first_seen_at": tx.now, "last_heartbeat_at": None}
    if any(getattr(row, name) != value for name, value in values.items()):
        if row.scaler_id not in {None, scaler_id}:
            changes.scalers.add(str(row.scaler_id))
        new = records.turned(row, values | {"revision": row.revision + 1})
        changes.enter(tx, new)
        if new.last_heartbeat_at != row.last_heartbeat_at:
            tx.later(fleet.FIGURES, [fleet.FIGURES.row_of(new)])


def _new_agent(tx: Tx, orchestrator: Orchestrator, agent_id: str, values: dict[str, Any]) -> Agent:
    return records.made(
        Agent,
        id=new_id(Prefix.AGENT, tx.now),
        serial=new_serial(),
        org_id=tx.org_id,
        cluster_id=orchestrator.cluster_id,
        agent_id=agent_id,
        first_seen_at=tx.now,
        liveness=Liveness.NEVER_SEEN,
        liveness_reason="no heartbeat yet",
        liveness_since=tx.now,
        memory_used_mb=0,
        uptime_seconds=0,
        active_jobs=0,
        last_heartbeat_at=None,
        **values,
    )


def _agent_columns(
    orchestrator: Orchestrator, report: reports.Agent, scaler_id: str | None
) -> dict[str, Any]:
    return {
        "orchestrator_id": orchestrator.id,
        "scaler_id": scaler_id,
        "version": report.version,
        "labels": list(report.labels),
        "max_concurrency": report.max_concurrency,
        **host_columns(report.host),
    }


def host_columns(host: reports.Host) -> dict[str, Any]:
    return {
        "hostname": host.hostname,
        "running_as": host.running_as,
        "platform": host.platform,
        "arch": host.arch,
        "cpu_count": host.cpu_count,
        "memory_total_mb": host.memory_total_mb,
    }


def _owners_away(
    tx: Tx, orchestrator: Orchestrator, known: dict[str, Agent], agents: Sequence[reports.Agent]
) -> set[str]:
    """Other orchestrators of the cluster that had some of these agents and are not there any more.

    Raises InvalidInput when an agent is there with another orchestrator that is.
    """
    foreign = {row.agent_id: row for row in known.values() if row.orchestrator_id != orchestrator.id}
    if not foreign:
        return set()
    owners = {
        row.id: row
        for row in records.by_ids(
            tx.connection, Orchestrator, tx.org_id, {row.orchestrator_id for row in foreign.values()}
        )
    }
    for index, agent in enumerate(agents):
        row = foreign.get(agent.agent_id)
        if row is None or row.liveness not in fleet.PRESENT:
            continue
        owner = owners[row.orchestrator_id]
        if owner.liveness in fleet.PRESENT:
            raise InvalidInput(
                f"agent {agent.agent_id[:80]!r} is reported by orchestrator {owner.instance_id[:80]!r} already",
                hint="Agent ids are unique in a cluster.",
                path=["agents", index, "agentId"],
            )
    return {owner.id for owner in owners.values() if owner.liveness not in fleet.PRESENT}
