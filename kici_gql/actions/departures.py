"""Who goes, and who comes back: orchestrators and their agents where nobody has to wait for a beat to know."""

from typing import Any

from kici_gql.actions import inventory, presence, problems
from kici_gql.actions.presence import Changes
from kici_gql.events import Event, EventType
from kici_gql.rules import liveness
from kici_gql.rules.liveness import Thresholds
from kici_gql.store import Tx, alerts, commands, fleet, records
from kici_gql.tables import Agent, AlertKind, Liveness, Orchestrator


def farewell(tx: Tx, orchestrator: Orchestrator, reason: str) -> None:
    """It said goodbye: it and its agents are OFFLINE at once, and idle. Its connection has ended with that."""
    changes = Changes(orchestrator.cluster_id)
    gone = _gone(tx, Liveness.OFFLINE, reason) | {"missed_beats": 0}
    _leave(tx, orchestrator, gone | {"running_jobs": 0, "queued_jobs": 0}, changes)
    for agent in _agents_of(tx, orchestrator):
        if agent.liveness is not Liveness.OFFLINE:
            new = records.turned(agent, gone | {"revision": agent.revision + 1, "active_jobs": 0})
            if agent.active_jobs:
                tx.later(fleet.FIGURES, [fleet.FIGURES.row_of(new)])
            changes.turn(tx, new)
    changes.finish(tx)


def lose(tx: Tx, orchestrator: Orchestrator, reason: str) -> None:
    """It is gone without a goodbye: it is LOST at once, and so are its agents, of whom only it could tell.

    As after a silence, its connection lives on: a beat over it brings it back.
    """
    changes = Changes(orchestrator.cluster_id)
    gone = _gone(tx, Liveness.LOST, reason)
    _leave(tx, orchestrator, gone, changes)
    for agent in _agents_of(tx, orchestrator):
        if agent.liveness in liveness.AWAITED:
            changes.turn(tx, records.turned(agent, gone | {"revision": agent.revision + 1}))
    changes.finish(tx)


def forget(tx: Tx, orchestrator: Orchestrator) -> None:
    """It has been away for so long that nobody waits for it: it goes with all it had, asked for and reported.

    Should it come back after all, it is a new one.
    """
    changes = Changes(orchestrator.cluster_id)
    inventory.keep_only(tx, orchestrator, (), (), changes)
    for alert in alerts.unresolved_of_kind(
        tx.connection, tx.org_id, orchestrator.cluster_id, AlertKind.REPORTED
    ):
        if alert.subject_id == orchestrator.id:
            problems.settle(tx, alert, [])
    commands.remove_of(tx.connection, orchestrator.id)
    records.remove(tx.connection, Orchestrator, [orchestrator.id])
    gone = {"id": orchestrator.id, "cluster_id": orchestrator.cluster_id}
    changes.evidence[orchestrator.id].append(tx.append(Event(EventType.ORCHESTRATOR_REMOVED, gone)))
    changes.finish(tx)


def find_again(tx: Tx, orchestrator: Orchestrator, limits: Thresholds) -> None:
    """It has shown that it lives: it is as its beats say, unless they have been missing for too long."""
    heard = orchestrator.last_heartbeat_at
    verdict = liveness.judge(heard, tx.now, heard, limits)
    values = presence.verdict_columns(orchestrator, verdict, tx.now)
    if not values:
        return
    if verdict.state is Liveness.ONLINE:
        values["liveness_reason"] = "connected again"
    changes = Changes(orchestrator.cluster_id)
    # When its agents are due is not looked for here: the next sweep does.
    row = records.change(
        tx.connection, Orchestrator, orchestrator.id, values | {"disconnected_at": None, "due_at": tx.now}
    )
    changes.orchestrator(tx, row)
    for agent in _agents_of(tx, orchestrator):
        recall(tx, agent, limits, changes)
    changes.finish(tx)


def recall(tx: Tx, agent: Agent, limits: Thresholds, changes: Changes) -> Agent:
    """Judge an agent that was lost with its orchestrator by its own silence again. Returns it as it is now."""
    if agent.liveness is not Liveness.LOST:
        return agent
    verdict = presence.agent_verdict(agent, tx.now, presence.heard_at(agent), limits, Liveness.ONLINE)
    values = presence.verdict_columns(agent, verdict, tx.now)
    if not values:
        return agent
    found = records.turned(agent, values)
    changes.turn(tx, found)
    return found


def _gone(tx: Tx, state: Liveness, reason: str) -> dict[str, Any]:
    return {"liveness": state, "liveness_reason": reason, "liveness_since": tx.now}


def _leave(tx: Tx, orchestrator: Orchestrator, gone: dict[str, Any], changes: Changes) -> None:
    left = {"disconnected_at": tx.now, "due_at": None, "revision": orchestrator.revision + 1}
    row = records.change(tx.connection, Orchestrator, orchestrator.id, gone | left)
    changes.orchestrator(tx, row)


def _agents_of(tx: Tx, orchestrator: Orchestrator) -> list[Agent]:
    return list(fleet.children(tx.connection, Agent, tx.org_id, "orchestrator_id", [orchestrator.id]))
