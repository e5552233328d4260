"""Waiting for the answer to a command, for callers that want it at once."""

import asyncio
from typing import Any

from kici_gql import tables
from kici_gql.api.context import Context
from kici_gql.events import Cursor, Topic
from kici_gql.feed import Expired
from kici_gql.store import commands, records

_PAGE = 1000


async def answered(context: Context, command_id: str, after: Cursor, seconds: float) -> Any:
    """The command when it has been answered or has expired, or None when that takes longer."""
    services, org_id, position = context.services, context.viewer.org_id, after
    try:
        async with asyncio.timeout(seconds):
            while True:
                row = await services.store.read(records.by_id, tables.Command, org_id, command_id)
                if row is None or row.state not in commands.OPEN:
                    return row
                position = await _next_change(context, position)
    except TimeoutError:
        return None


async def _next_change(context: Context, position: Cursor) -> Cursor:
    """Wait until a command of the org changes behind the position."""
    feed, org_id = context.services.feed, context.viewer.org_id
    while True:
        try:
            page = await feed.after(org_id, position, (Topic.COMMANDS,), _PAGE)
        except Expired:
            return await feed.head(org_id)
        if page.entries:
            return page.cursor
        position = page.cursor
        await feed.moved(org_id, position)
