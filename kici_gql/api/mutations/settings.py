"""Mutations about clusters' own settings, by orchestrators and by users."""

from typing import Annotated, Any

import strawberry

from kici_gql import tables
from kici_gql.actions import backends as backend_actions
from kici_gql.actions import clusters as cluster_actions
from kici_gql.actions import settings_reports as report_actions
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.payload import CURSOR, IDEMPOTENCY_KEY, REPLAYED, answer, asked, cursor_of, row_of
from kici_gql.api.mutations.settings_inputs import OrchestratorReportSettingsInput, told_by
from kici_gql.api.mutations.workflows import Asked
from kici_gql.api.scalars import Cursor
from kici_gql.api.streams.waiting import answered
from kici_gql.api.types.cluster import Cluster
from kici_gql.api.types.command import Command
from kici_gql.api.types.errors import (
    ClusterDisconnected,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    LimitExceeded,
    NameTaken,
    NotFound,
    OperationDisabled,
    UnknownConnection,
    VersionConflict,
)
from kici_gql.api.types.surfaces import SecretBackend
from kici_gql.rules.reports import MAX_INT
from kici_gql.tables import CommandState

TEST_SECONDS = 10.0


@strawberry.type(description="The settings are stored.")
class OrchestratorReportSettingsSuccess:
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.input(description="Which cluster to rename.")
class ClusterRenameInput:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    name: str = strawberry.field(description="Its new name: 1 to 63 lower-case letters, digits and hyphens.")
    expected_version: int | None = strawberry.field(
        default=None,
        description="Refused with VersionConflict when the cluster has another `revision` by now.",
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.type(description="What to run by hand for an orchestrator that takes no commands.")
class HostInstruction:
    hostname: str = strawberry.field(description="Host to run it on.")
    line: str = strawberry.field(description="The line; then restart the orchestrator.")


@strawberry.type(
    description="The new name is noted; it takes effect when the orchestrators next connect with it."
)
class ClusterRenameSuccess:
    cluster: Cluster = strawberry.field(description="The cluster, with its `pendingName`.")
    commands: list[Command] = strawberry.field(description="One for each orchestrator that is connected.")
    instructions: list[HostInstruction] = strawberry.field(
        description="For stock KiCI orchestrators, which keep their name on their own host."
    )
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)


@strawberry.input(description="Which secret backend.")
class SecretBackendInputRef:
    secret_backend_id: strawberry.ID = strawberry.field(description="Global id of the secret backend.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which cluster's secret backends.")
class SecretBackendSyncAllInput:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which dead letter.")
class DeadLetterInputRef:
    cluster_id: strawberry.ID = strawberry.field(description="Global id of the cluster.")
    dead_letter_id: str = strawberry.field(description="Id of the dead letter in its cluster.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.type(
    description="The orchestrator is asked to read its secret backends anew; follow the command."
)
class SecretBackendSyncSuccess(Asked): ...


@strawberry.type(description="What came of the test.")
class SecretBackendTestSuccess(Asked):
    secret_backend: SecretBackend = strawberry.field(description="The backend.")
    finished: bool = strawberry.field(
        description="Whether the answer came within 10 seconds; if not, follow the command."
    )
    ok: bool | None = strawberry.field(description="Whether the backend answered; null while unfinished.")
    latency_ms: int | None = strawberry.field(description="How long it took, in ms; null without an answer.")
    error: str | None = strawberry.field(description="What went wrong; null when nothing did.")


@strawberry.type(description="The orchestrator is asked to do it; follow the command.")
class DeadLetterSuccess(Asked): ...


ReportSettingsPayload = Annotated[
    OrchestratorReportSettingsSuccess | InvalidInput | Forbidden | LimitExceeded | UnknownConnection,
    strawberry.union(
        "OrchestratorReportSettingsPayload", description="What came of `orchestratorReportSettings`."
    ),
]
RenamePayload = Annotated[
    ClusterRenameSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | NameTaken
    | VersionConflict
    | IdempotencyConflict,
    strawberry.union("ClusterRenamePayload", description="What came of `clusterRename`."),
]
SyncPayload = Annotated[
    SecretBackendSyncSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | OperationDisabled
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("SecretBackendSyncPayload", description="What came of `secretBackendSync`."),
]
TestPayload = Annotated[
    SecretBackendTestSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | OperationDisabled
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("SecretBackendTestPayload", description="What came of `secretBackendTest`."),
]
DeadLetterPayload = Annotated[
    DeadLetterSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | OperationDisabled
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union(
        "DeadLetterPayload", description="What came of `deadLetterRetry` or `deadLetterDiscard`."
    ),
]


