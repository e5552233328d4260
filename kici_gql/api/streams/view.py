"""How a view of an org's log becomes frames: the same for every stream."""

import asyncio
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

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

_FOLDED_PAGES, _FOLDED_EVENTS = 20, 10_000  # at most, in one frame
_FOLDED_ENTRIES = 16
"""Without a turn for those who are not behind: a millisecond's work, if each is a push of twenty agents."""


class Folding(Protocol):
    """What a run of events comes to, step by step."""

    def add(self, events: Iterable[Event]) -> None:
        """Go on with these."""

    def shown(self) -> Sequence[Any]:
        """What it has come to, as subscribers see it."""


class LogView(View[F]):
    """A filtered view of one org's log. Two views with equal keys give equal frames."""

    topics: ClassVar[frozenset[Topic]]
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

    def folding(self) -> Folding | None:
        """For a view whose readers get, when they are behind, the newest state of each instead of every event."""
        return None

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
            folding = self.folding()
            if folding is None:
                shown = self.show(_behind(page.entries, position))
            else:
                page = await self._all_that_gathered(folding, page, position)
                shown = folding.shown()
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

    async def _all_that_gathered(self, folding: Folding, page: Page, position: Cursor) -> Page:
        """Fold in the page and what lies between it and the head, so that a slow reader is never further behind."""
        head = await self.services.feed.head(self.org_id)
        if page.cursor.seq >= head.seq:
            folding.add(_behind(page.entries, position))
            return page
        async with self.services.catching_up:
            return await self._catch_up(folding, page, position, head)

    async def _catch_up(self, folding: Folding, page: Page, position: Cursor, head: Cursor) -> Page:
        await _fold(folding, page.entries, position)
        for _ in range(_FOLDED_PAGES):
            if page.cursor.seq >= head.seq:
                break
            try:
                more = await self.services.feed.after(self.org_id, page.cursor, self.topics, _FOLDED_EVENTS)
            except Expired:
                break  # what is shown is true; the next page will say that the log is gone
            await _fold(folding, more.entries, page.cursor)
            page = more
        return page

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


async def _fold(folding: Folding, entries: Sequence[Entry], position: Cursor) -> None:
    for start in range(0, len(entries), _FOLDED_ENTRIES):
        folding.add(_behind(entries[start : start + _FOLDED_ENTRIES], position))
        await asyncio.sleep(0)


def _behind(entries: Sequence[Entry], position: Cursor) -> Iterable[Event]:
    for entry in entries:
        yield from entry.events[max(0, position.seq - entry.first_seq + 1) :]
