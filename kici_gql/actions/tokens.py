"""Tokens and orgs: who may come in."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from kici_gql.actions.perform import Action, Call, Done, Result, perform
from kici_gql.auth import SHOWN_CHARACTERS, TOKEN_PREFIX, hash_of, new_secret
from kici_gql.errors import Forbidden, InvalidInput, NameTaken, NotFound
from kici_gql.events import Event, EventType
from kici_gql.rules import names, reports
from kici_gql.store import Store, Tx, orgs, records
from kici_gql.tables import Org, Prefix, Token, TokenScope, new_id

DEFAULT_ORG = "default"
MAX_NAME = 100
_SECRET = re.compile(re.escape(TOKEN_PREFIX) + r"[A-Za-z0-9_-]{16,200}")


@dataclass(frozen=True, slots=True)
class TokenWish:
    """The token that somebody asks for."""

    name: str
    scope: TokenScope
    cluster_name: str | None = None
    expires_at: datetime | None = None


async def create(call: Call, wish: TokenWish, idempotency_key: str | None = None) -> Done:
    """Make a token. Answers `token_id` and `secret`; a replay answers without the secret, which is shown once."""

    def check() -> None:
        check_wish(wish, call.store.now())

    def work(tx: Tx) -> Result:
        secret = new_secret()
        token = add_token(tx, tx.org_id, wish, secret, created_by=call.viewer.token_id)
        return {"token_id": token.id, "object_id": token.id, "secret": secret}

    action = Action(
        "tokenCreate",
        work,
        check,
        idempotency_key=idempotency_key,
        input=wish,
        unrepeatable=frozenset({"secret"}),
    )
    return await perform(call, action)


async def revoke(call: Call, token_id: str) -> Done:
    """End a token now; its streams close within a second. Answers `token_id`. Revoking twice is harmless."""

    def work(tx: Tx) -> Result:
        revoke_token(tx, token_id)
        return {"token_id": token_id}

    return await perform(call, Action("tokenRevoke", work, object_id=token_id))


async def create_org(call: Call, slug: str, name: str, idempotency_key: str | None = None) -> Done:
    """Make an org with an admin token of its own. Answers `org_id` and `secret`; a replay answers without the secret.

    Only an admin of the server's first org may: orgs are tenants and know nothing of each other.
    """

    def check() -> None:
        if call.viewer.org_slug != DEFAULT_ORG:
            raise Forbidden(
                "only an admin of the default org may create orgs", hint="Ask whoever runs this server."
            )
        check_org(slug, name)

    def work(tx: Tx) -> Result:
        org, secret = add_org(tx, slug, name)
        return {"org_id": org.id, "object_id": org.id, "secret": secret}

    action = Action(
        "orgCreate",
        work,
        check,
        idempotency_key=idempotency_key,
        input=[slug, name],
        unrepeatable=frozenset({"secret"}),
    )
    return await perform(call, action)


async def bootstrap(store: Store, secret: str | None) -> str | None:
    """Give an empty database its first org and admin token. Returns the token to show once, None when there was one.

    Raises InvalidInput when the given secret is not fit to be a token.
    """
    if secret is not None and not _SECRET.fullmatch(secret):
        raise InvalidInput(
            "the bootstrap token is not fit to be a token",
            hint=f"It must be {TOKEN_PREFIX} and 16 to 200 letters, digits, hyphens or underscores.",
        )

    def work(tx: Tx) -> str | None:
        if orgs.any_org(tx.connection):
            return None
        return add_org(tx, DEFAULT_ORG, "Default", secret)[1]

    return await store.transaction(None, work)


def check_org(slug: str, name: str) -> None:
    names.check_name(slug, "slug", "slug")
    reports.check_text(name, ["name"], MAX_NAME)


def add_org(tx: Tx, slug: str, name: str, secret: str | None = None) -> tuple[Org, str]:
    """A new org and the secret of its admin token. Raises NameTaken."""
    if orgs.org_by_slug(tx.connection, slug) is not None:
        raise NameTaken(f"there is an org {slug!r} already", hint="Choose another slug.", path=["slug"])
    org = Org(
        id=new_id(Prefix.ORG, tx.now), slug=slug, name=name, created_at=tx.now, log_epoch=secrets.token_hex(4)
    )
    records.add(tx.connection, org)
    secret = secret or new_secret()
    add_token(tx, org.id, TokenWish("first admin", TokenScope.ADMIN), secret, created_by=None)
    return org, secret


def add_token(tx: Tx, org_id: str, wish: TokenWish, secret: str, created_by: str | None) -> Token:
    row = Token(
        id=new_id(Prefix.TOKEN, tx.now),
        org_id=org_id,
        name=wish.name,
        prefix=secret[:SHOWN_CHARACTERS],
        sha256=hash_of(secret),
        scope=wish.scope,
        cluster_name=wish.cluster_name,
        created_by=created_by,
        created_at=tx.now,
        expires_at=wish.expires_at,
    )
    return records.add(tx.connection, row)


def revoke_token(tx: Tx, token_id: str) -> None:
    """Raises NotFound when the org has no such token."""
    token = records.by_id(tx.connection, Token, tx.org_id, token_id)
    if token is None:
        raise NotFound("there is no such token", hint="Query Org.tokens for what there is.", path=["tokenId"])
    if token.revoked_at is None:
        records.change(tx.connection, Token, token.id, {"revoked_at": tx.now})
        tx.append(Event(EventType.TOKEN_REVOKED, {"id": token.id}))


def check_wish(wish: TokenWish, now: datetime) -> None:
    reports.check_text(wish.name, ["name"], MAX_NAME)
    if wish.cluster_name is not None:
        names.check_name(wish.cluster_name, "clusterName")
        if wish.scope is not TokenScope.ORCHESTRATOR:
            raise InvalidInput(
                "only an ORCHESTRATOR token can be bound to a cluster",
                hint="Leave clusterName out, or ask for scope ORCHESTRATOR.",
                path=["clusterName"],
            )
    if wish.expires_at is not None and wish.expires_at <= now:
        raise InvalidInput("expiresAt is in the past", hint="Send a later time, or none.", path=["expiresAt"])
