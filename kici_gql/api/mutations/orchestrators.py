"""Mutations by orchestrators."""

from typing import Annotated

import strawberry

from kici_gql import tables
from kici_gql.actions import alerts as alert_actions
from kici_gql.actions import orchestrators as actions
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.inputs import (
    OrchestratorConnectInput,
    OrchestratorDisconnectInput,
    OrchestratorHeartbeatInput,
    OrchestratorReportAlertsInput,
    OrchestratorReportInventoryInput,
)
from kici_gql.api.mutations.payload import CURSOR, REPLAYED, answer, cursor_of
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.errors import (
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    LimitExceeded,
    NotFound,
    UnknownConnection,
)
from kici_gql.api.types.fleet import Orchestrator


@strawberry.type(description="The orchestrator is connected.")
class OrchestratorConnectSuccess:
    connection_id: str = strawberry.field(description="Goes into every later report of this orchestrator.")
    cluster_name: str = strawberry.field(
        description="Name its cluster has now; keep it for the next connect."
    )
    heartbeat_interval_seconds: int = strawberry.field(description="Seconds between heartbeats.")
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)
    orchestrator: Orchestrator = strawberry.field(description="The orchestrator as it is now.")


@strawberry.type(description="The heartbeat is stored.")
class OrchestratorHeartbeatSuccess:
    accepted_agents: int = strawberry.field(description="Agents whose figures were stored.")
    unknown_agents: list[str] = strawberry.field(
        description="Agents that were never reported: report them with `orchestratorReportInventory`."
    )
    heartbeat_interval_seconds: int = strawberry.field(description="Seconds between heartbeats.")
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.type(description="The inventory is stored.")
class OrchestratorReportInventorySuccess:
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)
    orchestrator: Orchestrator = strawberry.field(description="The orchestrator as it is now.")


@strawberry.type(description="The alerts are stored.")
class OrchestratorReportAlertsSuccess:
    alert_ids: list[strawberry.ID | None] = strawberry.field(
        description="Global ids in the order of the input; null for a resolved one that was never open."
    )
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.type(description="The goodbye is stored.")
class OrchestratorDisconnectSuccess:
    cursor: Cursor = strawberry.field(description=CURSOR)


ConnectPayload = Annotated[
    OrchestratorConnectSuccess | InvalidInput | Forbidden | LimitExceeded | IdempotencyConflict,
    strawberry.union("OrchestratorConnectPayload", description="What came of `orchestratorConnect`."),
]
HeartbeatPayload = Annotated[
    OrchestratorHeartbeatSuccess | InvalidInput | Forbidden | LimitExceeded | UnknownConnection,
    strawberry.union("OrchestratorHeartbeatPayload", description="What came of `orchestratorHeartbeat`."),
]
InventoryPayload = Annotated[
    OrchestratorReportInventorySuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | LimitExceeded
    | UnknownConnection
    | IdempotencyConflict,
    strawberry.union(
        "OrchestratorReportInventoryPayload", description="What came of `orchestratorReportInventory`."
    ),
]
AlertsPayload = Annotated[
    OrchestratorReportAlertsSuccess | InvalidInput | Forbidden | LimitExceeded | UnknownConnection,
    strawberry.union(
        "OrchestratorReportAlertsPayload", description="What came of `orchestratorReportAlerts`."
    ),
]
DisconnectPayload = Annotated[
    OrchestratorDisconnectSuccess | InvalidInput | Forbidden | UnknownConnection,
    strawberry.union("OrchestratorDisconnectPayload", description="What came of `orchestratorDisconnect`."),
]


async def _orchestrator(info: Info, done: Done) -> Orchestrator:
    return await info.context.load.one(tables.Orchestrator, done.result["orchestrator_id"])


@strawberry.type
class OrchestratorMutations:
    @strawberry.mutation(
        description="Introduce an orchestrator with all its scalers and agents. Scope ORCHESTRATOR."
    )
    async def orchestrator_connect(
        self,
        info: Info,
        input: Annotated[OrchestratorConnectInput, strawberry.argument(description="The orchestrator.")],
    ) -> ConnectPayload:
        async def success(done: Done) -> OrchestratorConnectSuccess:
            return OrchestratorConnectSuccess(
                connection_id=done.result["connection_id"],
                cluster_name=done.result["cluster_name"],
                heartbeat_interval_seconds=info.context.services.settings.heartbeat_interval_seconds,
                cursor=cursor_of(done),
                replayed=done.replayed,
                orchestrator=await _orchestrator(info, done),
            )

        return await answer(actions.connect(info.context.call, input, input.idempotency_key), success)

    @strawberry.mutation(
        description="Send one orchestrator's and all its agents' figures. Scope ORCHESTRATOR."
    )
    async def orchestrator_heartbeat(
        self,
        info: Info,
        input: Annotated[OrchestratorHeartbeatInput, strawberry.argument(description="The figures.")],
    ) -> HeartbeatPayload:
        async def success(done: Done) -> OrchestratorHeartbeatSuccess:
            return OrchestratorHeartbeatSuccess(
                accepted_agents=done.result["accepted"],
                unknown_agents=done.result["unknown"],
                heartbeat_interval_seconds=info.context.services.settings.heartbeat_interval_seconds,
                cursor=cursor_of(done),
            )

        return await answer(actions.heartbeat(info.context.call, input), success)

    @strawberry.mutation(
        description="Report scalers and agents: all of them, or changes. Scope ORCHESTRATOR."
    )
    async def orchestrator_report_inventory(
        self,
        info: Info,
        input: Annotated[OrchestratorReportInventoryInput, strawberry.argument(description="The inventory.")],
    ) -> InventoryPayload:
        async def success(done: Done) -> OrchestratorReportInventorySuccess:
            return OrchestratorReportInventorySuccess(
                cursor=cursor_of(done), replayed=done.replayed, orchestrator=await _orchestrator(info, done)
            )

        return await answer(
            actions.report_inventory(info.context.call, input, input.idempotency_key), success
        )

    @strawberry.mutation(
        description="Report problems that the orchestrator sees, or sees no more. Scope ORCHESTRATOR."
    )
    async def orchestrator_report_alerts(
        self,
        info: Info,
        input: Annotated[OrchestratorReportAlertsInput, strawberry.argument(description="The problems.")],
    ) -> AlertsPayload:
        async def success(done: Done) -> OrchestratorReportAlertsSuccess:
            return OrchestratorReportAlertsSuccess(alert_ids=done.result["alert_ids"], cursor=cursor_of(done))

        return await answer(
            alert_actions.report(info.context.call, input.connection_id, input.alerts), success
        )

    @strawberry.mutation(
        description="Say goodbye: orchestrator and agents are OFFLINE at once. Scope ORCHESTRATOR."
    )
    async def orchestrator_disconnect(
        self,
        info: Info,
        input: Annotated[OrchestratorDisconnectInput, strawberry.argument(description="The goodbye.")],
    ) -> DisconnectPayload:
        async def success(done: Done) -> OrchestratorDisconnectSuccess:
            return OrchestratorDisconnectSuccess(cursor=cursor_of(done))

        return await answer(actions.disconnect(info.context.call, input.connection_id, input.reason), success)
