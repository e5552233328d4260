"""Org → Cluster → Orchestrator → Scaler → Agent."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import tables
from kici_gql.api.connections import Connection, connect_at_once
from kici_gql.api.context import Info
from kici_gql.api.engine.ports import AT_ONCE, LASTING
from kici_gql.api.ordering import (
    After,
    AgentOrderField,
    Before,
    First,
    Last,
    OrchestratorOrderField,
    OrderInput,
    ScalerOrderField,
)
from kici_gql.api.types.base import ConfigEntry, Label, LaterCluster, Node, labels_of
from kici_gql.api.types.liveness import LivenessInfo, liveness_of
from kici_gql.api.where import AgentWhere, OrchestratorWhere, ScalerWhere, listing
from kici_gql.rules import names
from kici_gql.store.filters import Condition
from kici_gql.store.fleet import PRESENT
from kici_gql.tables import OrchestratorRole, Prefix, ScalerType

OrchestratorRow = strawberry.Parent[tables.Orchestrator]
ScalerRow = strawberry.Parent[tables.Scaler]
AgentRow = strawberry.Parent[tables.Agent]


@strawberry.type(
    description="Executes jobs. Belongs to a scaler, or directly to its orchestrator (a stateful agent)."
)
class Agent(Node):
    PREFIX = Prefix.AGENT

    agent_id: str = strawberry.field(description="Name its orchestrator gave it, unique in its cluster.")
    version: str = strawberry.field(description="Version of the agent program.")
    hostname: str = strawberry.field(description="Name of the host it runs on.")
    running_as: str = strawberry.field(description="User it runs as.")
    platform: str = strawberry.field(description="Operating system, such as `linux`.")
    arch: str = strawberry.field(description="Processor architecture, such as `x86_64`.")
    cpu_count: int = strawberry.field(description="Processors it may use.")
    memory_used_mb: int = strawberry.field(description="Memory used, in MB, at the last heartbeat.")
    memory_total_mb: int = strawberry.field(description="Memory there is, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it had been running at the last heartbeat.")
    active_jobs: int = strawberry.field(description="Jobs it was running at the last heartbeat.")
    max_concurrency: int = strawberry.field(description="Jobs it can run at once.")
    paused: bool = strawberry.field(description="Whether it takes no new jobs.")
    first_seen_at: datetime = strawberry.field(description="When it was first reported.")
    last_heartbeat_at: datetime | None = strawberry.field(
        description="When its last heartbeat arrived, by the server's clock; null before the first."
    )

    @strawberry.field(description="Whether it is there, and why the server thinks so.")
    def liveness(root: AgentRow) -> LivenessInfo:
        return liveness_of(root)

    @strawberry.field(
        description="Seconds since its last heartbeat, by the server's clock; null before the first."
    )
    def heartbeat_age_seconds(root: AgentRow, info: Info) -> int | None:
        return info.context.age_seconds(root.last_heartbeat_at)

    @strawberry.field(description="Labels that jobs are matched by.", metadata=LASTING)
    def labels(root: AgentRow) -> list[Label]:
        return labels_of(root.labels)

    @strawberry.field(description="Scaler that provisioned it; null for a stateful agent.")
    async def scaler(root: AgentRow, info: Info) -> "Scaler | None":
        if root.scaler_id is None:
            return None
        return await info.context.load.one(tables.Scaler, root.scaler_id)

    @strawberry.field(
        description="Orchestrator it reports to; null in an event from before that orchestrator was removed."
    )
    async def orchestrator(root: AgentRow, info: Info) -> "Orchestrator | None":
        return await info.context.load.one(tables.Orchestrator, root.orchestrator_id)

    @strawberry.field(description="Cluster it belongs to.")
    async def cluster(root: AgentRow, info: Info) -> LaterCluster:
        return await info.context.load.one(tables.Cluster, root.cluster_id)


AgentOrder = Annotated[
    OrderInput[AgentOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
AgentFilter = Annotated[AgentWhere | None, strawberry.argument(description="Only agents that fulfil this.")]


@strawberry.type(description="Provisions agents on an orchestrator.")
class Scaler(Node):
    PREFIX = Prefix.SCALER

    name: str = strawberry.field(description="Name, unique on its orchestrator.")
    type: ScalerType = strawberry.field(description="How it provisions agents.")
    active_agents: int = strawberry.field(description="Agents that are ONLINE or LATE.")
    max_agents: int = strawberry.field(description="Agents it may run at once.")
    hosts: list[str] = strawberry.field(description="Hosts it runs agents on. At most 64.")

    @strawberry.field(description="Labels that its agents get.", metadata=LASTING)
    def labels(root: ScalerRow) -> list[Label]:
        return labels_of(root.labels)

    @strawberry.field(description="Its configuration in short, without secrets. At most 64 entries.")
    def config_summary(root: ScalerRow) -> list[ConfigEntry]:
        return [ConfigEntry(key=key, value=value) for key, value in root.config_summary.items()]

    @strawberry.field(
        description="Orchestrator it runs on; null in an event from before that orchestrator was removed."
    )
    async def orchestrator(root: ScalerRow, info: Info) -> "Orchestrator | None":
        return await info.context.load.one(tables.Orchestrator, root.orchestrator_id)

    @strawberry.field(description="Agents it provisioned.", metadata=AT_ONCE)
    def agents(
        root: ScalerRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AgentFilter = None,
        order_by: AgentOrder = None,
    ) -> Connection[Agent]:
        wanted = listing(tables.Agent, "scaler_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)


ScalerOrder = Annotated[
    OrderInput[ScalerOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
ScalerFilter = Annotated[
    ScalerWhere | None, strawberry.argument(description="Only scalers that fulfil this.")
]


@strawberry.type(description="One running orchestrator process of a cluster.")
class Orchestrator(Node):
    PREFIX = Prefix.ORCHESTRATOR

    instance_id: str = strawberry.field(
        description="Id of the instance: chosen by its operator, else a UUID."
    )
    connection_id: str = strawberry.field(description="Id of its present, or last, connection.")
    role: OrchestratorRole = strawberry.field(description="Part it plays in its cluster.")
    version: str = strawberry.field(description="Version of the orchestrator program.")
    mode: str = strawberry.field(
        description="Mode it runs in, such as `platform`, `hybrid` or `independent`."
    )
    hostname: str = strawberry.field(description="Name of the host it runs on.")
    running_as: str = strawberry.field(description="User it runs as.")
    platform: str = strawberry.field(description="Operating system, such as `linux`.")
    arch: str = strawberry.field(description="Processor architecture, such as `x86_64`.")
    cpu_count: int = strawberry.field(description="Processors of its host.")
    memory_used_mb: int = strawberry.field(
        description="Memory used on its host, in MB, at the last heartbeat."
    )
    memory_total_mb: int = strawberry.field(description="Memory of its host, in MB.")
    uptime_seconds: int = strawberry.field(description="Seconds it had been running at the last heartbeat.")
    routing_keys: list[str] = strawberry.field(description="Keys by which events are routed to it.")
    capabilities: list[str] = strawberry.field(description="What it says it can do.")
    registry_version: str | None = strawberry.field(
        description="Version of its workflow registry; null: not told."
    )
    running_jobs: int = strawberry.field(description="Jobs that ran at the last heartbeat.")
    queued_jobs: int = strawberry.field(description="Jobs that waited at the last heartbeat.")
    connected_at: datetime = strawberry.field(description="When it last connected.")
    disconnected_at: datetime | None = strawberry.field(
        description="When it went away; null while it is there."
    )
    last_heartbeat_at: datetime = strawberry.field(
        description="When it was last heard, by the server's clock."
    )
    clock_skew_ms: int | None = strawberry.field(
        description="Its clock minus the server's at the last heartbeat, in ms; null when it does not tell its time."
    )

    @strawberry.field(
        description="What people call it: its chosen instance id, else the start of the connection id."
    )
    def display_id(root: OrchestratorRow) -> str:
        return names.display_id(root.instance_id, root.instance_named, root.connection_id)

    @strawberry.field(description="First 8 characters of the connection id, when an instance id was chosen.")
    def short_connection_id(root: OrchestratorRow) -> str | None:
        return names.short_connection_id(root.connection_id) if root.instance_named else None

    @strawberry.field(description="Whether it is there: ONLINE or LATE.")
    def connected(root: OrchestratorRow) -> bool:
        return root.liveness in PRESENT

    @strawberry.field(description="Whether it is there, and why the server thinks so.")
    def liveness(root: OrchestratorRow) -> LivenessInfo:
        return liveness_of(root)

    @strawberry.field(description="Cluster it belongs to.")
    async def cluster(root: OrchestratorRow, info: Info) -> LaterCluster:
        return await info.context.load.one(tables.Cluster, root.cluster_id)

    @strawberry.field(description="Its scalers.", metadata=AT_ONCE)
    def scalers(
        root: OrchestratorRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: ScalerFilter = None,
        order_by: ScalerOrder = None,
    ) -> Connection[Scaler]:
        wanted = listing(tables.Scaler, "orchestrator_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)

    @strawberry.field(description="All its agents, those of its scalers included.", metadata=AT_ONCE)
    def agents(
        root: OrchestratorRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AgentFilter = None,
        order_by: AgentOrder = None,
    ) -> Connection[Agent]:
        wanted = listing(tables.Agent, "orchestrator_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)

    @strawberry.field(description="Its agents that belong to no scaler.", metadata=AT_ONCE)
    def stateful_agents(
        root: OrchestratorRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AgentFilter = None,
        order_by: AgentOrder = None,
    ) -> Connection[Agent]:
        wanted = listing(tables.Agent, "orchestrator_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted.narrowed(Condition("scaler_id", "null", ())), root.id)


OrchestratorOrder = Annotated[
    OrderInput[OrchestratorOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
OrchestratorFilter = Annotated[
    OrchestratorWhere | None, strawberry.argument(description="Only orchestrators that fulfil this.")
]
