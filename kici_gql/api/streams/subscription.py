"""Where subscriptions begin."""

from collections.abc import AsyncIterable
from typing import Annotated

import strawberry

from kici_gql.api.context import Info
from kici_gql.api.engine.live import Live
from kici_gql.api.scalars import Cursor
from kici_gql.api.streams.alerts import AlertView
from kici_gql.api.streams.frames import AlertFrame, HeartbeatFrame, InfrastructureFrame
from kici_gql.api.streams.heartbeats import HeartbeatView
from kici_gql.api.streams.infrastructure import InfrastructureView
from kici_gql.api.where import AgentWhere, AlertWhere, conditions_of
from kici_gql.errors import NotFound
from kici_gql.rules import names
from kici_gql.store.fleet import cluster_named

Slug = Annotated[str, strawberry.argument(description="Name of the org; a token sees only its own.")]
ClusterName = Annotated[str | None, strawberry.argument(description="Only this cluster.")]
Position = Annotated[
    Cursor | None,
    strawberry.argument(description="Go on behind this position; left out: begin with a SNAPSHOT."),
]
Agents = Annotated[AgentWhere | None, strawberry.argument(description="Only agents that fulfil this.")]
Alerts = Annotated[AlertWhere | None, strawberry.argument(description="Only alerts that fulfil this.")]


async def _cluster_id(info: Info, org_id: str, name: str | None) -> str | None:
    if name is None:
        return None
    names.check_name(name, "cluster")
    cluster = await info.context.services.store.read(cluster_named, org_id, name)
    if cluster is None:
        raise NotFound(
            f"there is no cluster {name!r}", hint="Query Org.clusters for what there is.", path=["cluster"]
        )
    return cluster.id


@strawberry.type(description="What can be watched. Each stream begins with a SNAPSHOT, or behind `after`.")
class Subscription:
    @strawberry.subscription(description="The fleet and its alerts; heartbeat figures are in `heartbeats`.")
    async def infrastructure(
        self,
        info: Info,
        org: Slug = "default",
        cluster: ClusterName = None,
        where: Agents = None,
        after: Position = None,
    ) -> AsyncIterable[InfrastructureFrame]:
        org_id = info.context.require_org(org)
        cluster_id = await _cluster_id(info, org_id, cluster)
        return Live(
            InfrastructureView(info.context.services, org_id, cluster_id, conditions_of(where)), after
        )

    @strawberry.subscription(description="Everybody's heartbeats.")
    async def heartbeats(
        self,
        info: Info,
        org: Slug = "default",
        cluster: ClusterName = None,
        where: Agents = None,
        after: Position = None,
    ) -> AsyncIterable[HeartbeatFrame]:
        org_id = info.context.require_org(org)
        cluster_id = await _cluster_id(info, org_id, cluster)
        return Live(HeartbeatView(info.context.services, org_id, cluster_id, conditions_of(where)), after)

    @strawberry.subscription(description="Every transition of every alert.")
    async def alerts(
        self, info: Info, org: Slug = "default", where: Alerts = None, after: Position = None
    ) -> AsyncIterable[AlertFrame]:
        org_id = info.context.require_org(org)
        return Live(AlertView(info.context.services, org_id, conditions_of(where)), after)
