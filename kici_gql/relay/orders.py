"""Commands of users as requests to an orchestrator, and its answers as their outcomes."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kici_gql.actions import commands
from kici_gql.actions import runs as run_actions
from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Result, perform
from kici_gql.errors import NotFound
from kici_gql.events import Event, EventType
from kici_gql.relay.messages.answers import Answered, Outcome
from kici_gql.relay.messages.introduction import Capabilities, org_of
from kici_gql.relay.messages.requests import Actor, Request, request
from kici_gql.relay.messages.values import Body, items, message, number, text
from kici_gql.rules import merging
from kici_gql.rules.reports import MAX_MESSAGE
from kici_gql.store import Tx, records
from kici_gql.store import runs as run_store
from kici_gql.tables import Command, CommandKind, CommandState, Run, RunStatus

STARTING = frozenset({CommandKind.RUN_NOW, CommandKind.RERUN})
"""These start a run, under an id that the orchestrator makes up."""
REPEATABLE = frozenset(CommandKind) - STARTING - {CommandKind.DEAD_LETTER_RETRY}
MAX_CANCELLED = 50

_REQUEST_IDS = uuid.UUID("6b1f7f4e-7f0e-4a51-9c43-5a0a5d0f3c11")


class ByHand(Exception):
    """An orchestrator can't be asked for it; the text says what to do instead."""


def request_id(command: Command) -> str:
    """The same for every try: 0.9 answers a repeated one with what it did the first time."""
    return str(uuid.uuid5(_REQUEST_IDS, command.id))


def may_ask(command: Command, capabilities: Capabilities) -> bool:
    """Whether to send it. One that was sent before may have been carried out, and its answer lost with the link."""
    if command.state is CommandState.PENDING or command.kind in REPEATABLE:
        return True
    remembers = "dashboard.contexts.list" in (capabilities.requests or ())
    return remembers and command.kind in STARTING


def requests_for(command: Command, routing_keys: tuple[str, ...], hostname: str) -> list[Request]:
    """What to send, the first one being what decides. Raises ByHand, or InvalidInput for an id that must not leave."""
    if command.kind is CommandKind.RENAME:
        line = f"kici-admin cluster-name set {command.payload.get('clusterName')}"
        raise ByHand(f"run `{line}` on {hostname} and restart the orchestrator: it takes no name from here")
    told = {"orgId": org_of(routing_keys), **command.payload}
    return _ASKING[command.kind](Actor(command.requested_by), told)


Told = Mapping[str, Any]


def _run_now(actor: Actor, told: Told) -> list[Request]:
    return [request("run.manual_schedule.request", actor, registrationId=told.get("registrationId"))]


def _rerun(actor: Actor, told: Told) -> list[Request]:
    return [request("run.rerun.request", actor, runId=told.get("rerunOf"))]


def _cancel(actor: Actor, told: Told) -> list[Request]:
    return [request("run.cancel.request", actor, runId=told.get("runId"), force=told.get("force"))]


def _set_enabled(actor: Actor, told: Told) -> list[Request]:
    registration, disabled = told.get("registrationId"), not told.get("enabled")
    return [request("dashboard.registration.disable", actor, registrationId=registration, disabled=disabled)]


def _delete(actor: Actor, told: Mapping[str, Any]) -> list[Request]:
    """`cancelActiveRuns` of the orchestrator stops nothing that executes, so each run is cancelled by itself."""
    cancel = bool(told.get("cancelActiveRuns"))
    delete = request(
        "dashboard.registration.delete",
        actor,
        registrationId=told.get("registrationId"),
        cancelActiveRuns=cancel,
    )
    runs = [each for each in told.get("runIds", ()) if cancel][:MAX_CANCELLED]
    return [delete, *(request("run.cancel.request", actor, runId=each) for each in runs)]


def _sync(actor: Actor, told: Told) -> list[Request]:
    return [request("dashboard.backends.sync.one", actor, name=told.get("backend"))]


def _sync_all(actor: Actor, _told: Told) -> list[Request]:
    return [request("dashboard.backends.sync", actor)]


def _test(actor: Actor, told: Told) -> list[Request]:
    return [request("dashboard.backends.test", actor, name=told.get("backend"))]


def _dead_letter(word: str, actor: Actor, told: Told) -> list[Request]:
    letter = told.get("deadLetterId")
    return [request(f"dashboard.event-dlq.{word}", actor, orgId=told["orgId"], eventId=letter)]


