"""The steady heartbeat: everybody is known, everybody is ONLINE, nothing changes but figures.

That is nearly all of an orchestrator's traffic, so it takes a short way: no row is read, what the last beat left
behind is in the writer's memory, and two prepared statements write the figures. Whatever is not like that takes
the long way in `orchestrators`, which tells the same events and leaves the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from kici_gql.actions.perform import Result
from kici_gql.auth import Viewer
from kici_gql.events import Encoded, Event, EventType, Topic, iso
from kici_gql.rules import names, reports
from kici_gql.rules.liveness import Thresholds
from kici_gql.store import Tx, fleet, records
from kici_gql.store.prepared import prepared_update
from kici_gql.tables import Agent, Cluster, Liveness, Orchestrator

_ORCHESTRATOR = prepared_update(
    Orchestrator, "memory_used_mb", "uptime_seconds", "running_jobs", "queued_jobs", "last_heartbeat_at",
    "clock_skew_ms", "due_at",
)  # fmt: skip


@dataclass(slots=True)
class _KnownAgent:
    """An agent that is ONLINE. `told` is its profile encoded, without the last brace."""

    serial: int
    paused: bool
    profile: Mapping[str, Any]
    told: bytes
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """A connected orchestrator and its agents that are ONLINE, as their last beats told them."""

    row: Orchestrator
    cluster_name: str
    profile: Mapping[str, Any]
    told: bytes
    agents: Mapping[str, _KnownAgent]
    others_due_at: datetime | None
    """When the silence of its other agents has to be judged next."""
    registry_version: str | None


def take(tx: Tx, viewer: Viewer, beat: reports.Heartbeat, limits: Thresholds) -> Result | None:
    """Take the beat, or answer None when it is not a steady one; then nothing has happened."""
    known: _Known | None = tx.memory.recall(beat.connection_id)
    if known is None or (known.row.queued_jobs > 0) != (beat.queued_jobs > 0):
        return None
    if viewer.cluster_name is not None and viewer.cluster_name != known.cluster_name:
        return None
    if beat.registry_version not in {None, known.registry_version}:
        return None
    agents = []
    for each in beat.agents:
        agent = known.agents.get(each.agent_id)
        if agent is None or agent.paused != each.paused:
            return None
        agents.append(agent)
    for agent in agents:
        agent.heard_at = tx.now
    _write(tx, known, beat, agents, limits)
    told = iso(tx.now), known, beat, agents
    tx.append_encoded(Topic.HEARTBEATS, Encoded(1 + len(agents), _encoded(*told), partial(_events, *told)))
    return {
        "object_id": known.row.id,
        "orchestrator_id": known.row.id,
        "accepted": len(agents),
        "unknown": [],
    }


def _write(
    tx: Tx, known: _Known, beat: reports.Heartbeat, agents: Sequence[_KnownAgent], limits: Thresholds
) -> None:
    skew = known.row.clock_skew_ms
    if beat.sent_at is not None:
        skew = int((beat.sent_at - tx.now).total_seconds() * 1000)
    figures = (beat.memory_used_mb, beat.uptime_seconds, beat.running_jobs, beat.queued_jobs)
    everybody = len(agents) == len(known.agents)
    heard_at = tx.now if everybody else min(each.heard_at for each in known.agents.values())
    due_at = heard_at + limits.late_after
    if known.others_due_at is not None:
        due_at = min(due_at, known.others_due_at)
    tx.later(_ORCHESTRATOR, [(*figures, tx.now, skew, due_at, known.row.id)])
    tx.later(
        fleet.FIGURES,
        [
            (agent.serial, each.memory_used_mb, each.uptime_seconds, each.active_jobs, tx.now)
            for each, agent in zip(beat.agents, agents, strict=True)
        ],
    )


def _encoded(at: str, known: _Known, beat: reports.Heartbeat, agents: Sequence[_KnownAgent]) -> bytes:
    """What `encode_events` would make of `_events`. Encoding what never changes but once is half the work saved."""
    heard = at.encode()
    told = [
        _ORCHESTRATOR_TOLD
        % (known.told, beat.memory_used_mb, beat.uptime_seconds, beat.running_jobs, beat.queued_jobs, heard)
    ]
    told += [
        _AGENT_TOLD % (agent.told, each.memory_used_mb, each.uptime_seconds, each.active_jobs, heard)
        for each, agent in zip(beat.agents, agents, strict=True)
    ]
    return b"[" + b",".join(told) + b"]"


_FIGURES_TOLD = b',"memory_used_mb":%d,"uptime_seconds":%d,'
_ORCHESTRATOR_TOLD = (
    b'["' + EventType.ORCHESTRATOR_BEAT.encode() + b'",%b' + _FIGURES_TOLD
    + b'"running_jobs":%d,"queued_jobs":%d,"last_heartbeat_at":"%b"}]'
)  # fmt: skip
_AGENT_TOLD = (
    b'["' + EventType.AGENT_BEAT.encode() + b'",%b' + _FIGURES_TOLD
    + b'"active_jobs":%d,"last_heartbeat_at":"%b"}]'
)  # fmt: skip


def _events(
    at: str, known: _Known, beat: reports.Heartbeat, agents: Sequence[_KnownAgent]
) -> Sequence[Event]:
    figures = {
        "memory_used_mb": beat.memory_used_mb,
        "uptime_seconds": beat.uptime_seconds,
        "running_jobs": beat.running_jobs,
        "queued_jobs": beat.queued_jobs,
        "last_heartbeat_at": at,
    }
    events = [Event(EventType.ORCHESTRATOR_BEAT, figures, known.profile)]
    for each, agent in zip(beat.agents, agents, strict=True):
        figures = {
            "memory_used_mb": each.memory_used_mb,
            "uptime_seconds": each.uptime_seconds,
            "active_jobs": each.active_jobs,
            "last_heartbeat_at": at,
        }
        events.append(Event(EventType.AGENT_BEAT, figures, agent.profile))
    return events


def remember(
    tx: Tx,
    row: Orchestrator,
    agents: Iterable[Agent],
    others_due_at: datetime | None,
    registry_version: str | None,
) -> None:
    """Keep what the long way has found out, for the beats that follow: `agents` have just beaten."""
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, row.cluster_id)
    assert cluster is not None, "a foreign key says so"
    known = {each.agent_id: _known_agent(each, tx.now) for each in agents}
    profile = orchestrator_profile(row)
    value = _Known(row, cluster.name, profile, _opened(profile), known, others_due_at, registry_version)
    tx.memory.remember(row.connection_id, value, about=frozenset({row.id, row.cluster_id}))


def _known_agent(row: Agent, now: datetime) -> _KnownAgent:
    profile = agent_profile(row)
    return _KnownAgent(row.serial, row.paused, profile, _opened(profile), now)


def _opened(profile: Mapping[str, Any]) -> bytes:
    return orjson.dumps(profile)[:-1]


def agent_profile(row: Agent) -> dict[str, Any]:
    """What a heartbeat tells of an agent that is ONLINE besides its figures."""
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
        "paused": row.paused,
    }


def agent_beat(row: Agent) -> dict[str, Any]:
    """What a heartbeat tells of an agent: it has just been written."""
    assert row.last_heartbeat_at is not None, "so it has been heard"
    return {
        **agent_profile(row),
        "memory_used_mb": row.memory_used_mb,
        "uptime_seconds": row.uptime_seconds,
        "active_jobs": row.active_jobs,
        "last_heartbeat_at": iso(row.last_heartbeat_at),
    }


def orchestrator_profile(row: Orchestrator) -> dict[str, Any]:
    """What a heartbeat tells of its orchestrator besides its figures."""
    return {
        "id": row.id,
        "display_id": names.display_id(row.instance_id, row.instance_named, row.connection_id),
        "cluster_id": row.cluster_id,
        "liveness": row.liveness,
        "cpu_count": row.cpu_count,
        "memory_total_mb": row.memory_total_mb,
    }


def orchestrator_beat(row: Orchestrator) -> dict[str, Any]:
    """What a heartbeat tells of its orchestrator: it has just been written."""
    return {
        **orchestrator_profile(row),
        "memory_used_mb": row.memory_used_mb,
        "uptime_seconds": row.uptime_seconds,
        "running_jobs": row.running_jobs,
        "queued_jobs": row.queued_jobs,
        "last_heartbeat_at": iso(row.last_heartbeat_at),
    }
