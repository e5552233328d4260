"""The answer to `dashboard.diagnostics`: an orchestrator's host, its figures, its scalers and agents.

Scalers and agents have the shapes that `rules.reports` asks for. What the orchestrator leaves open (an agent has no
memory figures in its first minute) is filled with what says least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from kici_gql.relay.messages import values
from kici_gql.relay.messages.redaction import redact
from kici_gql.relay.messages.values import Body
from kici_gql.rules import reports
from kici_gql.tables import OrchestratorRole, ScalerType

UNKNOWN = "unknown"


@dataclass(slots=True)
class Host:
    hostname: str = UNKNOWN
    running_as: str = UNKNOWN
    platform: str = UNKNOWN
    arch: str = UNKNOWN
    cpu_count: int = 1
    memory_total_mb: int = 0


@dataclass(slots=True)
class ConfigEntry:
    key: str
    value: str


@dataclass(slots=True)
class Scaler:
    name: str
    type: ScalerType
    max_agents: int
    labels: list[str]
    config_summary: list[ConfigEntry]
    hosts: list[str]


@dataclass(slots=True)
class Agent:
    agent_id: str
    scaler: str | None
    version: str
    labels: list[str]
    max_concurrency: int
    host: Host


@dataclass(slots=True)
class AgentFigures:
    agent_id: str
    memory_used_mb: int
    uptime_seconds: int
    active_jobs: int
    paused: bool = False
    beat_at: datetime | None = None
    """When the orchestrator heard of the agent last, by the orchestrator's clock."""


@dataclass(slots=True)
class Figures:
    memory_used_mb: int = 0
    uptime_seconds: int = 0
    running_jobs: int = 0
    queued_jobs: int = 0
    agents: list[AgentFigures] = field(default_factory=list)


@dataclass(slots=True)
class Inventory:
    """What changes seldom; two equal inventories are the same fleet."""

    host: Host
    role: OrchestratorRole
    version: str
    scalers: list[Scaler]
    agents: list[Agent]


@dataclass(slots=True)
class Diagnostics:
    inventory: Inventory
    figures: Figures
    instance_id: str | None = None


_SCALER_TYPES = {
    "container": ScalerType.CONTAINER,
    "firecracker": ScalerType.FIRECRACKER,
    "bare-metal": ScalerType.BARE_METAL,
    "kubernetes": ScalerType.KUBERNETES,
}


def read_diagnostics(body: Body) -> Diagnostics:
    told = values.mapping(body.get("orchestrator"))
    scalers = _scalers(body.get("scalers"))
    agents, figures = _agents(body.get("agents"), {scaler.name for scaler in scalers})
    return Diagnostics(
        Inventory(
            _known_by_others(_host(told), scalers, agents),
            role_of(told.get("role")),
            _version(told),
            scalers,
            agents,
        ),
        Figures(
            memory_used_mb=values.number(told.get("memoryUsedMb")) or 0,
            uptime_seconds=values.number(told.get("uptimeSeconds")) or 0,
            running_jobs=values.number(told.get("runningJobs")) or 0,
            queued_jobs=values.number(told.get("queuedJobs")) or 0,
            agents=figures,
        ),
        values.ident(told.get("instanceId")),
    )


def role_of(value: object) -> OrchestratorRole:
    return OrchestratorRole.WORKER if value == "worker" else OrchestratorRole.COORDINATOR


def _version(told: Body) -> str:
    return values.ident(told.get("version")) or UNKNOWN


def _host(told: Body) -> Host:
    return Host(
        hostname=values.name(told.get("hostname")) or UNKNOWN,
        running_as=values.name(told.get("runningAsUser")) or UNKNOWN,
        platform=values.name(told.get("platform")) or UNKNOWN,
        arch=values.name(told.get("arch")) or UNKNOWN,
        cpu_count=max(1, values.number(told.get("cpuCount")) or 1),
        memory_total_mb=values.number(told.get("totalMemoryMb")) or 0,
    )


