import asyncio
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import tokens
from kici_gql.actions.tokens import TokenWish
from kici_gql.auth import hash_of
from kici_gql.errors import Forbidden, IdempotencyConflict, InvalidInput, KiciError, NameTaken, NotFound
from kici_gql.events import EventType
from kici_gql.tables import Audit, Idempotency, Org, Token, TokenScope
from tests.world import Clock, World


def wish(**more: Any) -> TokenWish:
    values: dict[str, Any] = {"name": "ci", "scope": TokenScope.VIEWER}
    return TokenWish(**values | more)


async def test_a_secret_is_shown_once_and_never_stored(any_world: World) -> None:
    done = await tokens.create(any_world.call(), wish(), "k")
    secret = done.result["secret"]
    [row] = await any_world.rows(Token, id=done.result["token_id"])
    assert row.sha256 == hash_of(secret)
    assert secret.startswith(row.prefix)
    assert row.created_by == any_world.viewer().token_id
    again = await tokens.create(any_world.call(), wish(), "k")
    assert (again.replayed, again.result["token_id"], "secret" in again.result) == (True, row.id, False)
    dump = str(await any_world.dump())
    assert secret not in dump
    assert await any_world.rows(Idempotency)


async def test_five_at_once_make_one_token(any_world: World) -> None:
    before = len(await any_world.rows(Token))
    done = await asyncio.gather(*(tokens.create(any_world.call(), wish(), "k") for _ in range(5)))
    assert len({each.result["token_id"] for each in done}) == 1
    assert ["secret" in each.result for each in done].count(True) == 1
    assert len(await any_world.rows(Token)) == before + 1


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"cluster_name": "prod"}, "clusterName"),
        ({"cluster_name": "No Good", "scope": TokenScope.ORCHESTRATOR}, "clusterName"),
        ({"expires_at": "past"}, "expiresAt"),
    ],
)
async def test_bad_wishes(world: World, clock: Clock, more: dict[str, Any], path: str) -> None:
    if more.get("expires_at") == "past":
        more = {"expires_at": clock() - timedelta(days=800)}
    before = await world.dump("audit")
    with pytest.raises(InvalidInput) as raised:
        await tokens.create(world.call(), wish(**more))
    assert raised.value.path == (path,)
    assert await world.dump("audit") == before


async def test_revoking(any_world: World) -> None:
    done = await tokens.create(any_world.call(), wish())
    token_id = done.result["token_id"]
    await tokens.revoke(any_world.call(), token_id)
    position = await any_world.head()
    await tokens.revoke(any_world.call(), token_id)
    assert await any_world.head() == position, "twice is harmless, and tells nothing"
    [row] = await any_world.rows(Token, id=token_id)
    assert row.revoked_at is not None
    assert [event.type for _, event in await any_world.events()] == [EventType.TOKEN_REVOKED]
    entries = await any_world.rows(Audit, action="tokenRevoke")
    assert {each.object_id for each in entries} == {token_id}


@pytest.mark.parametrize("token_id", ["", "x", "\x00", "tok_" + "0" * 32, "x" * 100_000])
async def test_revoking_what_is_not_there(world: World, token_id: str) -> None:
    with pytest.raises(NotFound):
        await tokens.revoke(world.call(), token_id)
    [entry] = await world.rows(Audit)
    assert len(str(entry)) < 1000


async def test_another_orgs_token_can_not_be_revoked(world: World) -> None:
    theirs = world.viewer("VIEWER", "other").token_id
    with pytest.raises(NotFound):
        await tokens.revoke(world.call(), theirs)
    [row] = await world.rows(Token, id=theirs)
    assert row.revoked_at is None


async def test_making_an_org(any_world: World) -> None:
    done = await tokens.create_org(any_world.call(), "third", "The Third")
    [org] = await any_world.rows(Org, slug="third")
    assert org.id == done.result["org_id"]
    [token] = await any_world.rows(Token, org_id=org.id)
    assert (token.scope, token.sha256) == (TokenScope.ADMIN, hash_of(done.result["secret"]))
    [entry] = await any_world.rows(Audit)
    assert entry.object_id == org.id


async def test_an_org_is_made_once_for_one_key(any_world: World) -> None:
    first = await tokens.create_org(any_world.call(), "third", "The Third", "k")
    again = await tokens.create_org(any_world.call(), "third", "The Third", "k")
    assert again.replayed
    assert again.result["org_id"] == first.result["org_id"]
    assert "secret" not in again.result
    [kept] = await any_world.rows(Idempotency)
    assert first.result["secret"] not in str(kept.result)
    with pytest.raises(IdempotencyConflict):
        await tokens.create_org(any_world.call(), "fourth", "The Third", "k")


@pytest.mark.parametrize(
    ("slug", "name", "org", "kind"),
    [
        ("other", "x", "default", NameTaken),
        ("No Good", "x", "default", InvalidInput),
        ("good", "", "default", InvalidInput),
        ("good", "n" * 101, "default", InvalidInput),
        ("good", "x", "other", Forbidden),
        ("other", "x", "other", Forbidden),
        ("default", "x", "other", Forbidden),
    ],
)
async def test_orgs_that_can_not_be_made(
    world: World, slug: str, name: str, org: str, kind: type[KiciError]
) -> None:
    before = await world.dump("audit")
    with pytest.raises(kind):
        await tokens.create_org(world.call("ADMIN", org), slug, name)
    assert await world.dump("audit") == before


async def test_an_empty_database_gets_one_admin_only(world: World) -> None:
    assert await tokens.bootstrap(world.store, None) is None


@pytest.mark.parametrize(
    "secret", ["", "kgq_", "kgq_short", "abc_" + "x" * 30, "kgq_" + "ä" * 30, "kgq_" + "x" * 300]
)
async def test_bootstrap_tokens_that_are_not_fit(world: World, secret: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await tokens.bootstrap(world.store, secret)
    assert secret not in raised.value.message or not secret
