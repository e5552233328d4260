"""The steady heartbeat: everybody is known, everybody is ONLINE, nothing changes but figures.

That is nearly all of an orchestrator's traffic, so it takes a short way: no row is read, what the last beat left
behind is in the writer's memory, and two prepared statements write the figures. Whatever is not like that takes
the long way in `orchestrators`, which tells the same events and leaves the same rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kici_gql.actions.perform import Result
from kici_gql.auth import Viewer
from kici_gql.events import Event, EventType, iso
from kici_gql.rules import liveness, names, reports
from kici_gql.rules.liveness import Thresholds
from kici_gql.store import Tx, records
from kici_gql.store.prepared import prepared_update
from kici_gql.tables import Agent, Cluster, Liveness, Orchestrator

_ORCHESTRATOR = prepared_update(
    Orchestrator, "memory_used_mb", "uptime_seconds", "running_jobs", "queued_jobs", "missed_beats",
    "last_heartbeat_at", "clock_skew_ms", "due_at",
)  # fmt: skip
_AGENT = prepared_update(
    Agent, "memory_used_mb", "uptime_seconds", "active_jobs", "paused", "missed_beats", "last_heartbeat_at", "due_at"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """A connected orchestrator and its agents that are ONLINE, as their last beats told them."""

    row: Orchestrator
    cluster_name: str
    told: dict[str, Any]
    agents: dict[str, dict[str, Any]]


def take(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result | None:
    """Take the beat, or answer None when it is not a steady one; then nothing has happened."""
    known: _Known | None = tx.memory.known.get(beat.connection_id)
    if known is None or (known.row.queued_jobs > 0) != (beat.queued_jobs > 0):
        return None
    if viewer.cluster_name is not None and viewer.cluster_name != known.cluster_name:
        return None
    agents = []
    for each in beat.agents:
        told = known.agents.get(each.agent_id)
        if told is None or told["paused"] != each.paused:
            return None
        agents.append(told)
    due_at, at = liveness.alive(tx.now, limits).due_at, iso(tx.now)
    _write_orchestrator(tx, known, beat, due_at)
    figures = {
        **known.told,
        "memory_used_mb": beat.memory_used_mb,
        "uptime_seconds": beat.uptime_seconds,
        "running_jobs": beat.running_jobs,
        "queued_jobs": beat.queued_jobs,
        "last_heartbeat_at": at,
    }
    tx.append(Event(EventType.ORCHESTRATOR_BEAT, figures))
    _take_agents(tx, beat, agents, due_at, at)
    return {
        "object_id": known.row.id,
        "orchestrator_id": known.row.id,
        "cluster_id": known.row.cluster_id,
        "accepted": len(agents),
        "unknown": [],
    }


def remember(tx: Tx, row: Orchestrator, beats: list[dict[str, Any]]) -> None:
    """Keep what the long way has found out, for the beats that follow."""
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, row.cluster_id)
    assert cluster is not None, "a foreign key says so"
    agents = {told["agent_id"]: told for told in beats}
    tx.memory.known[row.connection_id] = _Known(row, cluster.name, orchestrator_beat(tx, row), agents)


def agent_beat(row: Agent, figures: dict[str, Any], tx: Tx) -> dict[str, Any]:
    """What a heartbeat tells of an agent."""
    return {
        "id": row.id,
        "agent_id": row.agent_id,
        "cluster_id": row.cluster_id,
        "orchestrator_id": row.orchestrator_id,
        "scaler_id": row.scaler_id,
        "hostname": row.hostname,
        "version": row.version,
        "labels": row.labels,
        "liveness": Liveness.ONLINE,
        "cpu_count": row.cpu_count,
        "memory_total_mb": row.memory_total_mb,
        "max_concurrency": row.max_concurrency,
        **figures,
        "last_heartbeat_at": iso(tx.now),
    }


def orchestrator_beat(tx: Tx, row: Orchestrator) -> dict[str, Any]:
    """What a heartbeat tells of its orchestrator."""
    return {
        "id": row.id,
        "display_id": names.display_id(row.instance_id, row.instance_named, row.connection_id),
        "cluster_id": row.cluster_id,
        "liveness": row.liveness,
        "cpu_count": row.cpu_count,
        "memory_used_mb": row.memory_used_mb,
        "memory_total_mb": row.memory_total_mb,
        "uptime_seconds": row.uptime_seconds,
        "running_jobs": row.running_jobs,
        "queued_jobs": row.queued_jobs,
        "last_heartbeat_at": iso(tx.now),
    }


def _write_orchestrator(tx: Tx, known: _Known, beat: reports.Heartbeat, due_at: datetime | None) -> None:
    skew = known.row.clock_skew_ms
    if beat.sent_at is not None:
        skew = int((beat.sent_at - tx.now).total_seconds() * 1000)
    figures = (beat.memory_used_mb, beat.uptime_seconds, beat.running_jobs, beat.queued_jobs)
    tx.later(_ORCHESTRATOR, [(*figures, 0, tx.now, skew, due_at, known.row.id)])


def _take_agents(
    tx: Tx, beat: reports.Heartbeat, agents: list[dict[str, Any]], due_at: datetime | None, at: str
) -> None:
    rows = []
    for each, told in zip(beat.agents, agents, strict=True):
        memory, uptime, jobs, paused = (
            each.memory_used_mb, each.uptime_seconds, each.active_jobs, each.paused
        )  # fmt: skip
        rows.append((memory, uptime, jobs, paused, 0, tx.now, due_at, told["id"]))
        now = {
            **told,
            "memory_used_mb": memory,
            "uptime_seconds": uptime,
            "active_jobs": jobs,
            "paused": paused,
        }
        now["last_heartbeat_at"] = at
        tx.append(Event(EventType.AGENT_BEAT, now))
    tx.later(_AGENT, rows)
