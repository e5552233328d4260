"""Alerts."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import events, tables
from kici_gql.api.context import Info
from kici_gql.api.ordering import AlertOrderField, OrderInput
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.base import Node
from kici_gql.api.where import AlertWhere
from kici_gql.tables import AlertKind, AlertSeverity, AlertState, Prefix

Row = strawberry.Parent[tables.Alert]
AlertOrder = Annotated[
    OrderInput[AlertOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
AlertFilter = Annotated[AlertWhere | None, strawberry.argument(description="Only alerts that fulfil this.")]


@strawberry.type(description="Who took an alert on, when, and until when.")
class Acknowledgement:
    by: str = strawberry.field(description="Name of the token that acknowledged.")
    at: datetime = strawberry.field(description="When.")
    note: str | None = strawberry.field(description="What they said. At most 2000 characters.")
    until: datetime | None = strawberry.field(
        description="When it runs out and the alert is OPEN again; null: never."
    )


@strawberry.type(description="One step in an alert's life.")
class AlertTransition:
    at: datetime = strawberry.field(description="When.")
    state: AlertState = strawberry.field(description="What it became.")
    by: str | None = strawberry.field(description="Name of the token that did it; null: the server.")
    note: str | None = strawberry.field(description="What they said.")


@strawberry.type(
    description="One infrastructure problem and its life: OPEN, ACKNOWLEDGED, RESOLVED, and open again."
)
class Alert(Node):
    PREFIX = Prefix.ALERT

    kind: AlertKind = strawberry.field(description="What it is about.")
    severity: AlertSeverity = strawberry.field(description="How bad it is.")
    state: AlertState = strawberry.field(description="Where it is in its life.")
    message: str = strawberry.field(description="The problem in words. At most 2000 characters.")
    cluster_id: strawberry.ID | None = strawberry.field(
        description="Global id of the cluster it is about; null when it is about no single one."
    )
    subject_id: strawberry.ID | None = strawberry.field(description="Global id of what exactly it is about.")
    opened_at: datetime = strawberry.field(description="When it was last opened.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    resolved_at: datetime | None = strawberry.field(description="When it was resolved; null while it is not.")
    flap_count: int = strawberry.field(description="How often it was opened again after it was resolved.")

    @strawberry.field(description="Its transitions, oldest first; the last 50.")
    def history(root: Row) -> list[AlertTransition]:
        return [AlertTransition(**{**each, "state": AlertState(each["state"])}) for each in root.history]

    @strawberry.field(description="Grows by one with each change; send it as `expectedVersion`.")
    def version(root: Row) -> int:
        return root.revision

    @strawberry.field(description="Who took it on; null while nobody has.")
    def acknowledgement(root: Row) -> Acknowledgement | None:
        if root.acknowledged_at is None:
            return None
        return Acknowledgement(
            by=root.acknowledged_by or "",
            at=root.acknowledged_at,
            note=root.acknowledged_note,
            until=root.acknowledged_until,
        )

    @strawberry.field(
        description="Positions of the events that caused and changed it, oldest first; the last 20."
    )
    async def evidence(root: Row, info: Info) -> list[Cursor]:
        epoch = await info.context.epoch()
        return [Cursor(str(events.Cursor(epoch, seq))) for seq in root.evidence]

    @strawberry.field(description="What exactly it is about; null when that is gone.")
    async def subject(root: Row, info: Info) -> Node | None:
        return None if root.subject_id is None else await info.context.node(root.subject_id)
