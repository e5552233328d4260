"""How every action runs: rights first, then one transaction with its audit row; a refusal leaves an audit row too."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from typing import Any

import orjson

from kici_gql import auth
from kici_gql.auth import Viewer
from kici_gql.errors import IdempotencyConflict, KiciError
from kici_gql.events import Cursor
from kici_gql.rules.reports import check_text
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, audit, records
from kici_gql.tables import AuditOutcome, Idempotency, Prefix, new_id

Result = dict[str, Any]

# These may take long: heartbeats and what users do go first.
_PATIENT = ("orchestratorConnect", "orchestratorDisconnect", "orchestratorReport")

_ID = re.compile(r"[a-z]{3}_[0-9a-f]{32}")  # what callers send as an id may be anything


@dataclass(frozen=True, slots=True)
class Call:
    """One request to act: by whom, under which request id, and where it is carried out."""

    store: Store
    settings: Settings
    viewer: Viewer
    request_id: str


@dataclass(frozen=True, slots=True)
class Done:
    """What an action led to: ids and values to answer with, and the position its commit reached.

    `replayed` is true when the same idempotency key had done it before; nothing happened this time.
    """

    result: Result
    cursor: Cursor
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """An action about to run. `name` is the mutation's; `check` raises when the input is malformed."""

    name: str
    work: Callable[[Tx], Result]
    check: Callable[[], None] = lambda: None
    object_id: str | None = None
    idempotency_key: str | None = None
    input: Any = None
    unrepeatable: frozenset[str] = frozenset()
    """Parts of the result that are answered once and never stored, such as a token's secret."""


async def perform(call: Call, action: Action) -> Done:
    """Run the action. Raises Forbidden, what `check` or `work` raise, or IdempotencyConflict."""
    try:
        auth.require(call.viewer, action.name)
        if action.idempotency_key is not None:
            check_text(action.idempotency_key, ["idempotencyKey"])
        else:
            action.check()
        work = partial(_run, call=call, action=action)
        return await call.store.transaction(
            call.viewer.org_id, work, patient=action.name.startswith(_PATIENT)
        )
    except KiciError as error:
        if not call.viewer.org_id:
            raise  # there is no org whose audit log could hold it
        await call.store.transaction(
            call.viewer.org_id,
            partial(_audit, call=call, action=action, object_id=action.object_id, error=error),
        )
        raise


def _run(tx: Tx, call: Call, action: Action) -> Done:
    if action.idempotency_key is not None:
        before = _recall(tx, call, action)
        if before is not None:
            _audit(tx, call, action, action.object_id or before.result.get("object_id"), detail="replayed")
            return before
        action.check()  # only now: what was good the first time, such as a time to come, is answered again for ever
    result = action.work(tx)
    done = Done(result, tx.cursor)
    object_id = action.object_id or result.get("object_id")
    _audit(tx, call, action, object_id)
    if action.idempotency_key is not None:
        _remember(tx, call, action, done)
    return done


def _recall(tx: Tx, call: Call, action: Action) -> Done | None:
    assert action.idempotency_key is not None
    known = audit.remembered(
        tx.connection, tx.org_id, call.viewer.token_id, action.name, action.idempotency_key
    )
    if known is None:
        return None
    if known.input_sha256 != _fingerprint(action):
        raise IdempotencyConflict(
            "this idempotency key was used with another input",
            hint="Use a new key for a new request, or send the first input again.",
            path=["idempotencyKey"],
        )
    return Done(known.result["result"], Cursor.parse(known.result["cursor"]), replayed=True)


def _remember(tx: Tx, call: Call, action: Action, done: Done) -> None:
    kept = {name: value for name, value in done.result.items() if name not in action.unrepeatable}
    records.add(
        tx.connection,
        Idempotency(
            org_id=tx.org_id,
            token_id=call.viewer.token_id,
            action=action.name,
            key=action.idempotency_key or "",
            input_sha256=_fingerprint(action),
            result={"result": kept, "cursor": str(done.cursor)},
            created_at=tx.now,
        ),
    )


def _fingerprint(action: Action) -> str:
    """Equal inputs have equal fingerprints. The key itself is no part of the input."""
    given = action.input
    if is_dataclass(given) and not isinstance(given, type):
        given = {name: value for name, value in asdict(given).items() if name != "idempotency_key"}
    return hashlib.sha256(orjson.dumps(given, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _audit(
    tx: Tx,
    call: Call,
    action: Action,
    object_id: str | None,
    error: KiciError | None = None,
    detail: str | None = None,
) -> None:
    # Out of the ordinary ones are written by themselves, so that one that can't be written fails alone.
    audit.add(
        tx,
        {
            "id": new_id(Prefix.AUDIT, tx.now),
            "org_id": tx.org_id,
            "at": tx.now,
            "token_id": call.viewer.token_id,
            "token_name": call.viewer.token_name,
            "action": action.name,
            "object_id": object_id if object_id and _ID.fullmatch(object_id) else None,
            "outcome": AuditOutcome.REFUSED if error else AuditOutcome.SUCCEEDED,
            "error_code": error.code.value if error else None,
            "detail": _short(error) if error else detail,
            "request_id": call.request_id,
        },
        at_once=tx.touched or error is not None,
    )


def _short(error: KiciError) -> str:
    """What was wrong, without the value that was: a value may be a secret sent to the wrong field."""
    where = ".".join(error.path or ())
    return f"{type(error).__name__}{' at ' + where if where else ''}"[:200]
