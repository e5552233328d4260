"""What orchestrators send. The bounds that the descriptions state are checked in `rules.reports`."""

from datetime import datetime

import strawberry

from kici_gql.api.mutations.payload import IDEMPOTENCY_KEY
from kici_gql.rules import reports
from kici_gql.tables import AlertSeverity, OrchestratorRole, ScalerType

_TEXT = f"At most {reports.MAX_TEXT} characters."


@strawberry.input(description="The machine that something runs on.")
class HostInput:
    hostname: str = strawberry.field(description=f"Name of the host. {_TEXT}")
    running_as: str = strawberry.field(description=f"User it runs as. {_TEXT}")
    platform: str = strawberry.field(description=f"Operating system, such as `linux`. {_TEXT}")
    arch: str = strawberry.field(description=f"Processor architecture, such as `x86_64`. {_TEXT}")
    cpu_count: int = strawberry.field(description="Processors, at least 1.")
    memory_total_mb: int = strawberry.field(description="Memory there is, in MB.")


@strawberry.input(description="One setting of a scaler. Never send secrets.")
class ConfigEntryInput:
    key: str = strawberry.field(description=f"Name of the setting. {_TEXT}")
    value: str = strawberry.field(description=f"Its value. At most {reports.MAX_CONFIG_VALUE} characters.")


@strawberry.input(description="A scaler of the orchestrator.")
class ScalerInput:
    name: str = strawberry.field(description=f"Name, unique on this orchestrator. {_TEXT}")
    type: ScalerType = strawberry.field(description="How it provisions agents.")
    max_agents: int = strawberry.field(description="Agents it may run at once.")
    labels: list[str] = strawberry.field(
        default_factory=list, description=f"Labels that its agents get. At most {reports.MAX_LABELS}."
    )
    config_summary: list[ConfigEntryInput] = strawberry.field(
        default_factory=list,
        description=f"Configuration without secrets. At most {reports.MAX_CONFIG} entries.",
    )
    hosts: list[str] = strawberry.field(
        default_factory=list, description=f"Hosts it runs agents on. At most {reports.MAX_LABELS}."
    )


@strawberry.input(description="An agent of the orchestrator.")
class AgentInput:
    agent_id: str = strawberry.field(description=f"Name of the agent, unique in the cluster. {_TEXT}")
    scaler: str | None = strawberry.field(
        default=None, description="Name of the scaler that provisioned it; leave it out for a stateful agent."
    )
    host: HostInput = strawberry.field(description="The machine that it runs on.")
    version: str = strawberry.field(description=f"Version of the agent program. {_TEXT}")
    labels: list[str] = strawberry.field(
        default_factory=list, description=f"Labels that jobs are matched by. At most {reports.MAX_LABELS}."
    )
    max_concurrency: int = strawberry.field(default=1, description="Jobs it can run at once, at least 1.")


@strawberry.input(description="An orchestrator that connects, with all it has.")
class OrchestratorConnectInput:
    cluster_name: str | None = strawberry.field(
        default=None,
        description="Name of its cluster: 1 to 63 lower-case letters, digits, hyphens. Left out: the server makes one.",
    )
    cluster_key: str | None = strawberry.field(
        default=None,
        description="Internal id that all orchestrators of the cluster share and that survives a rename; "
        f"a program that has none can send the global id of its cluster. {_TEXT}",
    )
    instance_id: str | None = strawberry.field(
        default=None,
        description=f"Stable id of this instance, if it has one; it keeps its history under it. {_TEXT}",
    )
    role: OrchestratorRole = strawberry.field(
        default=OrchestratorRole.COORDINATOR, description="Part it plays in its cluster."
    )
    version: str = strawberry.field(description=f"Version of the orchestrator program. {_TEXT}")
    mode: str = strawberry.field(
        default="independent", description=f"Mode it runs in: `platform`, `hybrid` or `independent`. {_TEXT}"
    )
    host: HostInput = strawberry.field(description="The machine that it runs on.")
    routing_keys: list[str] = strawberry.field(
        default_factory=list,
        description=f"Keys by which events are routed to it. At most {reports.MAX_ROUTING_KEYS}.",
    )
    capabilities: list[str] = strawberry.field(
        default_factory=list, description=f"What it can do. At most {reports.MAX_ROUTING_KEYS}."
    )
    registry_version: str | None = strawberry.field(
        default=None, description=f"Version of its workflow registry. {_TEXT}"
    )
    scalers: list[ScalerInput] = strawberry.field(
        default_factory=list, description=f"All its scalers. At most {reports.MAX_SCALERS}."
    )
    agents: list[AgentInput] = strawberry.field(
        default_factory=list, description=f"All its agents. At most {reports.MAX_AGENTS}."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="One agent's figures. An agent that is not in the list did not beat.")
