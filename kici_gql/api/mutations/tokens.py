"""Tokens and orgs."""

from datetime import datetime
from typing import Annotated

import strawberry

from kici_gql import tables
from kici_gql.actions import tokens as actions
from kici_gql.actions.perform import Done
from kici_gql.api.context import Info
from kici_gql.api.mutations.payload import CURSOR, IDEMPOTENCY_KEY, REPLAYED, answer, cursor_of
from kici_gql.api.scalars import Cursor
from kici_gql.api.types.errors import Forbidden, IdempotencyConflict, InvalidInput, NameTaken, NotFound
from kici_gql.api.types.org import Token
from kici_gql.tables import TokenScope


@strawberry.input(description="A token to create.")
class TokenCreateInput:
    name: str = strawberry.field(description="What to call it. At most 100 characters.")
    scope: TokenScope = strawberry.field(description="What it may do.")
    cluster_name: str | None = strawberry.field(
        default=None, description="Cluster to bind an ORCHESTRATOR token to; left out: any cluster."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it stops working; left out: never."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.type(description="The token is created.")
class TokenCreateSuccess:
    token: Token = strawberry.field(description="The token.")
    secret: str | None = strawberry.field(
        description="What its holder sends. Shown this once; null in a replay."
    )
    cursor: Cursor = strawberry.field(description=CURSOR)
    replayed: bool = strawberry.field(description=REPLAYED)


@strawberry.input(description="A token to end.")
class TokenRevokeInput:
    token_id: strawberry.ID = strawberry.field(description="Global id of the token.")


@strawberry.type(description="The token is revoked; its streams close within a second.")
class TokenRevokeSuccess:
    token: Token = strawberry.field(description="The token.")
    cursor: Cursor = strawberry.field(description=CURSOR)


@strawberry.input(description="An org to create.")
class OrgCreateInput:
    slug: str = strawberry.field(
        description="Its name in addresses: 1 to 63 lower-case letters, digits, hyphens."
    )
    name: str = strawberry.field(description="Its name for people. At most 100 characters.")
    idempotency_key: str | None = strawberry.field(default=None, description=IDEMPOTENCY_KEY)


@strawberry.type(description="The org is created.")
class OrgCreateSuccess:
    org_id: strawberry.ID = strawberry.field(
        description="Global id of the org; only its own tokens can read it."
    )
    slug: str = strawberry.field(description="Its name in addresses.")
    secret: str | None = strawberry.field(
        description="Its first admin token. Shown this once; null in a replay."
    )
    cursor: Cursor = strawberry.field(description="Position that the log of the caller's org has reached.")
    replayed: bool = strawberry.field(description=REPLAYED)


TokenCreatePayload = Annotated[
    TokenCreateSuccess | InvalidInput | Forbidden | IdempotencyConflict,
    strawberry.union("TokenCreatePayload", description="What came of `tokenCreate`."),
]
TokenRevokePayload = Annotated[
    TokenRevokeSuccess | Forbidden | NotFound,
    strawberry.union("TokenRevokePayload", description="What came of `tokenRevoke`."),
]
OrgCreatePayload = Annotated[
    OrgCreateSuccess | InvalidInput | Forbidden | NameTaken | IdempotencyConflict,
    strawberry.union("OrgCreatePayload", description="What came of `orgCreate`."),
]


async def _token(info: Info, done: Done) -> Token:
    return await info.context.load.one(tables.Token, done.result["token_id"])


@strawberry.type
class TokenMutations:
    @strawberry.mutation(
        description="Create a token; its secret is in this answer and nowhere else. Scope ADMIN."
    )
    async def token_create(
        self,
        info: Info,
        input: Annotated[TokenCreateInput, strawberry.argument(description="The token.")],
    ) -> TokenCreatePayload:
        async def success(done: Done) -> TokenCreateSuccess:
            return TokenCreateSuccess(
                token=await _token(info, done),
                secret=done.result.get("secret"),
                cursor=cursor_of(done),
                replayed=done.replayed,
            )

        wish = actions.TokenWish(input.name, input.scope, input.cluster_name, input.expires_at)
        return await answer(actions.create(info.context.call, wish, input.idempotency_key), success)

    @strawberry.mutation(description="End a token now. Revoking it again is harmless. Scope ADMIN.")
    async def token_revoke(
        self,
        info: Info,
        input: Annotated[TokenRevokeInput, strawberry.argument(description="The token.")],
    ) -> TokenRevokePayload:
        async def success(done: Done) -> TokenRevokeSuccess:
            return TokenRevokeSuccess(token=await _token(info, done), cursor=cursor_of(done))

        return await answer(actions.revoke(info.context.call, input.token_id), success)

    @strawberry.mutation(
        description="Create an org with an admin token of its own. Scope ADMIN of the default org."
    )
    async def org_create(
        self,
        info: Info,
        input: Annotated[OrgCreateInput, strawberry.argument(description="The org.")],
    ) -> OrgCreatePayload:
        async def success(done: Done) -> OrgCreateSuccess:
            return OrgCreateSuccess(
                org_id=done.result["org_id"],
                slug=input.slug,
                secret=done.result.get("secret"),
                cursor=cursor_of(done),
                replayed=done.replayed,
            )

        action = actions.create_org(info.context.call, input.slug, input.name, input.idempotency_key)
        return await answer(action, success)
