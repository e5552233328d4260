"""Mutations by orchestrators about workflows, runs, logs and commands."""

from typing import Annotated, Any, cast

import strawberry

from kici_gql.actions import commands as command_actions
from kici_gql.actions import logs as log_actions
from kici_gql.actions import runs as run_actions
from kici_gql.actions import workflows as workflow_actions
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.payload import CURSOR, answer, cursor_of
from kici_gql.api.mutations.run_inputs import (
    OrchestratorCompleteCommandInput,
    OrchestratorReportLogsInput,
    OrchestratorReportRunsInput,
    OrchestratorReportWorkflowsInput,
)
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    UnknownConnection,
)


@strawberry.type(description="The workflows are stored.")
class OrchestratorReportWorkflowsSuccess:
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.type(description="The runs are stored.")
class OrchestratorReportRunsSuccess:
    run_ids: list[strawberry.ID] = strawberry.field(description="Global ids, in the order of the input.")
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.type(description="The log lines are stored.")
class OrchestratorReportLogsSuccess:
    stored_lines: int = strawberry.field(description="Lines that were not stored before.")
    dropped_lines: int = strawberry.field(
        description="Lines beyond what is kept of one run; they show as a gap."
    )
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.type(description="The answer is stored.")
class OrchestratorCompleteCommandSuccess:
    cursor: Cursor = strawberry.field(description=CURSOR)


WorkflowsPayload = Annotated[
    OrchestratorReportWorkflowsSuccess | InvalidInput | Forbidden | LimitExceeded | UnknownConnection,
    strawberry.union(
        "OrchestratorReportWorkflowsPayload", description="What came of `orchestratorReportWorkflows`."
    ),
]
RunsPayload = Annotated[
    OrchestratorReportRunsSuccess | InvalidInput | Forbidden | LimitExceeded | UnknownConnection,
    strawberry.union("OrchestratorReportRunsPayload", description="What came of `orchestratorReportRuns`."),
]
LogsPayload = Annotated[
    OrchestratorReportLogsSuccess | InvalidInput | Forbidden | NotFound | LimitExceeded | UnknownConnection,
    strawberry.union("OrchestratorReportLogsPayload", description="What came of `orchestratorReportLogs`."),
]
CompletePayload = Annotated[
    OrchestratorCompleteCommandSuccess | InvalidInput | Forbidden | NotFound | Conflict | UnknownConnection,
    strawberry.union(
        "OrchestratorCompleteCommandPayload", description="What came of `orchestratorCompleteCommand`."
    ),
]


@strawberry.type
class RunReportMutations:
    @strawberry.mutation(
        description="Report registered workflows: all of them, or changes. Scope ORCHESTRATOR."
    )
    async def orchestrator_report_workflows(
        self,
        info: Info,
        input: Annotated[OrchestratorReportWorkflowsInput, strawberry.argument(description="The workflows.")],
    ) -> WorkflowsPayload:
        async def success(done: Done) -> OrchestratorReportWorkflowsSuccess:
            return OrchestratorReportWorkflowsSuccess(cursor=cursor_of(done))

        return await answer(workflow_actions.report(info.context.call, input), success)

    @strawberry.mutation(description="Report runs, jobs and steps, in any order. Scope ORCHESTRATOR.")
    async def orchestrator_report_runs(
        self,
        info: Info,
        input: Annotated[OrchestratorReportRunsInput, strawberry.argument(description="The runs.")],
    ) -> RunsPayload:
        async def success(done: Done) -> OrchestratorReportRunsSuccess:
            return OrchestratorReportRunsSuccess(run_ids=done.result["run_ids"], cursor=cursor_of(done))

        return await answer(run_actions.report(info.context.call, input.connection_id, input.runs), success)

    @strawberry.mutation(
        description="Report log lines; repeats are harmless, holes stay visible. Scope ORCHESTRATOR."
    )
    async def orchestrator_report_logs(
        self,
        info: Info,
        input: Annotated[OrchestratorReportLogsInput, strawberry.argument(description="The lines.")],
    ) -> LogsPayload:
        async def success(done: Done) -> OrchestratorReportLogsSuccess:
            return OrchestratorReportLogsSuccess(
                stored_lines=done.result["stored"],
                dropped_lines=done.result["dropped"],
                cursor=cursor_of(done),
            )

        return await answer(log_actions.report(info.context.call, input.connection_id, input.parts), success)

    @strawberry.mutation(
        description="Answer a command. Answering it again the same way is harmless. Scope ORCHESTRATOR."
    )
    async def orchestrator_complete_command(
        self,
        info: Info,
        input: Annotated[OrchestratorCompleteCommandInput, strawberry.argument(description="The answer.")],
    ) -> CompletePayload:
        async def success(done: Done) -> OrchestratorCompleteCommandSuccess:
            return OrchestratorCompleteCommandSuccess(cursor=cursor_of(done))

        told = cast(Any, input.result)
        action = command_actions.complete(
            info.context.call,
            input.connection_id,
            input.command_id,
            input.succeeded,
            input.message,
            told if isinstance(told, dict) else {},
        )
        return await answer(action, success)
