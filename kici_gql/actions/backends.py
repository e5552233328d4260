"""What users want of secret backends and dead letters."""

from typing import Any

from kici_gql.actions import commands
from kici_gql.actions.commands import Wish
from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.actions.surfaces import is_current, require_write
from kici_gql.errors import NotFound
from kici_gql.rules.reports import check_text
from kici_gql.store import Tx, records, settings
from kici_gql.tables import Cluster, CommandKind, SecretBackend, Surface


async def sync(call: Call, backend_id: str, idempotency_key: str | None) -> Done:
    """Ask for one backend to be read anew. Answers `command_id` and `backend_id`."""
    return await _about_backend(
        call, "secretBackendSync", CommandKind.BACKEND_SYNC, "backends.sync_one", backend_id, idempotency_key
    )


async def test(call: Call, backend_id: str, idempotency_key: str | None) -> Done:
    """Ask for one backend to be tried. Answers `command_id` and `backend_id`."""
    return await _about_backend(
        call, "secretBackendTest", CommandKind.BACKEND_TEST, "backends.test", backend_id, idempotency_key
    )


async def sync_all(call: Call, cluster_id: str, idempotency_key: str | None) -> Done:
    """Ask for all backends of a cluster to be read anew. Answers `command_id`."""

    def work(tx: Tx) -> Result:
        cluster = _cluster(tx, cluster_id)
        require_write(tx.connection, cluster, "backends.sync")
        return _asked(tx, call, Wish(CommandKind.BACKEND_SYNC_ALL, cluster.id))

    action = Action(
        "secretBackendSyncAll", work, object_id=cluster_id, idempotency_key=idempotency_key, input=cluster_id
    )
    return await perform(call, action)


async def dead_letter(
    call: Call, cluster_id: str, letter_id: str, *, retry: bool, idempotency_key: str | None
) -> Done:
    """Ask for a dead letter to be sent again, or thrown away. Answers `command_id`."""
    name, kind, operation = (
        ("deadLetterRetry", CommandKind.DEAD_LETTER_RETRY, "event_dlq.retry")
        if retry
        else ("deadLetterDiscard", CommandKind.DEAD_LETTER_DISCARD, "event_dlq.discard")
    )

    def work(tx: Tx) -> Result:
        cluster = _cluster(tx, cluster_id)
        require_write(tx.connection, cluster, operation, letter_id)
        _require_letter(tx, cluster, letter_id)
        return _asked(tx, call, Wish(kind, cluster.id, payload={"deadLetterId": letter_id}))

    action = Action(
        name,
        work,
        lambda: check_text(letter_id, ["deadLetterId"]),
        object_id=cluster_id,
        idempotency_key=idempotency_key,
        input=[cluster_id, letter_id],
    )
    return await perform(call, action)


async def _about_backend(
    call: Call, name: str, kind: CommandKind, operation: str, backend_id: str, idempotency_key: str | None
) -> Done:
    def work(tx: Tx) -> Result:
        backend = records.by_id(tx.connection, SecretBackend, tx.org_id, backend_id)
        if backend is None:
            raise NotFound(
                "there is no such secret backend", hint="Query secretBackends.", path=["secretBackendId"]
            )
        require_write(tx.connection, _cluster(tx, backend.cluster_id), operation, backend.name)
        wish = Wish(kind, backend.cluster_id, payload={"backend": backend.name})
        return _asked(tx, call, wish) | {"backend_id": backend.id}

    action = Action(name, work, object_id=backend_id, idempotency_key=idempotency_key, input=backend_id)
    return await perform(call, action)


def _cluster(tx: Tx, cluster_id: str) -> Cluster:
    row = records.by_id(tx.connection, Cluster, tx.org_id, cluster_id)
    if row is None:
        raise NotFound("there is no such cluster", hint="Query Org.clusters.", path=["clusterId"])
    return row


def _asked(tx: Tx, call: Call, wish: Wish) -> Result:
    row = commands.ask(tx, wish, call.viewer.token_name, call.settings.command_seconds)
    return {"command_id": row.id}


def _require_letter(tx: Tx, cluster: Cluster, letter_id: str) -> None:
    """For a cluster that reports its queue, refuse at once what is not in it."""
    reported = settings.surface(tx.connection, tx.org_id, cluster.id, Surface.DEAD_LETTERS)
    if reported is None or not is_current(cluster, reported.reported_at):
        return
    items: list[dict[str, Any]] = reported.document.get("items", [])
    if all(item.get("id") != letter_id for item in items):
        raise NotFound("there is no such dead letter", hint="Query deadLetters.", path=["deadLetterId"])