@strawberry.type
class SettingsMutations:
    @strawberry.mutation(
        description="Report the cluster's own settings: names and rules. Scope ORCHESTRATOR."
    )
    async def orchestrator_report_settings(
        self,
        info: Info,
        input: Annotated[OrchestratorReportSettingsInput, strawberry.argument(description="The settings.")],
    ) -> ReportSettingsPayload:
        async def success(done: Done) -> OrchestratorReportSettingsSuccess:
            return OrchestratorReportSettingsSuccess(cursor=cursor_of(done))

        told = told_by(input)
        action = report_actions.report(
            info.context.call, input.connection_id, told.surfaces, told.backends, input.security_policy
        )
        return await answer(action, success)

    @strawberry.mutation(
        description="Give a cluster a new name, as of its next connect. Scope OPERATOR or ADMIN."
    )
    async def cluster_rename(
        self,
        info: Info,
        input: Annotated[ClusterRenameInput, strawberry.argument(description="The cluster.")],
    ) -> RenamePayload:
        async def success(done: Done) -> ClusterRenameSuccess:
            line = f"kici-admin cluster-name set {input.name}"
            return ClusterRenameSuccess(
                cluster=await row_of(info, tables.Cluster, done.result["cluster_id"]),
                commands=[
                    await info.context.load.one(tables.Command, id_) for id_ in done.result["command_ids"]
                ],
                instructions=[HostInstruction(hostname=host, line=line) for host in done.result["hosts"]],
                cursor=cursor_of(done),
                replayed=done.replayed,
            )

        wish = cluster_actions.Rename(input.cluster_id, input.name, input.expected_version)
        return await answer(cluster_actions.rename(info.context.call, wish, input.idempotency_key), success)

    @strawberry.mutation(description="Read a secret backend anew. Scope OPERATOR or ADMIN.")
    async def secret_backend_sync(
        self,
        info: Info,
        input: Annotated[SecretBackendInputRef, strawberry.argument(description="The backend.")],
    ) -> SyncPayload:
        async def success(done: Done) -> SecretBackendSyncSuccess:
            return SecretBackendSyncSuccess(**await asked(info, done))

        action = backend_actions.sync(info.context.call, input.secret_backend_id, input.idempotency_key)
        return await answer(action, success)

    @strawberry.mutation(description="Read all secret backends of a cluster anew. Scope OPERATOR or ADMIN.")
    async def secret_backend_sync_all(
        self,
        info: Info,
        input: Annotated[SecretBackendSyncAllInput, strawberry.argument(description="The cluster.")],
    ) -> SyncPayload:
        async def success(done: Done) -> SecretBackendSyncSuccess:
            return SecretBackendSyncSuccess(**await asked(info, done))

        action = backend_actions.sync_all(info.context.call, input.cluster_id, input.idempotency_key)
        return await answer(action, success)

    @strawberry.mutation(
        description="Try to reach a secret backend; waits up to 10 s. Scope OPERATOR or ADMIN."
    )
    async def secret_backend_test(
        self,
        info: Info,
        input: Annotated[SecretBackendInputRef, strawberry.argument(description="The backend.")],
    ) -> TestPayload:
        async def success(done: Done) -> SecretBackendTestSuccess:
            row = await answered(info.context, done.result["command_id"], done.cursor, TEST_SECONDS)
            result: dict[str, Any] = row.result if row is not None else {}
            return SecretBackendTestSuccess(
                secret_backend=await row_of(info, tables.SecretBackend, done.result["backend_id"]),
                finished=row is not None,
                ok=None
                if row is None
                else row.state is CommandState.SUCCEEDED and result.get("ok") is not False,
                latency_ms=_milliseconds(result.get("latencyMs")),
                error=str(result.get("error") or "") or (row.message if row is not None else None),
                **await asked(info, done),
            )

        action = backend_actions.test(info.context.call, input.secret_backend_id, input.idempotency_key)
        return await answer(action, success)

    @strawberry.mutation(description="Send a dead letter again. Scope OPERATOR or ADMIN.")
    async def dead_letter_retry(
        self,
        info: Info,
        input: Annotated[DeadLetterInputRef, strawberry.argument(description="The dead letter.")],
    ) -> DeadLetterPayload:
        return await _dead_letter(info, input, retry=True)

    @strawberry.mutation(description="Throw a dead letter away. Scope OPERATOR or ADMIN.")
    async def dead_letter_discard(
        self,
        info: Info,
        input: Annotated[DeadLetterInputRef, strawberry.argument(description="The dead letter.")],
    ) -> DeadLetterPayload:
        return await _dead_letter(info, input, retry=False)


def _milliseconds(told: object) -> int | None:
    """What an orchestrator adds to its answer may be anything."""
    return told if type(told) is int and 0 <= told <= MAX_INT else None


async def _dead_letter(info: Info, input: DeadLetterInputRef, *, retry: bool) -> Any:
    async def success(done: Done) -> DeadLetterSuccess:
        return DeadLetterSuccess(**await asked(info, done))

    action = backend_actions.dead_letter(
        info.context.call,
        input.cluster_id,
        input.dead_letter_id,
        retry=retry,
        idempotency_key=input.idempotency_key,
    )
    return await answer(action, success)
