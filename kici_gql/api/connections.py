"""Connections: one implementation of paged lists for all types."""

from typing import Any, Generic, TypeVar

import strawberry

from kici_gql.api.context import Info
from kici_gql.store.paging import Listing, Slice

Node = TypeVar("Node")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more items follow.")
    has_previous_page: bool = strawberry.field(description="Whether there are items before this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first item; null when the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last item; null when the page is empty."
    )


@strawberry.type(description="One item of a page and where it stands.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="Opaque place of the item in this list and order.")
    node: Node = strawberry.field(description="The item.")


@strawberry.type(
    description="One page of a list. Rows that come or go while paging are neither skipped nor repeated."
)
class Connection(Generic[Node]):
    page: strawberry.Private[Slice[Any]]
    listing: strawberry.Private[Listing]
    parent_id: strawberry.Private[str]

    @strawberry.field(description="The items, each with its cursor.")
    def edges(self) -> list[Edge[Node]]:
        return [Edge(cursor=self.page.cursor(row), node=row) for row in self.page.rows]

    @strawberry.field(description="The items.")
    def nodes(self) -> list[Node]:
        return self.page.rows  # type: ignore[return-value]

    @strawberry.field(description="Where this page stands in the list.")
    def page_info(self) -> PageInfo:
        rows = self.page.rows
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=self.page.cursor(rows[0]) if rows else None,
            end_cursor=self.page.cursor(rows[-1]) if rows else None,
        )

    @strawberry.field(description="Items in the whole list, counted when asked for.")
    async def total_count(self, info: Info) -> int:
        return await info.context.load.total(self.listing, self.parent_id)


async def connect(info: Info, listing: Listing, parent_id: str) -> Any:
    """The connection of one list below one parent."""
    page = await info.context.load.page(listing, parent_id)
    return Connection(page=page, listing=listing, parent_id=parent_id)


def connect_at_once(info: Info, listing: Listing, parent_id: str) -> Any:
    """The same for a field that is AT_ONCE: a coroutine where the page is not kept."""
    page = info.context.load.kept(listing, parent_id)
    if page is None:
        return connect(info, listing, parent_id)
    return Connection(page=page, listing=listing, parent_id=parent_id)
