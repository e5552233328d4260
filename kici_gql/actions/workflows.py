"""Workflows: what orchestrators report of them, and when they fire next."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from kici_gql.actions import registry
from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.events import Event, EventType
from kici_gql.rules import run_reports, schedules
from kici_gql.rules.secrets import redacted
from kici_gql.store import Store, Tx, records, runs, workflows
from kici_gql.tables import Command, CommandKind, Prefix, Workflow, new_id

_SWEEP_LIMIT = 500


async def report(call: Call, told: run_reports.Workflows) -> Done:
    """Take an orchestrator's workflows: all of them (`full`), or only what changed."""

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, told.connection_id)
        take(tx, orchestrator.cluster_id, told)
        return {"object_id": orchestrator.id, "cluster_id": orchestrator.cluster_id}

    check = partial(run_reports.check_workflows, told, call.store.now())
    return await perform(call, Action("orchestratorReportWorkflows", work, check))


def take(tx: Tx, cluster_id: str, told: run_reports.Workflows) -> None:
    """Write what differs from what is known, and nothing else.

    An orchestrator that could not read its registry doesn't know what is gone: then nothing goes for not being listed.
    """
    known = workflows.in_cluster(tx.connection, cluster_id)
    for each in told.workflows:
        _write(tx, cluster_id, known.get(each.registration_id), each)
    unlisted = set(known) if told.full and told.registry_error is None else set()
    gone = (unlisted | set(told.removed)) - {each.registration_id for each in told.workflows}
    for external_id in sorted(gone & set(known)):
        remove(tx, known[external_id])
    values: dict[str, Any] = {
        "error": told.registry_error and redacted(told.registry_error),
        "updated_at": tx.now,
    }
    if told.registry_version is not None:
        values |= {
            "version": told.registry_version,
            "announced_version": told.registry_version,
            "announced_at": tx.now,
        }
    registry.write(tx, cluster_id, values)


def set_enabled(tx: Tx, row: Workflow, enabled: bool) -> None:
    if row.enabled != enabled:
        _change(tx, row, {"enabled": enabled, "updated_at": tx.now})


def triggered(tx: Tx, row: Workflow, moment: datetime) -> None:
    """A run of the workflow was queued."""
    if row.last_triggered_at is None or row.last_triggered_at < moment:
        values: dict[str, Any] = {"last_triggered_at": moment}
        if not row.next_fire_reported:
            values["next_fire_at"] = schedules.next_fire_of(row.triggers, max(moment, tx.now))
        _change(tx, row, values)


def remove(tx: Tx, row: Workflow) -> None:
    """Runs outlive their workflow."""
    runs.forget_workflow(tx.connection, row.id)
    records.remove(tx.connection, Workflow, [row.id])
    tx.append(
        Event(EventType.WORKFLOW_REMOVED, {"id": row.id, "name": row.name, "cluster_id": row.cluster_id})
    )


def apply_answer(tx: Tx, command: Command) -> None:
    """What a successful command means for its workflow, should the orchestrator not report it by itself."""
    if command.workflow_id is None:
        return
    row = records.by_id(tx.connection, Workflow, tx.org_id, command.workflow_id)
    if row is None:
        return
    if command.kind is CommandKind.SET_ENABLED:
        set_enabled(tx, row, bool(command.payload["enabled"]))
    elif command.kind is CommandKind.DELETE:
        remove(tx, row)


async def roll_schedules(store: Store, now: datetime) -> None:
    """Work out the next fire time of the workflows whose last one has passed."""
    for org_id in await store.read(workflows.orgs_overdue, now):
        while await store.transaction(org_id, partial(_roll_some, now=now)):
            pass


def _roll_some(tx: Tx, now: datetime) -> bool:
    rows = workflows.overdue(tx.connection, tx.org_id, now, _SWEEP_LIMIT)
    for row in rows:
        values = {"next_fire_at": schedules.next_fire_of(row.triggers, now), "next_fire_reported": False}
        _change(tx, row, values)
    return len(rows) == _SWEEP_LIMIT


def _write(tx: Tx, cluster_id: str, row: Workflow | None, told: run_reports.Workflow) -> None:
    triggers = [{**each.config, "type": each.type} for each in told.triggers]
    values: dict[str, Any] = {
        "name": told.name,
        "repository": told.repository,
        "trigger_types": sorted({each.type for each in told.triggers}),
        "triggers": triggers,
        "source_repos": list(told.source_repos),
        "source_file": told.source_file,
        "commit_sha": told.commit_sha,
        "inputs": [_input(each) for each in told.inputs],
        "enabled": told.enabled,
    }
    coming = told.next_fire_at if told.next_fire_at is not None and told.next_fire_at > tx.now else None
    values["next_fire_reported"] = coming is not None
    values["next_fire_at"] = coming or _next_fire(row, triggers, tx.now)
    if told.last_triggered_at is not None:  # we may know of a later run
        known = row.last_triggered_at if row is not None else None
        values["last_triggered_at"] = max(known or told.last_triggered_at, told.last_triggered_at)
    if row is not None:
        if any(getattr(row, name) != value for name, value in values.items()):
            _change(tx, row, values | {"updated_at": tx.now})
        return
    new = Workflow(
        id=new_id(Prefix.WORKFLOW, tx.now),
        org_id=tx.org_id,
        cluster_id=cluster_id,
        external_id=told.registration_id,
        registered_at=told.registered_at or tx.now,
        updated_at=tx.now,
        **values,
    )
    records.add(tx.connection, new)
    tx.append(Event(EventType.WORKFLOW_CHANGED, records.state_of(new)))


def _next_fire(row: Workflow | None, triggers: list[dict[str, Any]], now: datetime) -> datetime | None:
    if (
        row is not None
        and row.triggers == triggers
        and row.next_fire_at is not None
        and row.next_fire_at > now
    ):
        return row.next_fire_at
    return schedules.next_fire_of(triggers, now)


def _input(told: run_reports.WorkflowInput) -> dict[str, Any]:
    return {
        "name": told.name,
        "type": told.type.value,
        "required": told.required,
        "default": told.default,
        "options": list(told.options),
        "description": told.description,
    }


def _change(tx: Tx, row: Workflow, values: Mapping[str, Any]) -> None:
    new = records.change(tx.connection, Workflow, row.id, {**values, "revision": row.revision + 1})
    tx.append(Event(EventType.WORKFLOW_CHANGED, records.state_of(new)))
