"""What the actions are given: the reports of `rules` as they come out of a session's effects."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kici_gql.relay.messages import registrations
from kici_gql.relay.messages.diagnostics import (
    UNKNOWN,
    Agent,
    AgentFigures,
    Diagnostics,
    Figures,
    Host,
    Inventory,
    Scaler,
    role_of,
)
from kici_gql.relay.messages.introduction import Capabilities
from kici_gql.relay.session.effects import Beat, Introduce
from kici_gql.rules import reports
from kici_gql.tables import BackendHealth, OrchestratorRole


@dataclass(slots=True)
class Connecting:
    """An orchestrator's introduction. Its instance id is its process's own unless somebody set one."""

    cluster_name: str | None
    cluster_key: str | None
    instance_id: str | None
    role: OrchestratorRole
    version: str
    mode: str
    host: Host
    routing_keys: list[str]
    capabilities: list[str]
    scalers: Sequence[Scaler]
    agents: Sequence[Agent]
    registry_version: str | None = None


def connecting(effect: Introduce) -> Connecting:
    told, known = effect.register, effect.diagnostics
    fleet = known.inventory if known is not None else _empty(effect)
    return Connecting(
        cluster_name=told.cluster_name,
        cluster_key=told.cluster_id,
        instance_id=told.instance_id or _instance_of(known),
        role=fleet.role,
        version=told.version or fleet.version,
        mode=told.mode or UNKNOWN,
        host=fleet.host,
        routing_keys=list(effect.routing_keys),
        capabilities=names_of(effect.capabilities),
        scalers=fleet.scalers,
        agents=fleet.agents,
    )


def _empty(effect: Introduce) -> Inventory:
    return Inventory(Host(), role_of(effect.capabilities.role), UNKNOWN, [], [])


def _instance_of(known: Diagnostics | None) -> str | None:
    return known.instance_id if known is not None else None


def names_of(capabilities: Capabilities) -> list[str]:
    """What it can be asked, as names."""
    return sorted(capabilities.requests or ())[: reports.MAX_ROUTING_KEYS]


@dataclass(slots=True)
class Beating:
    connection_id: str
    sent_at: datetime | None
    memory_used_mb: int
    uptime_seconds: int
    running_jobs: int
    queued_jobs: int
    agents: Sequence[AgentFigures]
    registry_version: str | None = None


def beating(connection_id: str, beat: Beat) -> Beating:
    figures: Figures = beat.figures
    return Beating(
        connection_id,
        None,  # judged by nothing, and refused when an orchestrator's clock is off by a day
        figures.memory_used_mb,
        figures.uptime_seconds,
        figures.running_jobs,
        figures.queued_jobs,
        beat.agents,
    )


@dataclass(slots=True)
class Refitting:
    """The whole inventory."""

    connection_id: str
    scalers: Sequence[Scaler]
    agents: Sequence[Agent]
    full: bool = True
    removed_scalers: list[str] = field(default_factory=list)
    removed_agents: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Listing:
    """The whole workflow registry."""

    connection_id: str
    registry_version: str | None
    workflows: Sequence[registrations.Workflow]
    full: bool = True
    registry_error: str | None = None
    removed: list[str] = field(default_factory=list)


def listing(connection_id: str, registry: registrations.Registry, now: datetime) -> Listing:
    """The registry, without the times of a clock that is far ahead: they must not cost the whole of it."""
    latest = now + reports.MAX_CLOCK_SKEW
    workflows = [
        replace(
            each,
            registered_at=_until(latest, each.registered_at),
            last_triggered_at=_until(latest, each.last_triggered_at),
        )
        for each in registry.workflows
    ]
    return Listing(connection_id, registry.registry_version, workflows)


def _until(latest: datetime, moment: datetime | None) -> datetime | None:
    return moment if moment is not None and moment <= latest else None


@dataclass(slots=True)
class Backend:
    """A secret backend. KiCI tells how many scopes there are, not which."""

    name: str
    type: str
    connected: bool
    health: BackendHealth
    last_sync_at: datetime | None
    last_error: str | None
    scopes: list[str] = field(default_factory=list)


def backend(told: registrations.SecretBackend) -> Backend:
    word = told.health.upper()
    health = BackendHealth(word) if word in BackendHealth.__members__ else BackendHealth.UNKNOWN
    connected = told.enabled and health in {BackendHealth.HEALTHY, BackendHealth.DEGRADED}
    return Backend(told.name, told.type, connected, health, told.last_sync_at, told.last_sync_error)


@dataclass(slots=True)
class Part:
    """Log lines with their numbers."""

    run_id: str
    job_id: str
    step: int
    first_line: int
    lines: list[str] = field(default_factory=list)
