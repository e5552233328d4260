"""Who comes in, and when their streams end."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kici_gql import auth
from kici_gql.actions import tokens
from kici_gql.actions.tokens import TokenWish
from kici_gql.auth import ANONYMOUS, Authenticator, Viewer
from kici_gql.errors import Forbidden, Unauthenticated
from kici_gql.rules.permissions import ACTIONS, READERS, allowed
from kici_gql.settings import Settings
from kici_gql.tables import TokenScope
from tests.world import Clock, World, secret_of, world_of


@pytest.fixture
async def door(world: World) -> Authenticator:
    return Authenticator(world.store, world.feed.watch)


async def create(world: World, **more: Any) -> tuple[str, str]:
    """A new token: its id and its secret."""
    values: dict[str, Any] = {"name": "t", "scope": TokenScope.VIEWER}
    done = await tokens.create(world.call(), TokenWish(**values | more))
    return done.result["token_id"], done.result["secret"]


async def test_a_token_opens_the_door(world: World, door: Authenticator) -> None:
    viewer = await door.authenticate(secret_of("OPERATOR", "other"))
    assert (viewer.scope, viewer.org_slug) == (TokenScope.OPERATOR, "other")
    assert viewer == world.viewer("OPERATOR", "other")


@pytest.mark.parametrize(
    "secret", [None, "", "x", "kgq_", "kgq_default-ADMIN-0123456789abcdeF", "\x00", "ä", "x" * 100_000]
)
async def test_nothing_else_does(door: Authenticator, secret: str | None) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await door.authenticate(secret)
    assert raised.value.hint
    assert not secret or len(secret) < 4 or secret not in raised.value.message


async def test_an_expired_token(world: World, door: Authenticator, clock: Clock) -> None:
    _, secret = await create(world, expires_at=clock() + timedelta(seconds=10))
    await door.authenticate(secret)
    clock.advance(9.9)
    await door.authenticate(secret)
    clock.advance(0.1)
    with pytest.raises(Unauthenticated, match="expired"):
        await door.authenticate(secret)


async def test_a_revoked_token(world: World, door: Authenticator, clock: Clock) -> None:
    token_id, secret = await create(world)
    await door.authenticate(secret)
    await tokens.revoke(world.call(), token_id)
    door.revoked(token_id)
    with pytest.raises(Unauthenticated, match="not valid"):
        await door.authenticate(secret)


async def test_a_revocation_that_nobody_told_us_counts_within_a_second(
    world: World, door: Authenticator, clock: Clock
) -> None:
    token_id, secret = await create(world)
    await door.authenticate(secret)
    await tokens.revoke(world.call(), token_id)
    clock.advance(1.01)
    with pytest.raises(Unauthenticated):
        await door.authenticate(secret)


async def test_those_who_come_at_once_share_one_read(
    world: World, door: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = world.store.read, 0

    async def counted(*given: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*given)

    monkeypatch.setattr(world.store, "read", counted)
    good, wrong = secret_of("VIEWER"), "kgq_wrong"
    found = await asyncio.gather(*map(door.authenticate, [good] * 20))
    assert reads == 1
    assert set(found) == {world.viewer("VIEWER")}
    refused = await asyncio.gather(*map(door.authenticate, [wrong] * 20), return_exceptions=True)
    assert reads == 2
    assert {type(each) for each in refused} == {Unauthenticated}


async def test_one_who_leaves_takes_nobody_with_it(world: World, door: Authenticator) -> None:
    leaving = asyncio.create_task(door.authenticate(secret_of("VIEWER")))
    staying = asyncio.create_task(door.authenticate(secret_of("VIEWER")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == world.viewer("VIEWER")


async def test_a_read_from_before_a_revocation_is_not_trusted_after_it(
    world: World, door: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id, secret = await create(world)
    read, written = world.store.read, asyncio.Event()

    async def slow(*given: Any) -> Any:
        found = await read(*given)
        await written.wait()
        return found

    monkeypatch.setattr(world.store, "read", slow)
    early = asyncio.create_task(door.authenticate(secret))
    await asyncio.sleep(0.05)  # it has read, and not answered
    await tokens.revoke(world.call(), token_id)
    door.revoked(token_id)
    written.set()
    await early
    with pytest.raises(Unauthenticated):
        await door.authenticate(secret)


async def test_streams_hear_of_the_end_once(world: World, door: Authenticator) -> None:
    token_id, secret = await create(world)
    viewer = await door.authenticate(secret)
    ends: list[str] = []
    door.on_end(viewer, ends.append)
    stop = door.on_end(viewer, lambda reason: ends.append(f"taken back: {reason}"))
    stop()
    door.revoked(token_id)
    assert ends == ["revoked"]


async def test_streams_end_when_the_token_expires(world: World, door: Authenticator, clock: Clock) -> None:
    _, secret = await create(world, expires_at=clock() + timedelta(seconds=0.05))
    ends: list[str] = []
    door.on_end(await door.authenticate(secret), ends.append)
    await asyncio.sleep(0.02)
    assert ends == []
    await asyncio.sleep(0.1)
    assert ends == ["expired"]


async def test_a_stream_that_opened_just_after_the_revocation_ends_too(
    world: World, door: Authenticator
) -> None:
    """The bell rang before anybody listened, and the door still trusted what it knew: the look finds out."""
    token_id, secret = await create(world)
    viewer = await door.authenticate(secret)
    await tokens.revoke(world.call(), token_id)
    ends: list[str] = []
    door.on_end(viewer, ends.append)
    other: list[str] = []
    door.on_end(world.viewer(), other.append)
    await door.look()
    assert (ends, other) == (["revoked"], [])
    await door.look()
    assert ends == ["revoked"]


async def test_a_revocation_in_another_process_without_a_bus(postgres_url: str, clock: Clock) -> None:
    settings = Settings(database_url=postgres_url)  # memory:// rings nowhere else
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        door = Authenticator(two.store, two.feed.watch)
        token_id, secret = await create(one)
        ends: list[str] = []
        door.on_end(await door.authenticate(secret), ends.append)
        await tokens.revoke(one.call(), token_id)
        await door.look()
        assert ends == ["revoked"]


async def test_a_look_without_streams_costs_nothing(
    world: World, door: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "read", None)
    await door.look()


async def test_nobody_comes_in_without_a_token_unless_asked(world: World) -> None:
    door = Authenticator(world.store, world.feed.watch, anonymous=True)
    assert await door.authenticate(None) is ANONYMOUS
    assert await door.authenticate("") is ANONYMOUS
    with pytest.raises(Unauthenticated):
        await door.authenticate("kgq_wrong")
    door.on_end(ANONYMOUS, lambda _: None)()
    for action in ACTIONS:
        with pytest.raises(Unauthenticated):
            auth.require(ANONYMOUS, action)
    with pytest.raises(Unauthenticated):
        auth.require_reader(ANONYMOUS)


def viewer(scope: TokenScope) -> Viewer:
    return replace(ANONYMOUS, org_id="org_1", scope=scope)


@pytest.mark.parametrize("scope", TokenScope)
def test_rights_are_what_the_table_says(scope: TokenScope) -> None:
    for action in ACTIONS:
        if allowed(scope, action):
            auth.require(viewer(scope), action)
        else:
            with pytest.raises(Forbidden, match=action):
                auth.require(viewer(scope), action)
    if scope in READERS:
        auth.require_reader(viewer(scope))
    else:
        with pytest.raises(Forbidden):
            auth.require_reader(viewer(scope))


def test_secrets_are_long_and_differ() -> None:
    made = {auth.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) > 40 and each.startswith("kgq_") for each in made)


async def test_use_is_noted(world: World, door: Authenticator, clock: Clock) -> None:
    await door.authenticate(secret_of("VIEWER"))
    token = world.viewer("VIEWER")
    assert door.take_used() == {token.token_id: (token.org_id, clock())}
    assert door.take_used() == {}