_ASKING: Mapping[CommandKind, Callable[[Actor, Told], list[Request]]] = {
    CommandKind.RUN_NOW: _run_now,
    CommandKind.RERUN: _rerun,
    CommandKind.CANCEL: _cancel,
    CommandKind.SET_ENABLED: _set_enabled,
    CommandKind.DELETE: _delete,
    CommandKind.BACKEND_SYNC: _sync,
    CommandKind.BACKEND_SYNC_ALL: _sync_all,
    CommandKind.BACKEND_TEST: _test,
    CommandKind.DEAD_LETTER_RETRY: partial(_dead_letter, "retry"),
    CommandKind.DEAD_LETTER_DISCARD: partial(_dead_letter, "discard"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an outcome means for its command."""

    succeeded: bool
    message: str | None
    result: Mapping[str, Any]


_shown = text(MAX_MESSAGE)


def judge(kind: CommandKind, outcome: Outcome) -> Verdict:
    if not isinstance(outcome, Answered):
        words = [outcome.message, outcome.hint] if outcome.hint else [outcome.message]
        return Verdict(False, _shown(". ".join(words)), {"refusal": outcome.why.value})
    read = _READING.get(kind)
    return Verdict(True, None, {}) if read is None else read(outcome.body)


def _started(body: Body) -> Verdict:
    return Verdict(True, None, {"newRunId": body["newRunId"]})


def _tested(body: Body) -> Verdict:
    return Verdict(body["ok"], message(body.get("error")), {"latencyMs": number(body.get("latencyMs"))})


def _synced_one(body: Body) -> Verdict:
    """An unreachable backend answers the same; its error stands in the list of backends, which is asked right after."""
    return Verdict(True, None, {"scopeCount": number(body.get("scopeCount"))})


def _cancelled(body: Body) -> Verdict:
    """Zero is the answer for work that waits (it will run all the same), and for runs that are over or unknown."""
    result = {"cancelledJobs": body["cancelledJobs"]}
    if body["cancelledJobs"] or body.get("alreadyTerminal"):
        return Verdict(True, None, result)
    told = "no agent was executing it: an orchestrator of this version does not cancel work that waits"
    return Verdict(False, told, result)


def _synced(body: Body) -> Verdict:
    """The answer is one for all; what went wrong is in its parts."""
    failed = [
        f"{each.get('name')}: {each['error']}" for each in items(body["results"], 100) if each.get("error")
    ]
    return Verdict(not failed, _shown("; ".join(failed)), {"backends": len(body["results"])})


_READING: Mapping[CommandKind, Callable[[Body], Verdict]] = {
    CommandKind.RUN_NOW: _started,
    CommandKind.RERUN: _started,
    CommandKind.CANCEL: _cancelled,
    CommandKind.BACKEND_TEST: _tested,
    CommandKind.BACKEND_SYNC: _synced_one,
    CommandKind.BACKEND_SYNC_ALL: _synced,
}


async def complete(call: Call, connection_id: str, command: Command, verdict: Verdict) -> None:
    """Write the outcome. Raises KiciError when the command is gone or has another outcome already."""
    work = partial(_complete, call=call, connection_id=connection_id, command_id=command.id, verdict=verdict)
    await perform(call, Action("orchestratorCompleteCommand", work, object_id=command.id))


def _complete(tx: Tx, call: Call, connection_id: str, command_id: str, verdict: Verdict) -> Result:
    orchestrator = connected(tx, call.viewer, connection_id)
    row = records.by_id(tx.connection, Command, tx.org_id, command_id)
    if row is None or row.cluster_id != orchestrator.cluster_id:
        raise NotFound("there is no such command")
    started = verdict.result.get("newRunId")
    if verdict.succeeded and isinstance(started, str) and row.run_id is not None:
        _take_over(tx, row.run_id, started)
    commands.settle(tx, row, verdict.succeeded, verdict.message, dict(verdict.result))
    if verdict.succeeded and row.kind is CommandKind.CANCEL and row.run_id is not None:
        _change_run(tx, row.run_id, {"cancelled_by": row.requested_by})  # no report ever says it
    return {"command_id": row.id, "object_id": row.id}


def _take_over(tx: Tx, run_id: str, started: str) -> None:
    """The run that was announced gets the id that the orchestrator gave it, so that its reports find it."""
    run = records.by_id(tx.connection, Run, tx.org_id, run_id)
    if run is None or run.external_id == started:
        return
    if run_store.by_external_ids(tx.connection, run.cluster_id, [started]):
        # Its reports came long before the answer, and made a run of their own.
        if not merging.is_final(run.status):
            run_actions.server_verdict(tx, run, RunStatus.FAILED, f"it runs as {started}")
        return
    _change_run(tx, run_id, {"external_id": started})


def _change_run(tx: Tx, run_id: str, values: Result) -> None:
    run = records.by_id(tx.connection, Run, tx.org_id, run_id)
    if run is not None:
        new = records.change(tx.connection, Run, run.id, values | {"revision": run.revision + 1})
        tx.append(Event(EventType.RUN_CHANGED, records.state_of(new)))
