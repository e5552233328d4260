"""Commands."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from kici_gql import tables
from kici_gql.api.context import Info
from kici_gql.api.ordering import CommandOrderField, OrderInput
from kici_gql.api.types.base import Node
from kici_gql.api.types.run import Run
from kici_gql.api.types.workflow import Workflow
from kici_gql.api.where import CommandWhere
from kici_gql.tables import CommandKind, CommandState, Prefix

Row = strawberry.Parent[tables.Command]
CommandOrder = Annotated[
    OrderInput[CommandOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
CommandFilter = Annotated[
    CommandWhere | None, strawberry.argument(description="Only commands that fulfil this.")
]


@strawberry.type(description="Something a user asked of an orchestrator, and what came of it.")
class Command(Node):
    PREFIX = Prefix.COMMAND

    kind: CommandKind = strawberry.field(description="What was asked.")
    state: CommandState = strawberry.field(description="Where it is in its life.")
    message: str | None = strawberry.field(description="What the orchestrator said, or why it expired.")
    requested_by: str = strawberry.field(description="Name of the token that asked.")
    created_at: datetime = strawberry.field(description="When it was asked.")
    delivered_at: datetime | None = strawberry.field(
        description="When it was first sent to the orchestrator."
    )
    completed_at: datetime | None = strawberry.field(description="When it was answered, or expired.")
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    orchestrator_id: strawberry.ID = strawberry.field(
        description="Global id of the orchestrator that has to do it."
    )
    workflow_id: strawberry.ID | None = strawberry.field(description="Global id of the workflow it is about.")
    run_id: strawberry.ID | None = strawberry.field(description="Global id of the run it is about.")

    @strawberry.field(description="What the orchestrator needs to do it.")
    def payload(root: Row) -> JSON:
        return JSON(root.payload)

    @strawberry.field(description="What the orchestrator answered.")
    def result(root: Row) -> JSON:
        return JSON(root.result)

    @strawberry.field(description="The workflow it is about; null when there is none or it is gone.")
    async def workflow(root: Row, info: Info) -> Workflow | None:
        return (
            None
            if root.workflow_id is None
            else await info.context.load.one(tables.Workflow, root.workflow_id)
        )

    @strawberry.field(description="The run it is about; null when there is none.")
    async def run(root: Row, info: Info) -> Run | None:
        return None if root.run_id is None else await info.context.load.one(tables.Run, root.run_id)
