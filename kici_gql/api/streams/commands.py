"""`commands`: what one orchestrator is asked to do."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from kici_gql.actions.commands import deliver
from kici_gql.api.context import Services
from kici_gql.api.streams.infrastructure import row_of
from kici_gql.api.streams.run_frames import CommandChanged, CommandFrame, CommandSnapshot
from kici_gql.api.streams.view import LogView
from kici_gql.events import Event, Topic
from kici_gql.store import commands as store
from kici_gql.tables import CommandState


class CommandView(LogView[CommandFrame]):
    """Commands addressed to one orchestrator. What it is sent counts as delivered."""

    topics = frozenset({Topic.COMMANDS})
    frame = CommandFrame

    def __init__(self, services: Services, org_id: str, orchestrator_id: str) -> None:
        super().__init__(services, org_id, orchestrator_id)
        self.orchestrator_id = orchestrator_id

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
        frame = await super().next(cursor)
        await self._deliver(frame)
        return frame

    async def _deliver(self, frame: CommandFrame) -> None:
        sent: list[Any] = [event.command for event in frame.events]
        if frame.snapshot is not None:
            sent.extend(frame.snapshot.commands)
        pending = [row.id for row in sent if row.state == CommandState.PENDING]
        if pending:
            await deliver(self.services.store, self.org_id, pending)
