"""What users want of workflows and runs. Each becomes a command to an orchestrator, or a typed refusal at once."""

import uuid
from collections.abc import Sequence
from functools import partial

from kici_gql.actions import commands
from kici_gql.actions import runs as run_actions
from kici_gql.actions.commands import Wish
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.surfaces import require_write
from kici_gql.errors import Conflict, NotFound, VersionConflict
from kici_gql.rules import merging, metrics
from kici_gql.rules import workflows as rules
from kici_gql.rules.reports import check_count, check_unique
from kici_gql.rules.run_reports import MAX_INPUTS
from kici_gql.store import Tx, records, runs
from kici_gql.tables import Cluster, CommandKind, Run, Workflow

_MAX_ACTIVE = 100


async def run_now(
    call: Call, workflow_id: str, inputs: Sequence[tuple[str, str]], idempotency_key: str | None
) -> Done:
    """Start a run. Answers `run_id`, `command_id` and whether the workflow was disabled (it runs all the same).

    Raises NotFound, InvalidInput for inputs that the workflow does not declare, ClusterDisconnected.
    """

    def check() -> None:
        check_count(inputs, "inputs", MAX_INPUTS)
        check_unique((name for name, _ in inputs), ["inputs"], "name")

    def work(tx: Tx) -> Result:
        workflow = _workflow(tx, workflow_id, None)
        values = rules.check_inputs(workflow.inputs, dict(inputs))
        external_id = str(uuid.uuid4())
        told = {"trigger_type": "manual", "triggered_by": call.viewer.token_name, "inputs": values}
        run = run_actions.announce(tx, workflow, external_id, told)
        payload = _about(workflow) | {"runId": external_id, "inputs": values}
        wish = Wish(CommandKind.RUN_NOW, workflow.cluster_id, workflow.id, run.id, payload)
        return _asked(tx, call, wish) | {"run_id": run.id, "was_disabled": not workflow.enabled}

    given = [workflow_id, dict(inputs)]
    return await perform(
        call,
        Action("workflowRunNow", work, check, workflow_id, idempotency_key, given),
    )


async def set_enabled(
    call: Call, workflow_id: str, enabled: bool, expected_version: int | None, idempotency_key: str | None
) -> Done:
    """Switch a workflow on or off. Answers `workflow_id` and `command_id`.

    Raises NotFound, VersionConflict, OperationDisabled, ClusterDisconnected.
    """

    def work(tx: Tx) -> Result:
        workflow = _workflow(tx, workflow_id, expected_version)
        if not enabled:
            _require_write(tx, workflow, "registration.disable")
        payload = _about(workflow) | {"enabled": enabled}
        return _asked(
            tx, call, Wish(CommandKind.SET_ENABLED, workflow.cluster_id, workflow.id, payload=payload)
        )

    given = [workflow_id, enabled, expected_version]
    return await perform(
        call,
        Action(
            "workflowSetEnabled", work, object_id=workflow_id, idempotency_key=idempotency_key, input=given
        ),
    )


async def delete(
    call: Call,
    workflow_id: str,
    cancel_active_runs: bool,
    expected_version: int | None,
    idempotency_key: str | None,
) -> Done:
    """Delete a workflow. Answers `command_id` and `run_ids`: the active runs that are asked to end, if that is wanted.

    Raises NotFound, VersionConflict, OperationDisabled, ClusterDisconnected.
    """

    def work(tx: Tx) -> Result:
        workflow = _workflow(tx, workflow_id, expected_version)
        _require_write(tx, workflow, "registration.delete")
        active = runs.active_of(tx.connection, workflow.id, _MAX_ACTIVE)
        payload = _about(workflow) | {
            "cancelActiveRuns": cancel_active_runs,
            "runIds": [run.external_id for run in active] if cancel_active_runs else [],
        }
        wish = Wish(CommandKind.DELETE, workflow.cluster_id, workflow.id, payload=payload)
        return _asked(tx, call, wish) | {"run_ids": [run.id for run in active] if cancel_active_runs else []}

    given = [workflow_id, cancel_active_runs, expected_version]
    return await perform(
        call,
        Action("workflowDelete", work, object_id=workflow_id, idempotency_key=idempotency_key, input=given),
    )


