"""Cluster: orchestrators that share one configuration, and the door to their own settings."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from kici_gql import tables
from kici_gql.actions.surfaces import Reported, is_current, require_connected, untold
from kici_gql.api.connections import Connection, connect, connect_at_once
from kici_gql.api.context import Info
from kici_gql.api.engine.ports import AT_ONCE, RUNS_ONCE
from kici_gql.api.ordering import After, Before, First, Last
from kici_gql.api.types import surfaces
from kici_gql.api.types.alert import Alert, AlertFilter, AlertOrder
from kici_gql.api.types.base import Node
from kici_gql.api.types.fleet import (
    Agent,
    AgentFilter,
    AgentOrder,
    Orchestrator,
    OrchestratorFilter,
    OrchestratorOrder,
    Scaler,
    ScalerFilter,
    ScalerOrder,
)
from kici_gql.api.types.workflow import Workflow, WorkflowFilter, WorkflowOrder, WorkflowRegistry
from kici_gql.api.where import listing, narrowed
from kici_gql.store import workflows
from kici_gql.store.fleet import PRESENT
from kici_gql.store.settings import backends_of
from kici_gql.tables import Prefix, Surface

ClusterRow = strawberry.Parent[tables.Cluster]


@strawberry.type(description="Orchestrators that share one configuration, known by one name.")
class Cluster(Node):
    PREFIX = Prefix.CLUSTER

    name: str = strawberry.field(description="Cluster name: 1 to 63 lower-case letters, digits and hyphens.")
    auto_named: bool = strawberry.field(description="Whether the server chose the name because nobody did.")
    pending_name: str | None = strawberry.field(
        description="Name it will have when its orchestrators next connect; null when no rename is under way."
    )
    created_at: datetime = strawberry.field(description="When it was first seen.")
    revision: int = strawberry.field(description="Grows by one with each change of the cluster itself.")

    @strawberry.field(description="Whether at least one of its orchestrators is there.")
    async def connected(root: ClusterRow, info: Info) -> bool:
        return any(each.liveness in PRESENT for each in await info.context.load.members(root.id))

    @strawberry.field(
        description="Versions of its orchestrators that are there; more than one is a version skew."
    )
    async def versions(root: ClusterRow, info: Info) -> list[str]:
        members = await info.context.load.members(root.id)
        return sorted({each.version for each in members if each.liveness in PRESENT})

    @strawberry.field(description="Version of its most recently heard orchestrator; null before the first.")
    async def version(root: ClusterRow, info: Info) -> str | None:
        member = _latest(await info.context.load.members(root.id))
        return member.version if member else None

    @strawberry.field(description="Mode of its most recently heard orchestrator; null before the first.")
    async def mode(root: ClusterRow, info: Info) -> str | None:
        member = _latest(await info.context.load.members(root.id))
        return member.mode if member else None

    @strawberry.field(description="Keys by which events are routed to its orchestrators that are there.")
    async def routing_keys(root: ClusterRow, info: Info) -> list[str]:
        members = await info.context.load.members(root.id)
        return sorted({key for each in members if each.liveness in PRESENT for key in each.routing_keys})

    @strawberry.field(description="When one of its orchestrators was last heard; null before the first.")
    async def last_heartbeat_at(root: ClusterRow, info: Info) -> datetime | None:
        member = _latest(await info.context.load.members(root.id))
        return member.last_heartbeat_at if member else None

    @strawberry.field(description="Its orchestrators.", metadata=AT_ONCE)
    def orchestrators(
        root: ClusterRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: OrchestratorFilter = None,
        order_by: OrchestratorOrder = None,
    ) -> Connection[Orchestrator]:
        wanted = listing(tables.Orchestrator, "cluster_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)

    @strawberry.field(description="Scalers of its orchestrators.", metadata=AT_ONCE)
    def scalers(
        root: ClusterRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: ScalerFilter = None,
        order_by: ScalerOrder = None,
    ) -> Connection[Scaler]:
        wanted = listing(tables.Scaler, "cluster_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)

    @strawberry.field(description="Agents of its orchestrators.", metadata=AT_ONCE)
    def agents(
        root: ClusterRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AgentFilter = None,
        order_by: AgentOrder = None,
    ) -> Connection[Agent]:
        wanted = listing(tables.Agent, "cluster_id", where, order_by, first, after, last, before)
        return connect_at_once(info, wanted, root.id)

    @strawberry.field(description="Health of its workflow registry; null before the first report.")
    async def workflow_registry(root: ClusterRow, info: Info) -> WorkflowRegistry | None:
        return await info.context.read(workflows.registry, root.id)

    @strawberry.field(
        description="Workflows registered in it. Error CLUSTER_DISCONNECTED while nobody is connected."
    )
    async def registrations(
        root: ClusterRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: WorkflowFilter = None,
        order_by: WorkflowOrder = None,
    ) -> Connection[Workflow] | None:
        cluster = await _connected(info, root)
        registry = await info.context.read(workflows.registry, root.id)
        if registry is None or not is_current(cluster, registry.updated_at):
            raise untold("workflows")
        wanted = listing(tables.Workflow, "cluster_id", None, order_by, first, after, last, before)
        return await connect(info, wanted.narrowed(*await narrowed(info.context, where)), root.id)

    @strawberry.field(
        description="Its security policy. Error CLUSTER_DISCONNECTED while nobody is connected.",
        metadata=RUNS_ONCE,
    )
    async def security_policy(root: ClusterRow, info: Info) -> surfaces.SecurityPolicy | None:
        return surfaces.security_policy(await _surface(info, root, Surface.SECURITY_POLICY))

    @strawberry.field(
        description="Its environments. Error CLUSTER_DISCONNECTED while nobody is connected.",
        metadata=RUNS_ONCE,
    )
    async def environments(root: ClusterRow, info: Info) -> surfaces.EnvironmentList | None:
        return surfaces.environments(await _surface(info, root, Surface.ENVIRONMENTS))

    @strawberry.field(
        description="Its secret scopes: names, never values. Error CLUSTER_DISCONNECTED while nobody is connected.",
        metadata=RUNS_ONCE,
    )
    async def secret_scopes(root: ClusterRow, info: Info) -> surfaces.SecretScopeList | None:
        return surfaces.secret_scopes(await _surface(info, root, Surface.SECRET_SCOPES))

    @strawberry.field(
        description="Its dead-letter queue. Error CLUSTER_DISCONNECTED while nobody is connected.",
        metadata=RUNS_ONCE,
    )
    async def dead_letters(root: ClusterRow, info: Info) -> surfaces.DeadLetterList | None:
        return surfaces.dead_letters(await _surface(info, root, Surface.DEAD_LETTERS))

    @strawberry.field(
        description="Which repositories may have workflows for the whole org. Error CLUSTER_DISCONNECTED while nobody is connected.",
        metadata=RUNS_ONCE,
    )
    async def global_workflows(root: ClusterRow, info: Info) -> surfaces.GlobalWorkflows | None:
        return surfaces.global_workflows(await _surface(info, root, Surface.GLOBAL_WORKFLOWS))

    @strawberry.field(
        description="Its secret backends. Error CLUSTER_DISCONNECTED while nobody is connected."
    )
    async def secret_backends(root: ClusterRow, info: Info) -> list[surfaces.SecretBackend] | None:
        cluster = await _connected(info, root)
        if not is_current(cluster, cluster.backends_reported_at):
            raise untold("secret backends")
        return await info.context.read(backends_of, info.context.viewer.org_id, [root.id])

    @strawberry.field(
        description="When its last orchestrator went; null while one is there, or before the first."
    )
    async def disconnected_at(root: ClusterRow, info: Info) -> datetime | None:
        member = _latest(await info.context.load.members(root.id))
        return member.disconnected_at if member and member.liveness not in PRESENT else None

    @strawberry.field(
        description="Why its last orchestrator went; null while one is there, or before the first."
    )
    async def disconnected_reason(root: ClusterRow, info: Info) -> str | None:
        member = _latest(await info.context.load.members(root.id))
        return member.liveness_reason if member and member.liveness not in PRESENT else None

    @strawberry.field(description="Alerts about it.")
    async def alerts(
        root: ClusterRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AlertFilter = None,
        order_by: AlertOrder = None,
    ) -> Connection[Alert]:
        wanted = listing(tables.Alert, "cluster_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)


async def _surface(info: Info, cluster: tables.Cluster, which: Surface) -> Reported:
    """What the cluster's own orchestrators say. Raises ClusterDisconnected when none can be asked."""
    return await info.context.services.surfaces.read(info.context.viewer.org_id, cluster.id, which)


async def _connected(info: Info, cluster: tables.Cluster) -> tables.Cluster:
    """The cluster as it is now, and not as an event saw it. Raises ClusterDisconnected."""
    found: tables.Cluster = await info.context.load.one(tables.Cluster, cluster.id)
    require_connected(found)
    return found


def _latest(members: Sequence[tables.Orchestrator]) -> tables.Orchestrator | None:
    """The orchestrator that was heard last; those that are there count before those that are gone."""
    return max(members, key=lambda each: (each.liveness in PRESENT, each.last_heartbeat_at), default=None)
