"""How a view of an org's log becomes frames: the same for every stream."""

import asyncio
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection

from kici_gql.api.context import Services
from kici_gql.api.engine.live import View
from kici_gql.api.enums import FrameKind
from kici_gql.api.scalars import Cursor as PrintedCursor
from kici_gql.api.streams.frames import Frame
from kici_gql.events import Cursor, Entry, Event, Topic
from kici_gql.feed import Expired, Page
from kici_gql.store import log

F = TypeVar("F", bound=Frame)

_FOLDED_PAGES = 100


class LogView(View[F]):
    """A filtered view of one org's log. Two views with equal keys give equal frames."""

    topics: ClassVar[frozenset[Topic]]
    coalesced: ClassVar[bool] = False
    """Whether a reader that is behind gets the newest state of each instead of every event; see `fold`."""
    frame: type[F]

    def __init__(self, services: Services, org_id: str, filters: Hashable) -> None:
        self.services = services
        self.org_id = org_id
        self.key = (type(self).__name__, org_id, filters)

    @abstractmethod
    def state(self, connection: Connection) -> Any:
        """The whole filtered state, read in one snapshot of the database."""

    @abstractmethod
    def show(self, events: Iterable[Event]) -> Sequence[Any]:
        """The events that belong to the view, as its subscribers see them."""

    def fold(self, earlier: Sequence[Any], later: Sequence[Any]) -> Sequence[Any]:
        """What two runs of shown events come to in a coalesced view."""
        raise NotImplementedError

    async def first(self, after: str | None) -> F | str:
        if after is None:
            return await self._snapshot(FrameKind.SNAPSHOT, previous=None, reason=None)
        try:
            await self.services.feed.check(self.org_id, _cursor(after))
        except Expired as expired:
            return await self._snapshot(FrameKind.RESYNC, previous=None, reason=str(expired))
        return after

    async def next(self, cursor: str) -> F:
        """Wait for something behind `cursor` that belongs to the view, but not longer than a bookmark may take."""
        feed, position = self.services.feed, Cursor.parse(cursor)
        deadline = asyncio.get_running_loop().time() + self.services.settings.bookmark_seconds
        while True:
            try:
                page = await feed.after(
                    self.org_id, position, self.topics, self.services.settings.page_events
                )
            except Expired as expired:
                return await self._snapshot(FrameKind.RESYNC, previous=cursor, reason=str(expired))
            shown = self.show(_behind(page.entries, position))
            if shown and self.coalesced:
                shown, page = await self._all_that_gathered(shown, page)
            if shown:
                return self._frame(FrameKind.EVENTS, page.cursor, cursor, events=shown)
            if page.cursor != position:
                position = page.cursor
                await asyncio.sleep(0)  # a long stretch without anything for us must not starve the others
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await feed.moved(self.org_id, position)
            except TimeoutError:
                return self._frame(FrameKind.BOOKMARK, position, cursor)

    async def _all_that_gathered(self, shown: Sequence[Any], page: Page) -> tuple[Sequence[Any], Page]:
        """Fold in what lies between the page and the head, so that a slow reader is never further behind."""
        feed = self.services.feed
        head = await feed.head(self.org_id)
        for _ in range(_FOLDED_PAGES):
            if page.cursor.seq >= head.seq:
                break
            await asyncio.sleep(0)
            try:
                more = await feed.after(
                    self.org_id, page.cursor, self.topics, self.services.settings.page_events
                )
            except Expired:
                break  # what is shown is true; the next page will say that the log is gone
            shown = self.fold(shown, self.show(_behind(more.entries, page.cursor)))
            page = more
        return shown, page

    async def _snapshot(self, kind: FrameKind, previous: str | None, reason: str | None) -> F:
        state, head = await self.services.store.read(self._state_and_head)
        return self._frame(kind, head, previous, snapshot=state, reason=reason)

    def _state_and_head(self, connection: Connection) -> tuple[Any, Cursor]:
        return self.state(connection), log.head(connection, self.org_id)

    def _frame(
        self,
        kind: FrameKind,
        cursor: Cursor,
        previous: str | None,
        *,
        snapshot: Any = None,
        events: Sequence[Any] = (),
        reason: str | None = None,
    ) -> F:
        values: dict[str, Any] = {"snapshot": snapshot, "events": list(events)}
        return self.frame(
            kind=kind,
            cursor=PrintedCursor(str(cursor)),
            previous_cursor=None if previous is None else PrintedCursor(previous),
            at=self._now(),
            reason=reason,
            **values,
        )

    def _now(self) -> datetime:
        return self.services.store.now()


def _cursor(text: str) -> Cursor:
    """Raises Expired for a text that names no position: an event stream sends back whatever it was given last."""
    try:
        return Cursor.parse(text)
    except ValueError:
        raise Expired("the cursor is not one of this server's") from None


def _behind(entries: Sequence[Entry], position: Cursor) -> Iterable[Event]:
    for entry in entries:
        yield from entry.events[max(0, position.seq - entry.first_seq + 1) :]
