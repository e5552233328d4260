"""Commands: what a user asks of an orchestrator, from the wish to the answer."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kici_gql.actions.orchestrators import connected
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.runs import server_verdict
from kici_gql.actions.workflows import apply_answer
from kici_gql.errors import ClusterDisconnected, Conflict, InvalidInput, NotFound, UnknownConnection
from kici_gql.events import Event, EventType
from kici_gql.rules import reports
from kici_gql.rules.secrets import redacted, redacted_all
from kici_gql.store import Store, Tx, commands, fleet, records
from kici_gql.tables import (
    Cluster,
    Command,
    CommandKind,
    CommandState,
    Orchestrator,
    OrchestratorRole,
    Prefix,
    Run,
    RunStatus,
    new_id,
)

_SWEEP_LIMIT = 500
_MAX_RESULT = 16_384


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a cluster's orchestrator. `payload` goes to it as it is."""

    kind: CommandKind
    cluster_id: str
    workflow_id: str | None = None
    run_id: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def ask(tx: Tx, wish: Wish, requested_by: str, seconds: int) -> Command:
    """Address a command to the cluster's orchestrator that was heard last. Raises ClusterDisconnected."""
    return ask_one(tx, wish, _addressee(tx, wish.cluster_id), requested_by, seconds)


def ask_one(tx: Tx, wish: Wish, orchestrator: Orchestrator, requested_by: str, seconds: int) -> Command:
    """Address a command to this orchestrator; it expires when it is not answered for so many seconds."""
    row = Command(
        id=new_id(Prefix.COMMAND, tx.now),
        org_id=tx.org_id,
        cluster_id=wish.cluster_id,
        orchestrator_id=orchestrator.id,
        kind=wish.kind,
        state=CommandState.PENDING,
        workflow_id=wish.workflow_id,
        run_id=wish.run_id,
        payload=wish.payload,
        result={},
        requested_by=requested_by,
        created_at=tx.now,
        due_at=tx.now + timedelta(seconds=seconds),
    )
    records.add(tx.connection, row)
    tx.append(Event(EventType.COMMAND_CHANGED, records.state_of(row)))
    return row


async def deliver(
    store: Store, org_id: str, command_ids: list[str], connection_id: str | None = None
) -> set[str]:
    """Note that the orchestrator is sent these. Answers those that it shall be sent: nobody answered them yet.

    Raises UnknownConnection when it has connected anew since: what it is asked, it is asked on its new connection.
    """

    def work(tx: Tx) -> set[str]:
        if connection_id is not None and fleet.orchestrator_of(tx.connection, org_id, connection_id) is None:
            raise UnknownConnection(
                "this connection has been replaced", hint="Only the newest connection is sent commands."
            )
        rows = records.by_ids(tx.connection, Command, tx.org_id, command_ids)
        for row in rows:
            if row.state is CommandState.PENDING:
                _change(tx, row, {"state": CommandState.DELIVERED, "delivered_at": tx.now})
        return {row.id for row in rows if row.state in commands.OPEN}

    return await store.transaction(org_id, work)


async def complete(
    call: Call,
    connection_id: str,
    command_id: str,
    succeeded: bool,
    message: str | None,
    result: dict[str, Any],
) -> Done:
    """The orchestrator's answer. Answers `command_id`; answering twice with the same outcome is harmless.

    Raises UnknownConnection, NotFound for another orchestrator's command, Conflict for another outcome.
    """

    def check() -> None:
        if message is not None:
            reports.check_text(message, ["message"], reports.MAX_MESSAGE, empty=True)
        if len(str(result)) > _MAX_RESULT:
            raise InvalidInput(
                "the result is too long", hint=f"At most {_MAX_RESULT} characters.", path=["result"]
            )

        reports.check_json(result, ["result"])

    def work(tx: Tx) -> Result:
        orchestrator = connected(tx, call.viewer, connection_id)
        row = records.by_id(tx.connection, Command, tx.org_id, command_id)
        if row is None or row.cluster_id != orchestrator.cluster_id:
            raise NotFound(
                "there is no such command", hint="Answer the commands you were sent.", path=["commandId"]
            )
        settle(tx, row, succeeded, message, result)
        return {"command_id": row.id, "object_id": row.id}

    return await perform(call, Action("orchestratorCompleteCommand", work, check, object_id=command_id))


def settle(tx: Tx, row: Command, succeeded: bool, message: str | None, result: dict[str, Any]) -> None:
    """Write an orchestrator's answer and what follows from it. Raises Conflict for a second, different answer."""
    state = CommandState.SUCCEEDED if succeeded else CommandState.FAILED
    if row.state is state:
        return
    if row.state in {CommandState.SUCCEEDED, CommandState.FAILED}:
        raise Conflict(
            f"the command has {row.state.lower()} already", hint="Answer a command once.", path=["commandId"]
        )
    # An answer that comes too late still tells what really happened, so it overrules EXPIRED.
    _change(
        tx,
        row,
        {
            "state": state,
            "completed_at": tx.now,
            "due_at": None,
            "message": message and redacted(message),
            "result": {redacted(key): redacted_all(value) for key, value in result.items()},
        },
    )
    if succeeded:
        apply_answer(tx, row)
    else:
        _give_up_run(tx, row, message or "the orchestrator refused it")


async def expire(store: Store, now: datetime) -> None:
    """End the commands that nobody answered in time."""
    for org_id in await store.read(commands.orgs_due, now):
        while await store.transaction(org_id, partial(_expire_some, now=now)):
            pass


def _expire_some(tx: Tx, now: datetime) -> bool:
    rows = commands.due(tx.connection, tx.org_id, now, _SWEEP_LIMIT)
    for row in rows:
        text = "the orchestrator did not answer in time"
        _change(
            tx, row, {"state": CommandState.EXPIRED, "completed_at": tx.now, "due_at": None, "message": text}
        )
        _give_up_run(tx, row, text)
    return len(rows) == _SWEEP_LIMIT


def _give_up_run(tx: Tx, row: Command, reason: str) -> None:
    """A run that was announced by its command and never came to be has failed, as far as we know."""
    if row.kind not in {CommandKind.RUN_NOW, CommandKind.RERUN} or row.run_id is None:
        return
    run = records.by_id(tx.connection, Run, tx.org_id, row.run_id)
    if run is not None and run.status is RunStatus.PENDING and run.status_by_server:
        server_verdict(tx, run, RunStatus.FAILED, reason)


def _addressee(tx: Tx, cluster_id: str) -> Orchestrator:
    present = fleet.speakers(tx.connection, tx.org_id, cluster_id)
    if not present:
        cluster = records.by_id(tx.connection, Cluster, tx.org_id, cluster_id)
        name = cluster.name if cluster is not None else "?"
        raise ClusterDisconnected(
            f"no orchestrator of cluster {name} is connected", hint="Try again when one is connected."
        )
    return max(present, key=lambda row: (row.role is OrchestratorRole.COORDINATOR, row.last_heartbeat_at))


def _change(tx: Tx, row: Command, values: dict[str, Any]) -> None:
    new = records.change(tx.connection, Command, row.id, values | {"revision": row.revision + 1})
    tx.append(Event(EventType.COMMAND_CHANGED, records.state_of(new)))
