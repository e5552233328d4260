"""The org: where every query begins."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import events, tables
from kici_gql.api.connections import Connection, connect
from kici_gql.api.context import Info
from kici_gql.api.ordering import After, AuditOrderField, Before, ClusterOrderField, First, Last, OrderInput
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.alert import Alert, AlertFilter, AlertOrder
from kici_gql.api.types.base import Node
from kici_gql.api.types.cluster import Cluster
from kici_gql.api.types.command import Command, CommandFilter, CommandOrder
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
from kici_gql.api.types.metrics import MAX_WINDOW_HOURS, ExecutionMetrics, check_window, read_metrics
from kici_gql.api.types.run import Run, RunFilter, RunOrder
from kici_gql.api.types.surfaces import SecretBackend
from kici_gql.api.types.workflow import Workflow, WorkflowFilter, WorkflowOrder, WorkflowRegistry
from kici_gql.api.where import AuditWhere, ClusterWhere, listing, narrowed
from kici_gql.store import orgs
from kici_gql.store import runs as run_store
from kici_gql.store import workflows as workflow_store
from kici_gql.store.settings import connected_backends
from kici_gql.tables import AuditOutcome, Prefix, TokenScope

OrgRow = strawberry.Parent[tables.Org]
ClusterOrder = Annotated[
    OrderInput[ClusterOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
ClusterFilter = Annotated[
    ClusterWhere | None, strawberry.argument(description="Only clusters that fulfil this.")
]
RunId = Annotated[
    strawberry.ID, strawberry.argument(description="Global id, or the id its orchestrator gave it.")
]
AuditFilter = Annotated[AuditWhere | None, strawberry.argument(description="Only entries that fulfil this.")]
AuditOrder = Annotated[
    OrderInput[AuditOrderField] | None, strawberry.argument(description="Default: latest first.")
]
ClusterName = Annotated[str, strawberry.argument(description="Name of the cluster.")]


@strawberry.type(description="A credential. Its secret is shown once, when it is created, and never stored.")
class Token(Node):
    PREFIX = Prefix.TOKEN

    name: str = strawberry.field(description="What its creator called it. At most 100 characters.")
    prefix: str = strawberry.field(description="First 12 characters of the secret, to recognise it by.")
    scope: TokenScope = strawberry.field(description="What it may do.")
    cluster_name: str | None = strawberry.field(
        description="Cluster an ORCHESTRATOR token is bound to; null: any."
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    expires_at: datetime | None = strawberry.field(description="When it stops working; null: never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it is not.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to about a minute.")


@strawberry.type(description="One mutation that somebody tried, whatever came of it.")
class AuditEntry(Node):
    PREFIX = Prefix.AUDIT

    at: datetime = strawberry.field(description="When.")
    action: str = strawberry.field(description="Name of the mutation.")
    token_id: strawberry.ID | None = strawberry.field(description="Global id of the token that tried.")
    token_name: str | None = strawberry.field(description="Name of that token.")
    object_id: strawberry.ID | None = strawberry.field(description="Global id of what it was about.")
    outcome: AuditOutcome = strawberry.field(description="How it ended.")
    error_code: str | None = strawberry.field(description="Why it was refused, as an `ErrorCode`.")
    detail: str | None = strawberry.field(description="What was refused, without the values.")
    request_id: str | None = strawberry.field(description="Id of the request, as in the server's log.")


@strawberry.type(description="A tenant. Everything belongs to exactly one org, and nothing crosses.")
class Org(Node):
    PREFIX = Prefix.ORG

    slug: str = strawberry.field(description="Its name in addresses and arguments.")
    name: str = strawberry.field(description="Its name for people. At most 100 characters.")
    created_at: datetime = strawberry.field(description="When it was created.")

    @strawberry.field(
        description="The present position in its event log; accepted as `after` by every subscription."
    )
    def cursor(root: OrgRow) -> Cursor:
        return Cursor(str(events.Cursor(root.log_epoch, root.last_seq)))

    @strawberry.field(description="The cluster of this name; null when there is none.")
    async def cluster(root: OrgRow, info: Info, name: ClusterName) -> Cluster | None:
        return await info.context.cluster(name, "name")

    @strawberry.field(description="Its clusters.")
    async def clusters(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: ClusterFilter = None,
        order_by: ClusterOrder = None,
    ) -> Connection[Cluster]:
        wanted = listing(tables.Cluster, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(description="Orchestrators of all its clusters.")
    async def orchestrators(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: OrchestratorFilter = None,
        order_by: OrchestratorOrder = None,
    ) -> Connection[Orchestrator]:
        wanted = listing(tables.Orchestrator, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(description="Scalers of all its clusters.")
    async def scalers(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: ScalerFilter = None,
        order_by: ScalerOrder = None,
    ) -> Connection[Scaler]:
        wanted = listing(tables.Scaler, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(description="Agents of all its clusters.")
    async def agents(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AgentFilter = None,
        order_by: AgentOrder = None,
    ) -> Connection[Agent]:
        wanted = listing(tables.Agent, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(description="Its alerts, resolved ones included.")
    async def alerts(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AlertFilter = None,
        order_by: AlertOrder = None,
    ) -> Connection[Alert]:
        wanted = listing(tables.Alert, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(description="Workflows of all its clusters.")
    async def workflows(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: WorkflowFilter = None,
        order_by: WorkflowOrder = None,
    ) -> Connection[Workflow]:
        wanted = listing(tables.Workflow, "org_id", None, order_by, first, after, last, before)
        return await connect(info, wanted.narrowed(*await narrowed(info.context, where)), root.id)

    @strawberry.field(description="Health of each cluster's workflow registry.")
    async def workflow_registry(root: OrgRow, info: Info) -> list[WorkflowRegistry]:
        return await info.context.read(workflow_store.registries, root.id)

    @strawberry.field(description="Runs of all its clusters.")
    async def runs(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: RunFilter = None,
        order_by: RunOrder = None,
    ) -> Connection[Run]:
        wanted = listing(tables.Run, "org_id", None, order_by, first, after, last, before)
        return await connect(info, wanted.narrowed(*await narrowed(info.context, where)), root.id)

    @strawberry.field(
        description="The run with this global id, or the id its orchestrator gave it; null: none."
    )
    async def run(root: OrgRow, info: Info, id: RunId) -> Run | None:
        ours = id.startswith(f"{Prefix.RUN}_")  # an orchestrator's own may look like that as well
        found: Run | None = await info.context.load.one(tables.Run, id) if ours else None
        return found or await info.context.read(run_store.by_external_id, root.id, id)

    @strawberry.field(description="What was asked of orchestrators.")
    async def commands(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: CommandFilter = None,
        order_by: CommandOrder = None,
    ) -> Connection[Command]:
        wanted = listing(tables.Command, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)

    @strawberry.field(
        description="Figures of the runs that were queued in the last hours, and of the jobs there are."
    )
    async def execution_metrics(
        root: OrgRow,
        info: Info,
        window_hours: Annotated[
            int, strawberry.argument(description=f"Length of the window: 1 to {MAX_WINDOW_HOURS} hours.")
        ] = 24,
    ) -> ExecutionMetrics:
        now = info.context.services.store.now()
        return await info.context.read(read_metrics, root.id, check_window(window_hours), now)

    @strawberry.field(description="Every mutation that was tried, refused ones too. Needs scope ADMIN.")
    async def audit_log(
        root: OrgRow,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: AuditFilter = None,
        order_by: AuditOrder = None,
    ) -> Connection[AuditEntry]:
        info.context.require(TokenScope.ADMIN)
        wanted = listing(tables.Audit, "org_id", where, order_by, first, after, last, before)
        return await connect(info, wanted if order_by else wanted.latest_first(), root.id)

    @strawberry.field(description="Secret backends of the clusters that are connected.")
    async def secret_backends(root: OrgRow, info: Info) -> list[SecretBackend]:
        return await info.context.read(connected_backends, root.id)

    @strawberry.field(
        description="Its tokens, revoked and expired ones included, oldest first. Needs scope ADMIN."
    )
    async def tokens(root: OrgRow, info: Info) -> list[Token]:
        info.context.require(TokenScope.ADMIN)
        return await info.context.read(orgs.tokens_of, root.id)
