"""What people want, on its way to the connections of this process: one reader of each org's log, whoever is connected."""

import asyncio
import logging
from collections import defaultdict
from typing import Protocol

from kici_gql.events import Event, EventType, Topic
from kici_gql.feed import Feed
from kici_gql.feed.feed import Expired
from kici_gql.store import Store, commands, questions, records
from kici_gql.tables import Command, CommandState, Question

logger = logging.getLogger("kici_gql.relay")

_TOPICS = (Topic.COMMANDS, Topic.QUESTIONS)
_PAGE_EVENTS = 1000


class Handler(Protocol):
    """The connection of one orchestrator. It must not wait, or what others want would; each thing may come twice."""

    def order(self, command: Command) -> None:
        """A user wants something done."""

    def inquire(self, question: Question) -> None:
        """A user of another process wants to know something."""


class Dispatch:
    """Each command and question goes to its orchestrator's handler; those that wait already, at the moment of joining.

    With several processes each has its own reader, and only the one that holds the connection has the handler.
    """

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._handlers: defaultdict[str, dict[str, Handler]] = defaultdict(dict)
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def join(self, org_id: str, orchestrator_id: str, handler: Handler) -> None:
        """From now on the handler gets what is wanted of this orchestrator."""
        self._handlers[org_id][orchestrator_id] = handler
        if org_id not in self._readers:
            self._readers[org_id] = asyncio.create_task(self._read_forever(org_id), name="relay-commands")
        await self._hand_open(org_id, orchestrator_id, handler)

    async def leave(self, org_id: str, orchestrator_id: str, handler: Handler) -> None:
        handlers = self._handlers[org_id]
        if handlers.get(orchestrator_id) is handler:
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
            await self._hand_open(org_id, orchestrator_id, handler)
        while True:
            await self._feed.moved(org_id, cursor)
            page = await self._feed.after(org_id, cursor, _TOPICS, _PAGE_EVENTS)
            cursor = page.cursor
            for entry in page.entries:
                for event in entry.events:
                    await self._hand(org_id, event)

    async def _hand_open(self, org_id: str, orchestrator_id: str, handler: Handler) -> None:
        for command in await self._store.read(commands.open_for, org_id, orchestrator_id):
            handler.order(command)
        for question in await self._store.read(questions.open_for, org_id, orchestrator_id):
            handler.inquire(question)

    async def _hand(self, org_id: str, event: Event) -> None:
        """The row, and not what the event says of it: it may have been answered since."""
        handler = self._handlers[org_id].get(event.data.get("orchestrator_id", ""))
        if handler is None:
            return
        if event.type is EventType.QUESTION_ASKED:
            question = await self._store.read(records.by_id, Question, org_id, event.data["id"])
            if question is not None and question.answered_at is None:
                handler.inquire(question)
        elif event.type is EventType.COMMAND_CHANGED and event.data["state"] == CommandState.PENDING:
            command = await self._store.read(records.by_id, Command, org_id, event.data["id"])
            if command is not None:
                handler.order(command)
