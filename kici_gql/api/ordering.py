"""Orders and windows of lists: what `orderBy`, `first`, `after`, `last` and `before` ask for."""

from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from kici_gql.api.enums import describe
from kici_gql.store.paging import Order, Window

First = Annotated[
    int | None, strawberry.argument(description="How many items from the start; 0 to 100, default 50.")
]
After = Annotated[
    str | None, strawberry.argument(description="Only items behind this cursor of the same list.")
]
Last = Annotated[int | None, strawberry.argument(description="How many items from the end; 0 to 100.")]
Before = Annotated[
    str | None, strawberry.argument(description="Only items before this cursor of the same list.")
]


class OrderDirection(StrEnum):
    ASC = "ASC"
    DESC = "DESC"


describe(
    OrderDirection,
    "Ascending or descending.",
    {
        OrderDirection.ASC: "Smallest, earliest or first in the alphabet first.",
        OrderDirection.DESC: "Largest, latest or last in the alphabet first.",
    },
)


class ClusterOrderField(StrEnum):
    NAME = "name"
    CREATED_AT = "id"


describe(
    ClusterOrderField,
    "What clusters can be ordered by.",
    {
        ClusterOrderField.NAME: "By name.",
        ClusterOrderField.CREATED_AT: "By when it was first seen.",
    },
)


class OrchestratorOrderField(StrEnum):
    INSTANCE_ID = "instance_id"
    LAST_HEARTBEAT_AT = "last_heartbeat_at"
    CREATED_AT = "id"


describe(
    OrchestratorOrderField,
    "What orchestrators can be ordered by.",
    {
        OrchestratorOrderField.INSTANCE_ID: "By instance id.",
        OrchestratorOrderField.LAST_HEARTBEAT_AT: "By the last heartbeat.",
        OrchestratorOrderField.CREATED_AT: "By when it was first seen.",
    },
)


class ScalerOrderField(StrEnum):
    NAME = "name"
    CREATED_AT = "id"


describe(
    ScalerOrderField,
    "What scalers can be ordered by.",
    {
        ScalerOrderField.NAME: "By name.",
        ScalerOrderField.CREATED_AT: "By when it was first seen.",
    },
)


class AgentOrderField(StrEnum):
    AGENT_ID = "agent_id"
    LAST_HEARTBEAT_AT = "last_heartbeat_at"
    CREATED_AT = "id"


describe(
    AgentOrderField,
    "What agents can be ordered by.",
    {
        AgentOrderField.AGENT_ID: "By agent id.",
        AgentOrderField.LAST_HEARTBEAT_AT: "By the last heartbeat; never seen last.",
        AgentOrderField.CREATED_AT: "By when it was first seen.",
    },
)


class AlertOrderField(StrEnum):
    OPENED_AT = "opened_at"
    UPDATED_AT = "updated_at"
    ACKNOWLEDGED_AT = "acknowledged_at"
    CREATED_AT = "id"


describe(
    AlertOrderField,
    "What alerts can be ordered by.",
    {
        AlertOrderField.OPENED_AT: "By when it was last opened.",
        AlertOrderField.ACKNOWLEDGED_AT: "By when it was acknowledged; others last.",
        AlertOrderField.UPDATED_AT: "By the last change.",
        AlertOrderField.CREATED_AT: "By when it was first opened.",
    },
)


class WorkflowOrderField(StrEnum):
    NAME = "name"
    LAST_TRIGGERED_AT = "last_triggered_at"
    NEXT_FIRE_AT = "next_fire_at"
    CREATED_AT = "id"


describe(
    WorkflowOrderField,
    "What workflows can be ordered by.",
    {
        WorkflowOrderField.NAME: "By name.",
        WorkflowOrderField.LAST_TRIGGERED_AT: "By the last trigger; never triggered last.",
        WorkflowOrderField.NEXT_FIRE_AT: "By the next fire time; those without a schedule last.",
        WorkflowOrderField.CREATED_AT: "By when it was first reported.",
    },
)


class RunOrderField(StrEnum):
    CREATED_AT = "id"
    QUEUED_AT = "queued_at"
    DURATION = "duration_order_ms"


describe(
    RunOrderField,
    "What runs can be ordered by.",
    {
        RunOrderField.CREATED_AT: "By when it was first reported.",
        RunOrderField.QUEUED_AT: "By when it was queued.",
        RunOrderField.DURATION: "By duration; those that have not ended count as shortest.",
    },
)


class CommandOrderField(StrEnum):
    CREATED_AT = "id"


describe(
    CommandOrderField,
    "What commands can be ordered by.",
    {CommandOrderField.CREATED_AT: "By when it was asked."},
)


class AuditOrderField(StrEnum):
    AT = "id"


describe(
    AuditOrderField,
    "What entries of the audit log can be ordered by.",
    {AuditOrderField.AT: "By when it was tried."},
)

OrderField = TypeVar("OrderField", bound=StrEnum)


@strawberry.input(name="Order", description="What to order by, and which way; ties are broken by id.")
class OrderInput(Generic[OrderField]):
    field: OrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Which way; default ASC."
    )


def order_of(order: Any) -> Order:
    """The order that an `orderBy` asks for; by id when there is none."""
    if order is None:
        return Order()
    return Order(order.field.value, descending=order.direction is OrderDirection.DESC)


def window_of(first: int | None, after: str | None, last: int | None, before: str | None) -> Window:
    """Raises InvalidInput for bounds that exclude each other or are too large."""
    window = Window(first, after, last, before)
    _ = window.size
    return window
