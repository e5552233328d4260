"""Secret backends and dead letters: from the wish to the answer."""

import asyncio
from functools import partial
from typing import Any

import pytest

from kici_gql.actions import backends, commands
from kici_gql.actions.perform import Done
from kici_gql.errors import IdempotencyConflict, InvalidInput, NotFound
from kici_gql.tables import Audit, Cluster, Command, CommandKind, CommandState, SecretBackend
from tests.governed import backend, letter, report, until
from tests.world import Clock, World

TEST = """mutation ($id: ID!, $key: String) { secretBackendTest(input: {secretBackendId: $id, idempotencyKey: $key}) {
    __typename
    ... on SecretBackendTestSuccess { finished ok latencyMs error replayed command { id state } secretBackend { name } }
    ... on Error { code message hint }
} }"""


@pytest.fixture
async def connection(world: World) -> str:
    connection = await world.connect()
    await report(world, connection, secret_backends=[backend()], dead_letters=[letter("l1")])
    return connection


async def store_id(world: World) -> str:
    [row] = await world.rows(SecretBackend)
    id_: str = row.id
    return id_


async def complete(
    world: World, connection: str, command_id: str, succeeded: bool = True, **more: Any
) -> Done:
    given = {"message": None, "result": {}} | more
    return await commands.complete(
        world.call("ORCHESTRATOR"), connection, command_id, succeeded, given["message"], given["result"]
    )


async def tested(world: World, connection: str, **answer: Any) -> dict[str, Any]:
    """What the mutation answers when the orchestrator answers this."""
    asking = asyncio.create_task(world.data(TEST, world.viewer("OPERATOR"), id=await store_id(world)))
    waiting = partial(world.rows, Command, state=CommandState.PENDING, kind=CommandKind.BACKEND_TEST)
    [command] = await until(waiting)
    await complete(world, connection, command.id, **answer)
    payload: dict[str, Any] = (await asking)["secretBackendTest"]
    return payload


async def test_a_test_waits_for_the_answer(world: World, connection: str) -> None:
    good = await tested(world, connection, result={"ok": True, "latencyMs": 7})
    assert (good["finished"], good["ok"], good["latencyMs"], good["error"]) == (True, True, 7, None)
    assert good["command"]["state"] == "SUCCEEDED"
    bad = await tested(world, connection, result={"ok": False, "error": "connection refused", "latencyMs": 3})
    assert (bad["finished"], bad["ok"], bad["latencyMs"], bad["error"]) == (
        True, False, 3, "connection refused",
    )  # fmt: skip
    worse = await tested(world, connection, succeeded=False, message="no such backend")
    assert (worse["finished"], worse["ok"], worse["latencyMs"], worse["error"]) == (
        True, False, None, "no such backend",
    )  # fmt: skip


@pytest.mark.parametrize("latency", ["soon", True, -1, 2**31, 0.5])
async def test_what_is_no_latency_is_not_told(world: World, connection: str, latency: Any) -> None:
    odd = await tested(world, connection, result={"ok": "yes", "latencyMs": latency})
    assert (odd["finished"], odd["latencyMs"]) == (True, None)


