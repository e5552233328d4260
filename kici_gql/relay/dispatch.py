"""Commands on their way to the connections of this process: one reader of each org's log, whoever is connected."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

from kici_gql.events import Topic
from kici_gql.feed import Feed
from kici_gql.feed.feed import Expired
from kici_gql.store import Store, commands, records
from kici_gql.tables import Command, CommandState

logger = logging.getLogger("kici_gql.relay")

Handler = Callable[[Command], None]
_PAGE_EVENTS = 1000


class Dispatch:
    """Each command goes to the handler of its orchestrator; those that wait already, at the moment of joining.

    A handler must not wait, or the commands of others would.

    With several processes each has its own reader, and only the one that holds the connection has the handler.
    """

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._handlers: defaultdict[str, dict[str, Handler]] = defaultdict(dict)
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def join(self, org_id: str, orchestrator_id: str, handler: Handler) -> None:
        """From now on the handler gets this orchestrator's commands; one that is open already may come twice."""
        self._handlers[org_id][orchestrator_id] = handler
        if org_id not in self._readers:
            self._readers[org_id] = asyncio.create_task(self._read_forever(org_id), name="relay-commands")
        for command in await self._store.read(commands.open_for, org_id, orchestrator_id):
            handler(command)

    async def leave(self, org_id: str, orchestrator_id: str, handler: Handler) -> None:
        handlers = self._handlers[org_id]
        if handlers.get(orchestrator_id) == handler:
            del handlers[orchestrator_id]
        if not handlers:
            del self._handlers[org_id]
            reader = self._readers.pop(org_id, None)
            if reader is not None:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _read_forever(self, org_id: str) -> None:
        while True:
            try:
                await self._read(org_id)
            except Expired as expired:
                logger.info("reading commands from here on: %s", expired)
            except Exception:
                logger.exception("could not read commands; trying again")
                await asyncio.sleep(1.0)

    async def _read(self, org_id: str) -> None:
        cursor = await self._feed.head(org_id)
        for orchestrator_id, handler in list(self._handlers[org_id].items()):
            for command in await self._store.read(commands.open_for, org_id, orchestrator_id):
                handler(command)
        while True:
            await self._feed.moved(org_id, cursor)
            page = await self._feed.after(org_id, cursor, (Topic.COMMANDS,), _PAGE_EVENTS)
            cursor = page.cursor
            for entry in page.entries:
                for event in entry.events:
                    wanted = self._handlers[org_id].get(event.data["orchestrator_id"])
                    if wanted is not None and event.data["state"] == CommandState.PENDING:
                        await self._hand(org_id, event.data["id"], wanted)

    async def _hand(self, org_id: str, command_id: str, handler: Handler) -> None:
        command = await self._store.read(records.by_id, Command, org_id, command_id)
        if command is not None:
            handler(command)