def _known_by_others(host: Host, scalers: Sequence[Scaler], agents: Sequence[Agent]) -> Host:
    """Orchestrators don't name their platform; an agent on the same host does, and so do a bare-metal scaler's labels."""
    for agent in agents:
        if agent.host.hostname == host.hostname != UNKNOWN:
            return replace(host, platform=agent.host.platform, arch=agent.host.arch)
    for scaler in scalers:
        if scaler.type is ScalerType.BARE_METAL:
            platform, arch = (_labelled(scaler.labels, kind) for kind in ("os", "arch"))
            return replace(host, platform=platform or host.platform, arch=arch or host.arch)
    return host


def _labelled(labels: Sequence[str], kind: str) -> str | None:
    mark = f"kici:{kind}:"
    return next((label.removeprefix(mark) for label in labels if label.startswith(mark)), None)


def _scalers(value: object) -> list[Scaler]:
    found: dict[str, Scaler] = {}
    for each in values.items(value, reports.MAX_SCALERS):
        name = values.name(each.get("name"))
        type_ = _SCALER_TYPES.get(str(each.get("type")))
        if name is None or type_ is None:
            continue  # a type of a later version (0.9 has `event`): its agents show as the orchestrator's own
        found[name] = Scaler(
            name=name,
            type=type_,
            max_agents=values.number(each.get("maxAgents")) or 0,
            labels=_labels_of(each.get("labelSets")),
            config_summary=_config(values.mapping(each.get("config"))),
            hosts=list(values.labels(each.get("hosts")) or ()),
        )
    return [found[name] for name in sorted(found)]


def _labels_of(sets: object) -> list[str]:
    """The labels of all sets, each once."""
    found: dict[str, None] = {}
    for each in sets[: values.MAX_LABELS] if isinstance(sets, list) else ():
        found |= dict.fromkeys(values.labels(each) or ())
    return list(found)[: reports.MAX_LABELS]


_NOT_SUMMARISED = {"labelSets"}


def _config(config: Body) -> list[ConfigEntry]:
    """The configuration as texts. The orchestrator has taken secrets out already; ours are redacted once more."""
    entries: dict[str, ConfigEntry] = {}
    for key, value in sorted(config.items()):
        name = values.name(key)
        if name is None or value is None or key in _NOT_SUMMARISED:
            continue
        shown = value if isinstance(value, str) else values.encode(value).decode()
        text = values.clean(redact(shown), reports.MAX_CONFIG_VALUE)
        entries[name] = ConfigEntry(name, text or "")
    return list(entries.values())[: reports.MAX_CONFIG]


def _agents(value: object, scalers: set[str]) -> tuple[list[Agent], list[AgentFigures]]:
    agents: dict[str, Agent] = {}
    figures: dict[str, AgentFigures] = {}
    for each in values.items(value, reports.MAX_AGENTS):
        agent_id = values.name(each.get("agentId"))
        if agent_id is None:
            continue
        scaler = values.name(each.get("scalerName"))
        agents[agent_id] = Agent(
            agent_id=agent_id,
            scaler=scaler if scaler in scalers else None,
            version=_version(each),
            labels=list(values.labels(each.get("labels")) or ()),
            max_concurrency=max(1, values.number(each.get("maxConcurrency")) or 1),
            host=_host(each),
        )
        figures[agent_id] = AgentFigures(
            agent_id=agent_id,
            memory_used_mb=values.number(each.get("memoryUsedMb")) or 0,
            uptime_seconds=values.number(each.get("uptimeSeconds")) or 0,
            active_jobs=values.number(each.get("activeJobs")) or 0,
            beat_at=values.moment(each.get("lastHeartbeatAt")),
        )
    order: Sequence[str] = sorted(agents)
    return [agents[agent_id] for agent_id in order], [figures[agent_id] for agent_id in order]


def beats(before: Mapping[str, Any], now: Figures) -> list[AgentFigures]:
    """The agents that were heard again since, or whose jobs changed: an agent that hangs must not seem to beat."""
    return [each for each in now.agents if before.get(each.agent_id) != (each.beat_at, each.active_jobs)]


def marks(figures: Figures) -> dict[str, Any]:
    """What `beats` compares with the next time."""
    return {each.agent_id: (each.beat_at, each.active_jobs) for each in figures.agents}