async def test_a_test_that_nobody_answers_says_so(
    world: World, connection: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kici_gql.api.mutations.settings.TEST_SECONDS", 0.05)
    answer = (await world.data(TEST, world.viewer("OPERATOR"), id=await store_id(world)))["secretBackendTest"]
    assert (answer["finished"], answer["ok"], answer["latencyMs"]) == (False, None, None)
    clock.advance(world.settings.command_seconds)
    await commands.expire(world.store, clock())
    [row] = await world.rows(Command)
    assert (row.state, row.due_at) == (CommandState.EXPIRED, None)
    # An answer that comes too late still tells what happened.
    await complete(world, connection, row.id, result={"ok": True})
    assert (await world.rows(Command))[0].state is CommandState.SUCCEEDED


async def test_a_command_that_expires_ends_the_waiting(world: World, connection: str, clock: Clock) -> None:
    asking = asyncio.create_task(world.data(TEST, world.viewer("OPERATOR"), id=await store_id(world)))
    await until(partial(world.rows, Command))
    clock.advance(world.settings.command_seconds)
    await commands.expire(world.store, clock())
    answer = (await asking)["secretBackendTest"]
    assert (answer["finished"], answer["ok"]) == (True, False)
    assert "in time" in answer["error"]


async def test_what_the_orchestrator_is_told(world: World, connection: str) -> None:
    call, id_ = world.call("OPERATOR"), await store_id(world)
    [cluster] = await world.rows(Cluster)
    for wish in (
        backends.sync(call, id_, None),
        backends.sync_all(call, cluster.id, None),
        backends.test(call, id_, None),
        backends.dead_letter(call, cluster.id, "l1", retry=True, idempotency_key=None),
        backends.dead_letter(call, cluster.id, "l1", retry=False, idempotency_key=None),
    ):
        await wish
    assert {row.kind: row.payload for row in await world.rows(Command)} == {
        CommandKind.BACKEND_SYNC: {"backend": "files"},
        CommandKind.BACKEND_SYNC_ALL: {},
        CommandKind.BACKEND_TEST: {"backend": "files"},
        CommandKind.DEAD_LETTER_RETRY: {"deadLetterId": "l1"},
        CommandKind.DEAD_LETTER_DISCARD: {"deadLetterId": "l1"},
    }


async def test_replays(world: World, connection: str) -> None:
    call, id_ = world.call("OPERATOR"), await store_id(world)
    [cluster] = await world.rows(Cluster)
    first = await backends.sync(call, id_, "k")
    again = await backends.sync(call, id_, "k")
    assert (again.replayed, again.result) == (True, first.result)
    await complete(world, connection, first.result["command_id"])
    assert (await backends.sync(call, id_, "k")).replayed
    retry = await backends.dead_letter(call, cluster.id, "l1", retry=True, idempotency_key="k")
    await report(world, connection, dead_letters=[])
    again = await backends.dead_letter(call, cluster.id, "l1", retry=True, idempotency_key="k")
    assert (again.replayed, again.result) == (True, retry.result)
    with pytest.raises(IdempotencyConflict):
        await backends.dead_letter(call, cluster.id, "l2", retry=True, idempotency_key="k")
    assert len(await world.rows(Command)) == 2
    first_test = await tested(world, connection, result={"ok": True, "latencyMs": 1})
    assert (first_test["finished"], first_test["replayed"]) == (True, False)


async def test_a_replay_after_its_object_has_gone(world: World, connection: str) -> None:
    test = """mutation ($id: ID!) { secretBackendTest(input: {secretBackendId: $id, idempotencyKey: "k"}) {
        ... on Error { code message } } }"""
    id_ = await store_id(world)
    await backends.test(world.call("OPERATOR"), id_, "k")
    [command] = await world.rows(Command)
    await complete(world, connection, command.id)
    await report(world, connection, secret_backends=[])
    answer = (await world.data(test, world.viewer("OPERATOR"), id=id_))["secretBackendTest"]
    assert answer["code"] == "NOT_FOUND"
    assert "secret backend" in answer["message"]


async def test_what_is_not_there(world: World, connection: str) -> None:
    call = world.call("OPERATOR")
    [cluster] = await world.rows(Cluster)
    other = await world.connect("prod", "one", org="other")
    await report(world, other, org="other", secret_backends=[backend("foreign")])
    [foreign] = await world.rows(SecretBackend, name="foreign")
    for wish in (
        partial(backends.sync, call, "sbe_0", None),
        partial(backends.test, call, foreign.id, None),
        partial(backends.sync_all, call, foreign.cluster_id, None),
        partial(backends.dead_letter, call, cluster.id, "l2", retry=False, idempotency_key=None),
        partial(backends.dead_letter, call, "clu_0", "l1", retry=False, idempotency_key=None),
    ):
        with pytest.raises(NotFound):
            await wish()
    with pytest.raises(InvalidInput):
        await backends.dead_letter(call, cluster.id, "", retry=False, idempotency_key=None)
    rows = await world.rows(Audit, error_code="NOT_FOUND")
    assert len(rows) == 5


async def test_what_an_orchestrator_says_loses_its_secrets(world: World, connection: str) -> None:
    canary = "hvs.canary0123456789"
    done = await backends.sync(world.call("OPERATOR"), await store_id(world), None)
    result = {"error": f"denied for {canary}", "more": [{"deep": canary}], "ok": False}
    await complete(
        world, connection, done.result["command_id"], False, message=f"token {canary}", result=result
    )
    [row] = await world.rows(Command)
    assert (row.message, row.result["error"]) == ("token …", "denied for …")
    assert canary not in str(await world.dump()) + str(await world.events())
    with pytest.raises(InvalidInput):
        await complete(world, connection, row.id, result={"x": "y" * 20_000})
