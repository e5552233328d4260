"""What users want of workflows and runs."""

from typing import Annotated, Any

import strawberry

from kici_gql import tables
from kici_gql.actions import wishes
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.payload import CURSOR, IDEMPOTENCY_KEY, REPLAYED, answer, asked, row_of
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.command import Command
from kici_gql.api.types.errors import (
    ClusterDisconnected,
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    OperationDisabled,
    VersionConflict,
)
from kici_gql.api.types.run import Run
from kici_gql.api.types.workflow import Workflow
from kici_gql.rules.run_reports import MAX_INPUTS

_VERSION = "Refused with VersionConflict when the workflow has another version by now."


@strawberry.input(description="A value for an input that the workflow declares.")
class InputValue:
    name: str = strawberry.field(description="Name of the input.")
    value: str = strawberry.field(description="Its value, as text.")


@strawberry.input(description="Which workflow to run.")
class WorkflowRunNowInput:
    workflow_id: strawberry.ID = strawberry.field(description="Global id of the workflow.")
    inputs: list[InputValue] = strawberry.field(
        default_factory=list, description=f"Values of the inputs that it declares. At most {MAX_INPUTS}."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which workflow to switch on or off.")
class WorkflowSetEnabledInput:
    workflow_id: strawberry.ID = strawberry.field(description="Global id of the workflow.")
    enabled: bool = strawberry.field(description="What it shall be.")
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which workflow to delete.")
class WorkflowDeleteInput:
    workflow_id: strawberry.ID = strawberry.field(description="Global id of the workflow.")
    cancel_active_runs: bool = strawberry.field(
        default=False, description="Also cancel its runs that have not ended."
    )
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which run to end.")
class RunCancelInput:
    run_id: strawberry.ID = strawberry.field(description="Global id of the run.")
    force: bool = strawberry.field(
        default=False, description="True: kill its processes at once, without a chance to tidy."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.input(description="Which run to repeat.")
class RunRerunInput:
    run_id: strawberry.ID = strawberry.field(description="Global id of the run.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.interface(description="Something was asked of an orchestrator.")
class Asked:
    command: Command = strawberry.field(
        description="The command on its way; follow it to see what comes of it."
    )
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)


@strawberry.type(description="The run is announced, and its orchestrator is asked to start it.")
class WorkflowRunNowSuccess(Asked):
    run: Run = strawberry.field(description="The run; PENDING until its orchestrator speaks of it.")
    was_disabled: bool = strawberry.field(
        description="Whether the workflow is disabled: it runs by hand all the same."
    )


@strawberry.type(description="The orchestrator is asked to switch the workflow.")
class WorkflowSetEnabledSuccess(Asked):
    workflow: Workflow = strawberry.field(
        description="The workflow as it is now; it changes when the command succeeds."
    )


@strawberry.type(description="The orchestrator is asked to delete the workflow.")
class WorkflowDeleteSuccess(Asked):
    cancelled_runs: list[Run] = strawberry.field(
        description="Active runs that it is asked to cancel with it."
    )


@strawberry.type(description="The orchestrator is asked to end the run.")
class RunCancelSuccess(Asked):
    run: Run = strawberry.field(description="The run as it is now; it changes when its jobs end.")


@strawberry.type(description="The new run is announced, and its orchestrator is asked to start it.")
class RunRerunSuccess(Asked):
    run: Run = strawberry.field(description="The new run; PENDING until its orchestrator speaks of it.")


RunNowPayload = Annotated[
    WorkflowRunNowSuccess | InvalidInput | Forbidden | NotFound | ClusterDisconnected | IdempotencyConflict,
    strawberry.union("WorkflowRunNowPayload", description="What came of `workflowRunNow`."),
]
SetEnabledPayload = Annotated[
    WorkflowSetEnabledSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | OperationDisabled
    | VersionConflict
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("WorkflowSetEnabledPayload", description="What came of `workflowSetEnabled`."),
]
DeletePayload = Annotated[
    WorkflowDeleteSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | OperationDisabled
    | VersionConflict
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("WorkflowDeletePayload", description="What came of `workflowDelete`."),
]
CancelPayload = Annotated[
    RunCancelSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | Conflict
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("RunCancelPayload", description="What came of `runCancel`."),
]
RerunPayload = Annotated[
    RunRerunSuccess
    | InvalidInput
    | Forbidden
    | NotFound
    | Conflict
    | ClusterDisconnected
    | IdempotencyConflict,
    strawberry.union("RunRerunPayload", description="What came of `runRerun`."),
]


async def _run(info: Info, done: Done) -> Any:
    return await row_of(info, tables.Run, done.result["run_id"])


@strawberry.type
class WorkflowMutations:
    @strawberry.mutation(description="Run a workflow now, also a disabled one. Scope OPERATOR or ADMIN.")
    async def workflow_run_now(
        self,
        info: Info,
        input: Annotated[WorkflowRunNowInput, strawberry.argument(description="The workflow.")],
    ) -> RunNowPayload:
        async def success(done: Done) -> WorkflowRunNowSuccess:
            return WorkflowRunNowSuccess(
                run=await _run(info, done),
                was_disabled=done.result["was_disabled"],
                **await asked(info, done),
            )

        values = [(each.name, each.value) for each in input.inputs]
        action = wishes.run_now(info.context.call, input.workflow_id, values, input.idempotency_key)
        return await answer(action, success)

    @strawberry.mutation(description="Switch a workflow on or off. Scope OPERATOR or ADMIN.")
    async def workflow_set_enabled(
        self,
        info: Info,
        input: Annotated[WorkflowSetEnabledInput, strawberry.argument(description="The workflow.")],
    ) -> SetEnabledPayload:
        async def success(done: Done) -> WorkflowSetEnabledSuccess:
            workflow = await row_of(info, tables.Workflow, input.workflow_id)
            return WorkflowSetEnabledSuccess(workflow=workflow, **await asked(info, done))

        action = wishes.set_enabled(
            info.context.call, input.workflow_id, input.enabled, input.expected_version, input.idempotency_key
        )
        return await answer(action, success)

    @strawberry.mutation(description="Delete a workflow. Scope OPERATOR or ADMIN.")
    async def workflow_delete(
        self,
        info: Info,
        input: Annotated[WorkflowDeleteInput, strawberry.argument(description="The workflow.")],
    ) -> DeletePayload:
        async def success(done: Done) -> WorkflowDeleteSuccess:
            found = [await info.context.load.one(tables.Run, id_) for id_ in done.result["run_ids"]]
            return WorkflowDeleteSuccess(
                cancelled_runs=[run for run in found if run is not None], **await asked(info, done)
            )

        action = wishes.delete(
            info.context.call,
            input.workflow_id,
            input.cancel_active_runs,
            input.expected_version,
            input.idempotency_key,
        )
        return await answer(action, success)

    @strawberry.mutation(description="Ask for a run's end. Scope OPERATOR or ADMIN.")
    async def run_cancel(
        self,
        info: Info,
        input: Annotated[RunCancelInput, strawberry.argument(description="The run.")],
    ) -> CancelPayload:
        async def success(done: Done) -> RunCancelSuccess:
            return RunCancelSuccess(run=await _run(info, done), **await asked(info, done))

        return await answer(
            wishes.cancel(info.context.call, input.run_id, input.force, input.idempotency_key), success
        )

    @strawberry.mutation(description="Repeat a run that has ended. Scope OPERATOR or ADMIN.")
    async def run_rerun(
        self,
        info: Info,
        input: Annotated[RunRerunInput, strawberry.argument(description="The run.")],
    ) -> RerunPayload:
        async def success(done: Done) -> RunRerunSuccess:
            return RunRerunSuccess(run=await _run(info, done), **await asked(info, done))

        return await answer(wishes.rerun(info.context.call, input.run_id, input.idempotency_key), success)
