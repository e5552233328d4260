"""`commands`: what one orchestrator is asked to do, and for users what became of everything that was asked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from kici_gql.actions.commands import deliver
from kici_gql.actions.listeners import Listener, Listeners
from kici_gql.api.context import Services
from kici_gql.api.enums import FrameKind
from kici_gql.api.scalars import Cursor as PrintedCursor
from kici_gql.api.streams.infrastructure import row_of
from kici_gql.api.streams.run_frames import CommandChanged, CommandFrame, CommandSnapshot
from kici_gql.api.streams.view import LogView
from kici_gql.events import Event, Topic
from kici_gql.store import commands as store
from kici_gql.store.filters import Condition, clauses, matches
from kici_gql.tables import Command, CommandState

SNAPSHOT_COMMANDS = 100

_OPEN = (Condition("state", "in", store.OPEN),)


class AskedView(LogView[CommandFrame]):
    """Commands of an org, from the wish to the answer.

    A condition on their state holds for the snapshot alone: no event is lost when a command leaves that state.
    """

    topics = frozenset({Topic.COMMANDS})
    frame = CommandFrame

    def __init__(self, services: Services, org_id: str, where: tuple[Condition, ...] | None) -> None:
        super().__init__(services, org_id, where)
        self.where = _OPEN if where is None else where
        self.lasting = tuple(condition for condition in self.where if condition.field != "state")

    def state(self, connection: Connection) -> CommandSnapshot:
        conditions = clauses(Command, self.where)
        rows: list[Any] = list(store.latest(connection, self.org_id, SNAPSHOT_COMMANDS, conditions))
        return CommandSnapshot(commands=rows[::-1])

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        return [
            CommandChanged(command=row_of(event)) for event in events if matches(self.lasting, event.data)
        ]


class CommandView(LogView[CommandFrame]):
    """Commands addressed to one orchestrator. What it is sent counts as delivered."""

    topics = frozenset({Topic.COMMANDS})
    frame = CommandFrame

    def __init__(self, services: Services, org_id: str, orchestrator_id: str, connection_id: str) -> None:
        super().__init__(services, org_id, (orchestrator_id, connection_id))
        self.orchestrator_id = orchestrator_id
        self.connection_id = connection_id

    def state(self, connection: Connection) -> CommandSnapshot:
        rows: list[Any] = list(store.open_for(connection, self.org_id, self.orchestrator_id))
        return CommandSnapshot(commands=rows)

    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        """Only what is new to the orchestrator: it knows its own answers."""
        return [
            CommandChanged(command=row_of(event))
            for event in events
            if event.data["orchestrator_id"] == self.orchestrator_id
            and event.data["state"] == CommandState.PENDING
        ]

    async def first(self, after: str | None) -> CommandFrame | str:
        frame = await super().first(after)
        if isinstance(frame, CommandFrame):
            await self._deliver(frame)
        return frame

    async def next(self, cursor: str) -> CommandFrame:
        position = cursor
        while True:
            frame = await super().next(position)
            if await self._deliver(frame) or frame.kind is not FrameKind.EVENTS:
                if frame.previous_cursor is not None:
                    frame.previous_cursor = PrintedCursor(cursor)
                return frame
            position = frame.cursor  # all of them have been answered or have expired meanwhile

    async def _deliver(self, frame: CommandFrame) -> bool:
        """Note what the frame delivers, and leave out what nobody waits for any more. False when that was all."""
        held: list[Any] = frame.snapshot.commands if frame.snapshot is not None else []
        sent = [*held, *(event.command for event in frame.events)]
        if not sent:
            return True
        ids = [row.id for row in sent]
        wanted = await deliver(self.services.store, self.org_id, ids, self.connection_id)
        frame.events = [event for event in frame.events if event.command.id in wanted]
        if frame.snapshot is not None:
            frame.snapshot.commands = [row for row in held if row.id in wanted]
        return bool(wanted)


@dataclass(frozen=True, slots=True)
class Listening:
    """Whoever follows its commands is there."""

    listeners: Listeners
    listener: Listener

    @property
    def subject(self) -> str:
        return self.listener.orchestrator_id

    def begin(self) -> Callable[[str | None], None]:
        return self.listeners.enter(self.listener)

    async def tell(self) -> None:
        await self.listeners.welcome(self.listener)