async def cancel(call: Call, run_id: str, force: bool, idempotency_key: str | None) -> Done:
    """Ask for a run's end. Answers `run_id` and `command_id`.

    Raises NotFound, Conflict for a run that has ended with all of its jobs.
    """

    def work(tx: Tx) -> Result:
        run = _run(tx, run_id)
        if merging.is_final(run.status) and not _works(tx, run):
            raise Conflict(
                f"the run has ended: {run.status}", hint="There is nothing to cancel.", path=["runId"]
            )
        payload = {"runId": run.external_id, "force": force}
        wish = Wish(CommandKind.CANCEL, run.cluster_id, run.workflow_id, run.id, payload)
        return _asked(tx, call, wish) | {"run_id": run.id}

    return await perform(
        call,
        Action("runCancel", work, object_id=run_id, idempotency_key=idempotency_key, input=[run_id, force]),
    )


async def rerun(call: Call, run_id: str, idempotency_key: str | None) -> Done:
    """Run it again. Answers `run_id` of the new run and `command_id`. Raises NotFound, Conflict while it still runs."""
    work = partial(_rerun, call=call, run_id=run_id)
    return await perform(
        call, Action("runRerun", work, object_id=run_id, idempotency_key=idempotency_key, input=run_id)
    )


def _rerun(tx: Tx, call: Call, run_id: str) -> Result:
    run = _run(tx, run_id)
    if not merging.is_final(run.status):
        raise Conflict(f"the run has not ended: {run.status}", hint="Cancel it, or wait.", path=["runId"])
    workflow = records.by_id(tx.connection, Workflow, tx.org_id, run.workflow_id) if run.workflow_id else None
    if workflow is None:
        raise Conflict(
            "the run's workflow is gone", hint="Only runs of a registered workflow.", path=["runId"]
        )
    external_id = str(uuid.uuid4())
    told = {
        "trigger_type": "rerun",
        "triggered_by": call.viewer.token_name,
        "inputs": run.inputs,
        "branch": run.branch,
        "commit_sha": run.commit_sha,
        "commit_message": run.commit_message,
        "parent_run": run.external_id,
        "original_run": run.original_run or run.external_id,
    }
    new = run_actions.announce(tx, workflow, external_id, told)
    payload = _about(workflow) | {"runId": external_id, "rerunOf": run.external_id, "inputs": run.inputs}
    wish = Wish(CommandKind.RERUN, run.cluster_id, workflow.id, new.id, payload)
    return _asked(tx, call, wish) | {"run_id": new.id}


def _asked(tx: Tx, call: Call, wish: Wish) -> Result:
    command = commands.ask(tx, wish, call.viewer.token_name, call.settings.command_seconds)
    return {"command_id": command.id, "workflow_id": wish.workflow_id}


def _require_write(tx: Tx, workflow: Workflow, operation: str) -> None:
    cluster = records.by_id(tx.connection, Cluster, tx.org_id, workflow.cluster_id)
    assert cluster is not None, "a foreign key says so"
    require_write(tx.connection, cluster, operation, workflow.external_id)


def _about(workflow: Workflow) -> Result:
    return {
        "registrationId": workflow.external_id,
        "workflowName": workflow.name,
        "repository": workflow.repository,
    }


def _workflow(tx: Tx, workflow_id: str, expected_version: int | None) -> Workflow:
    row = records.by_id(tx.connection, Workflow, tx.org_id, workflow_id)
    if row is None:
        raise NotFound(
            "there is no such workflow", hint="Query Org.workflows for what there is.", path=["workflowId"]
        )
    if expected_version is not None and expected_version != row.revision:
        raise VersionConflict(
            f"the workflow has version {row.revision} by now", current_id=row.id, hint="Read it again."
        )
    return row


def _works(tx: Tx, run: Run) -> bool:
    """Whether an agent still works for it: a run that failed may have jobs that go on."""
    counted = runs.jobs_by_status(tx.connection, [run.id])
    return any(status in metrics.RUNNING for _, status, _ in counted)


def _run(tx: Tx, run_id: str) -> Run:
    row = records.by_id(tx.connection, Run, tx.org_id, run_id)
    if row is None:
        raise NotFound("there is no such run", hint="Query Org.runs for what there is.", path=["runId"])
    return row
