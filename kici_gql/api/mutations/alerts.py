"""What people do about alerts."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import tables
from kici_gql.actions import alerts as actions
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.payload import CURSOR, IDEMPOTENCY_KEY, REPLAYED, answer, cursor_of, row_of
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.alert import Alert
from kici_gql.api.types.errors import (
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    VersionConflict,
)


@strawberry.input(description="Which alert somebody takes on.")
class AlertAcknowledgeInput:
    alert_id: strawberry.ID = strawberry.field(description="Global id of the alert.")
    note: str | None = strawberry.field(default=None, description="What to say. At most 2000 characters.")
    until: datetime | None = strawberry.field(default=None, description="When the alert shall be OPEN again.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refused with VersionConflict when the alert has another version by now."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.type(description="The alert is acknowledged.")
class AlertAcknowledgeSuccess:
    alert: Alert = strawberry.field(description="The alert as it is now.")
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)


AcknowledgePayload = Annotated[
    AlertAcknowledgeSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | Conflict
    | VersionConflict
    | IdempotencyConflict,
    strawberry.union("AlertAcknowledgePayload", description="What came of `alertAcknowledge`."),
]


@strawberry.type
class AlertMutations:
    @strawberry.mutation(
        description="Say that somebody is on it, perhaps until some time. Scope OPERATOR or ADMIN."
    )
    async def alert_acknowledge(
        self,
        info: Info,
        input: Annotated[AlertAcknowledgeInput, strawberry.argument(description="The alert.")],
    ) -> AcknowledgePayload:
        async def success(done: Done) -> AlertAcknowledgeSuccess:
            alert = await row_of(info, tables.Alert, done.result["alert_id"])
            return AlertAcknowledgeSuccess(
                alert=alert,
                cursor=cursor_of(done),
                replayed=done.replayed,
            )

        action = actions.acknowledge(
            info.context.call,
            input.alert_id,
            input.note,
            input.until,
            input.expected_version,
            input.idempotency_key,
        )
        return await answer(action, success)
