"""Where queries begin."""

import asyncio
from typing import Annotated, cast

import strawberry

from kici_gql.api.context import Info
from kici_gql.api.types.base import Node
from kici_gql.api.types.org import Org
from kici_gql.api.types.server import ServerInfo, Viewer, server_info
from kici_gql.errors import LimitExceeded

MAX_IDS = 100

Slug = Annotated[str, strawberry.argument(description="Name of the org; a token sees only its own.")]


@strawberry.type(description="What can be read.")
class Query:
    @strawberry.field(description="Whoever holds the token of this request.")
    def viewer(self, info: Info) -> Viewer:
        return Viewer(viewer=info.context.viewer)

    @strawberry.field(description="The org of this name; null when the viewer sees none.")
    async def org(self, info: Info, slug: Slug = "default") -> Org | None:
        info.context.require_reader()
        if slug != info.context.viewer.org_slug:
            return None
        return await info.context.org()

    @strawberry.field(description="The orgs that the viewer sees: its own.")
    async def orgs(self, info: Info) -> list[Org]:
        info.context.require_reader()
        return [await info.context.org()]

    @strawberry.field(description="The object with this global id; null when the viewer's org has none.")
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],
    ) -> Node | None:
        found: Node | None = await info.context.node(id)
        return found

    @strawberry.field(
        description="The objects with these global ids, in this order; null where there is none."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description=f"Global ids, at most {MAX_IDS}.")
        ],
    ) -> list[Node | None]:
        if len(ids) > MAX_IDS:
            raise LimitExceeded(f"{len(ids)} ids are too many", hint=f"At most {MAX_IDS}.", path=["ids"])
        found = await asyncio.gather(*(info.context.node(id_) for id_ in ids), return_exceptions=True)
        return cast("list[Node | None]", found)  # an error takes the place of its object, not of all

    @strawberry.field(description="The server that answers.")
    def server_info(self, info: Info) -> ServerInfo:
        return server_info(info.context)
