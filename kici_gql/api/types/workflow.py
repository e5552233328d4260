"""Workflows and the health of their registry."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from kici_gql import tables
from kici_gql.api.connections import Connection, connect
from kici_gql.api.context import Info
from kici_gql.api.ordering import After, Before, First, Last, OrderInput, WorkflowOrderField
from kici_gql.api.types.base import LaterCluster, Node
from kici_gql.api.types.run import Run, RunFilter, RunOrder
from kici_gql.api.types.triggers import Trigger
from kici_gql.api.where import WorkflowWhere, listing
from kici_gql.rules import workflows as rules
from kici_gql.rules.workflows import InputType, SyncStatus
from kici_gql.store.fleet import PRESENT
from kici_gql.tables import Prefix

Row = strawberry.Parent[tables.Workflow]
RegistryRow = strawberry.Parent[tables.Registry]
WorkflowOrder = Annotated[
    OrderInput[WorkflowOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
WorkflowFilter = Annotated[
    WorkflowWhere | None, strawberry.argument(description="Only workflows that fulfil this.")
]


@strawberry.type(description="An input that a workflow declares for `workflowRunNow`.")
class WorkflowInput:
    name: str = strawberry.field(description="Name of the input.")
    type: InputType = strawberry.field(description="What values it takes.")
    required: bool = strawberry.field(description="Whether a run needs it.")
    default: str | None = strawberry.field(description="Value when none is sent; null: none.")
    options: list[str] = strawberry.field(description="Values of a CHOICE.")
    description: str | None = strawberry.field(description="What it is for.")


@strawberry.type(description="A registration: a workflow that listens for events for good.")
class Workflow(Node):
    PREFIX = Prefix.WORKFLOW

    name: str = strawberry.field(description="Name of the workflow.")
    repository: str = strawberry.field(description="Repository that it comes from.")
    trigger_types: list[str] = strawberry.field(description="Kinds of its triggers, sorted.")
    source_repos: list[str] = strawberry.field(
        description="Repositories whose events it listens to besides its own."
    )
    source_file: str | None = strawberry.field(
        description="File that defines it, as far as its orchestrator knows."
    )
    commit_sha: str | None = strawberry.field(description="Commit that it was registered from.")
    enabled: bool = strawberry.field(
        description="Whether its triggers count. It can be run by hand all the same."
    )
    registered_at: datetime = strawberry.field(description="When it was registered.")
    updated_at: datetime = strawberry.field(description="When the registration last changed.")
    last_triggered_at: datetime | None = strawberry.field(
        description="When a run was last queued; null: never."
    )
    next_fire_at: datetime | None = strawberry.field(
        description="Next time a schedule fires: as its orchestrator says, else computed; null without a schedule."
    )

    @strawberry.field(description="Id by which its orchestrator knows it.")
    def registration_id(root: Row) -> str:
        return root.external_id

    @strawberry.field(description="Grows by one with each change; send it as `expectedVersion`.")
    def version(root: Row) -> int:
        return root.revision

    @strawberry.field(description="Its triggers.")
    def triggers(root: Row) -> list[Trigger]:
        return root.triggers  # type: ignore[return-value]  # a configuration stands for its trigger

    @strawberry.field(description="Inputs that it declares.")
    def inputs(root: Row) -> list[WorkflowInput]:
        return [WorkflowInput(**each) for each in root.inputs]

    @strawberry.field(description="Enabled, and never triggered or not in the last 30 days.")
    def stale(root: Row, info: Info) -> bool:
        last: Any = root.last_triggered_at
        moment = datetime.fromisoformat(last) if isinstance(last, str) else last
        return rules.is_stale(root.enabled, moment, info.context.services.store.now())

    @strawberry.field(description="Cluster that it is registered in.")
    async def cluster(root: Row, info: Info) -> LaterCluster:
        return await info.context.load.one(tables.Cluster, root.cluster_id)

    @strawberry.field(description="Its runs, newest last unless ordered otherwise.")
    async def runs(
        root: Row,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: RunFilter = None,
        order_by: RunOrder = None,
    ) -> Connection[Run]:
        wanted = listing(tables.Run, "workflow_id", where, order_by, first, after, last, before)
        return await connect(info, wanted, root.id)


@strawberry.type(description="Health of one cluster's workflow registry.")
class WorkflowRegistry:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    version: str | None = strawberry.field(
        description="Version that was last reported; null before the first report."
    )
    announced_version: str | None = strawberry.field(description="Version its orchestrator last said it has.")
    updated_at: datetime | None = strawberry.field(description="When it was last reported; null before that.")
    error: str | None = strawberry.field(
        description="Why the orchestrator could not read its registry; null: it could."
    )

    @strawberry.field(
        description=(
            "ERROR: the orchestrator could not read its registry. STALE: no orchestrator is connected, or a newer version "
            "has been missing for over a minute. SYNCING: a newer version is on its way. IN_SYNC: all is here."
        )
    )
    async def sync_status(root: RegistryRow, info: Info) -> SyncStatus:
        members = await info.context.load.members(root.cluster_id)
        connected = any(each.liveness in PRESENT for each in members)
        announced: Any = root.announced_at
        moment = datetime.fromisoformat(announced) if isinstance(announced, str) else announced
        return rules.sync_status(
            root.version,
            root.announced_version,
            moment,
            root.error,
            connected,
            info.context.services.store.now(),
            reported=root.updated_at is not None,
        )
