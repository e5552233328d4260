"""Where subscriptions begin."""

from collections.abc import AsyncIterable
from typing import Annotated

import strawberry

from kici_gql import auth
from kici_gql.actions.listeners import Listener
from kici_gql.actions.orchestrators import find_connected
from kici_gql.api.context import Info
from kici_gql.api.engine.live import Live
from kici_gql.api.scalars import Cursor
from kici_gql.api.streams.alerts import AlertView
from kici_gql.api.streams.backends import SecretBackendFrame, SecretBackendView
from kici_gql.api.streams.commands import AskedView, CommandView, Listening
from kici_gql.api.streams.frames import AlertFrame, HeartbeatFrame, InfrastructureFrame
from kici_gql.api.streams.heartbeats import HeartbeatView
from kici_gql.api.streams.infrastructure import InfrastructureView
from kici_gql.api.streams.run_frames import (
    CommandFrame,
    ExecutionMetricsFrame,
    RunFrame,
    RunLogFrame,
    WorkflowFrame,
)
from kici_gql.api.streams.run_log import RunLogView
from kici_gql.api.streams.runs import ExecutionMetricsView, RunView, WorkflowView
from kici_gql.api.where import (
    AgentWhere,
    AlertWhere,
    CommandWhere,
    RunWhere,
    WorkflowWhere,
    conditions_of,
    narrowed,
)
from kici_gql.errors import InvalidInput, NotFound
from kici_gql.store.runs import find_job

Slug = Annotated[str, strawberry.argument(description="Name of the org; a token sees only its own.")]
ClusterName = Annotated[str | None, strawberry.argument(description="Only this cluster.")]
Position = Annotated[
    Cursor | None,
    strawberry.argument(description="Go on behind this position; left out: begin with a SNAPSHOT."),
]
Agents = Annotated[AgentWhere | None, strawberry.argument(description="Only agents that fulfil this.")]
Workflows = Annotated[
    WorkflowWhere | None, strawberry.argument(description="Only workflows that fulfil this.")
]
Runs = Annotated[RunWhere | None, strawberry.argument(description="Only runs that fulfil this.")]
Alerts = Annotated[AlertWhere | None, strawberry.argument(description="Only alerts that fulfil this.")]
Commands = Annotated[CommandWhere | None, strawberry.argument(description="Only commands that fulfil this.")]


async def _cluster_id(info: Info, name: str | None) -> str | None:
    if name is None:
        return None
    found: str = (await info.context.known_cluster(name, "cluster")).id
    return found


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
        cluster_id = await _cluster_id(info, cluster)
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
        cluster_id = await _cluster_id(info, cluster)
        return Live(HeartbeatView(info.context.services, org_id, cluster_id, conditions_of(where)), after)

    @strawberry.subscription(description="Every transition of every alert.")
    async def alerts(
        self, info: Info, org: Slug = "default", where: Alerts = None, after: Position = None
    ) -> AsyncIterable[AlertFrame]:
        org_id = info.context.require_org(org)
        return Live(
            AlertView(info.context.services, org_id, None if where is None else conditions_of(where)), after
        )

    @strawberry.subscription(description="Workflows and the health of their registries.")
    async def workflows(
        self, info: Info, org: Slug = "default", where: Workflows = None, after: Position = None
    ) -> AsyncIterable[WorkflowFrame]:
        org_id = info.context.require_org(org)
        return Live(
            WorkflowView(info.context.services, org_id, await narrowed(info.context, where, live=True)), after
        )

    @strawberry.subscription(description="Runs with their jobs and steps.")
    async def runs(
        self, info: Info, org: Slug = "default", where: Runs = None, after: Position = None
    ) -> AsyncIterable[RunFrame]:
        org_id = info.context.require_org(org)
        return Live(
            RunView(info.context.services, org_id, await narrowed(info.context, where, live=True)), after
        )

    @strawberry.subscription(description="One step's log, line by line while it runs; ends with LogEnd.")
    async def run_log(
        self,
        info: Info,
        run: Annotated[
            strawberry.ID, strawberry.argument(description="Global id of the run, or its orchestrator's.")
        ],
        job: Annotated[
            strawberry.ID, strawberry.argument(description="Global id of the job, or its orchestrator's.")
        ],
        step: Annotated[
            int, strawberry.argument(description="Number of the step; -1: before the first.")
        ] = 0,
        after_line: Annotated[
            int, strawberry.argument(description="Only lines behind this number; -1: all.")
        ] = -1,
    ) -> AsyncIterable[RunLogFrame]:
        info.context.require_reader()
        org_id = info.context.viewer.org_id
        found = await info.context.read(find_job, org_id, run, job)
        if found is None:
            raise NotFound("there is no such run or job", hint="Query Org.run for its jobs.", path=["job"])
        return Live(RunLogView(info.context.services, org_id, found.id, step, max(-1, after_line)))

    @strawberry.subscription(description="Figures of the last 24 hours, a few times a second at most.")
    async def execution_metrics(
        self, info: Info, org: Slug = "default"
    ) -> AsyncIterable[ExecutionMetricsFrame]:
        return Live(ExecutionMetricsView(info.context.services, info.context.require_org(org)))

    @strawberry.subscription(
        description="Secret backends, and word of each scoped surface that was reported anew or can't be read."
    )
    async def secret_backends(
        self, info: Info, org: Slug = "default", after: Position = None
    ) -> AsyncIterable[SecretBackendFrame]:
        return Live(SecretBackendView(info.context.services, info.context.require_org(org)), after)

    @strawberry.subscription(
        description="""What was asked of orchestrators, and what came of it. With `connectionId`, scope ORCHESTRATOR: what the
orchestrator of this connection is asked to do, so that it does it; what it is sent counts as delivered. From then on
it counts as gone as soon as its WebSocket or event stream ends without a goodbye."""
    )
    async def commands(
        self,
        info: Info,
        connection_id: Annotated[
            str | None,
            strawberry.argument(
                description="As `orchestratorConnect` answered it; `org` and `where` are not for orchestrators."
            ),
        ] = None,
        org: Slug = "default",
        where: Commands = None,
        after: Position = None,
    ) -> AsyncIterable[CommandFrame]:
        if connection_id is None:
            org_id = info.context.require_org(org)
            return Live(
                AskedView(info.context.services, org_id, None if where is None else conditions_of(where)),
                after,
            )
        viewer = info.context.viewer
        auth.require(viewer, "orchestratorCompleteCommand")
        if where is not None:
            raise InvalidInput(
                "an orchestrator gets all of its commands",
                hint="Leave `where` out, or `connectionId`.",
                path=["where"],
            )
        services = info.context.services
        orchestrator = await info.context.read(find_connected, viewer, connection_id)
        listener = Listener(viewer.org_id, orchestrator.id, connection_id)
        return Live(
            CommandView(services, viewer.org_id, orchestrator.id, connection_id),
            after,
            Listening(services.listeners, listener),
        )