class AgentBeatInput:
    agent_id: str = strawberry.field(description="Name of the agent, as reported.")
    memory_used_mb: int = strawberry.field(description="Memory used now, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it has been running.")
    active_jobs: int = strawberry.field(default=0, description="Jobs it is running.")
    paused: bool = strawberry.field(default=False, description="Whether it takes no new jobs.")


@strawberry.input(description="An orchestrator's own figures and those of all its agents that are alive.")
class OrchestratorHeartbeatInput:
    connection_id: str = strawberry.field(description="As `orchestratorConnect` answered it.")
    sent_at: datetime | None = strawberry.field(
        default=None,
        description="The orchestrator's clock. Refused when more than a day off; judged by nothing.",
    )
    memory_used_mb: int = strawberry.field(description="Memory used on its host now, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it has been running.")
    running_jobs: int = strawberry.field(default=0, description="Jobs that run now.")
    queued_jobs: int = strawberry.field(default=0, description="Jobs that wait now.")
    registry_version: str | None = strawberry.field(
        default=None,
        description="Version of its workflow registry; the server waits for a report of a new one.",
    )
    agents: list[AgentBeatInput] = strawberry.field(
        default_factory=list, description=f"The agents that are alive. At most {reports.MAX_AGENTS}."
    )


@strawberry.input(description="An orchestrator's scalers and agents: all of them, or only what changed.")
class OrchestratorReportInventoryInput:
    connection_id: str = strawberry.field(description="As `orchestratorConnect` answered it.")
    full: bool = strawberry.field(default=False, description="True: whatever is not listed is gone.")
    scalers: list[ScalerInput] = strawberry.field(
        default_factory=list, description=f"New and changed scalers. At most {reports.MAX_SCALERS}."
    )
    agents: list[AgentInput] = strawberry.field(
        default_factory=list, description=f"New and changed agents. At most {reports.MAX_AGENTS}."
    )
    removed_scalers: list[str] = strawberry.field(
        default_factory=list, description="Names of scalers that are gone, their agents included."
    )
    removed_agents: list[str] = strawberry.field(
        default_factory=list, description="Names of agents that are gone."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="A problem that an orchestrator sees, or sees no more.")
class ReportedAlertInput:
    dedupe_key: str = strawberry.field(description=f"Names the problem within the cluster. {_TEXT}")
    severity: AlertSeverity = strawberry.field(description="How bad it is.")
    message: str = strawberry.field(description=f"In words. At most {reports.MAX_MESSAGE} characters.")
    resolved: bool = strawberry.field(default=False, description="True: the problem is gone.")


@strawberry.input(description="Problems that an orchestrator sees.")
class OrchestratorReportAlertsInput:
    connection_id: str = strawberry.field(description="As `orchestratorConnect` answered it.")
    alerts: list[ReportedAlertInput] = strawberry.field(description=f"At most {reports.MAX_ALERTS}.")


@strawberry.input(description="A goodbye.")
class OrchestratorDisconnectInput:
    connection_id: str = strawberry.field(description="As `orchestratorConnect` answered it.")
    reason: str | None = strawberry.field(default=None, description=f"Why. {_TEXT}")
