"""Subscriptions that would get the same bytes get them from one place.

A member is nothing but a cursor. All members of a group that stand at the same cursor share one wait for
what comes behind it, one execution and one encoding; those a little behind find the page that the others
had. A slow member costs no memory: it asks for the next page when its socket took the last one, and the
page it then gets may be a larger one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError, StreamBroken
from kici_gql.api.engine.live import Frame, View
from kici_gql.api.engine.ports import Viewer
from kici_gql.api.engine.sharing import Shared

_AT_ONCE = 100


class Page(NamedTuple):
    """One encoded frame, `{"data":…}`, and the cursor behind it; None where the stream has no positions."""

    payload: bytes
    cursor: str | None


class Sink(Protocol):
    """A socket that can be written to without waiting."""

    def ready(self) -> bool:
        """Whether so little is unsent that it may take pages as they come."""

    def take(self, page: Page, shared: dict[bytes, bytes]) -> bool:
        """Write the page, or refuse it because too much is unsent.

        `shared` lives as long as the page is handed round: what one sink has encoded the next may find there.
        """


# frame -> bytes. Generated code or graphql-core: the group does not care.
Render = Callable[[Frame, Viewer], Awaitable[bytes]]


@dataclass
class Counts:
    """What sharing saved, since the start of the process."""

    pages_rendered: int = 0
    pages_delivered: int = 0


class _Broken(NamedTuple):
    errors: list[FormattedError]


@dataclass(eq=False)
class _Party:
    """Sinks that stand at one cursor, and the task that serves them."""

    followers: dict[Sink, asyncio.Future[str]]
    leader: asyncio.Task[None] | None = None


class RecentPages:
    """The newest encoded pages of all groups, bounded in bytes; least recently wanted ones go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pages: OrderedDict[tuple[Hashable, str], Page] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, group: Hashable, cursor: str) -> Page | None:
        page = self._pages.get((group, cursor))
        if page is not None:
            self._pages.move_to_end((group, cursor))
        return page

    def add(self, group: Hashable, cursor: str, page: Page) -> None:
        self._drop((group, cursor))
        self._pages[group, cursor] = page
        self.bytes += len(page.payload)
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._pages)))

    def forget(self, group: Hashable) -> None:
        for key in [key for key in self._pages if key[0] is group]:
            self._drop(key)

    def _drop(self, key: tuple[Hashable, str]) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self.bytes -= len(page.payload)


@dataclass(eq=False)
class Group:
    """Members that share their pages: same selection, same view, same rights. They are its key."""

    key: Hashable
    view: View[Any]
    render: Render
    recent: RecentPages
    counts: Counts
    founder: Viewer
    members: dict[object, Viewer] = field(default_factory=dict)
    _turns: dict[str, Shared[str, Page | _Broken]] = field(default_factory=dict)
    _openings: dict[str | None, Shared[str | None, Page | str | _Broken]] = field(default_factory=dict)
    _parties: dict[str, _Party] = field(default_factory=dict)

    @property
    def followers(self) -> int:
        """Members whose sockets take pages as they come."""
        return sum(len(party.followers) for party in self._parties.values())

    async def first(self, after: str | None) -> Page | str:
        """The opening frame, or the cursor to go on behind; raises StreamBroken.

        Whoever asks while another's snapshot is in the making shares the next one, not that: it may be
        older than a change this caller has already been told of.
        """
        opening = self._openings.get(after)
        if opening is None or opening.begun:
            opening = Shared(partial(self._open, after), self._openings, after, behind=opening)
        outcome = await opening.result()
        return outcome if isinstance(outcome, str) else self._delivered(outcome)

    async def next(self, cursor: str) -> Page:
        """The page behind `cursor`, as soon as there is one; raises StreamBroken."""
        return self._delivered(await self._behind(cursor))

    async def follow(self, cursor: str, sink: Sink) -> str:
        """Have everything behind `cursor` written to the sink, as it happens, until it refuses a page.

        Answers the cursor of the last page that it took; raises StreamBroken. Nobody wakes up for a page but one task
        for all sinks that stand at the same cursor.
        """
        gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        party = self._parties.get(cursor)
        if party is None:
            party = self._parties[cursor] = _Party({})
            party.leader = asyncio.create_task(self._lead(party, cursor))
        party.followers[sink] = gone
        try:
            return await gone
        finally:
            self._forget(sink)

    def _forget(self, sink: Sink) -> None:
        for cursor, party in list(self._parties.items()):
            if party.followers.pop(sink, None) is not None and not party.followers:
                del self._parties[cursor]
                assert party.leader is not None, "set where the party is"
                party.leader.cancel()

    async def _lead(self, party: _Party, cursor: str) -> None:
        """Hand each page to those at the cursor, and go on with those who took it."""
        while party.followers:
            outcome = await self._behind(cursor)
            del self._parties[cursor]
            await self._hand_round(party, cursor, outcome)
            if isinstance(outcome, _Broken):
                return
            cursor = cast("str", outcome.cursor)
            party.followers = {sink: gone for sink, gone in party.followers.items() if not gone.done()}
            if not party.followers:
                return
            there = self._parties.setdefault(cursor, party)
            if there is not party:
                there.followers.update(party.followers)
                return

    async def _hand_round(self, party: _Party, cursor: str, outcome: Page | _Broken) -> None:
        shared: dict[bytes, bytes] = {}
        for number, (sink, gone) in enumerate(list(party.followers.items()), start=1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # a page for thousands must not hold up everybody else
            if gone.done():
                continue
            if isinstance(outcome, _Broken):
                gone.set_exception(StreamBroken(outcome.errors))
            elif sink.take(outcome, shared):
                self.counts.pages_delivered += 1
            else:
                gone.set_result(cursor)

    async def _behind(self, cursor: str) -> Page | _Broken:
        """What comes behind the cursor, from whoever has it."""
        page = self.recent.get(self, cursor)
        if page is not None:
            # A reader that catches up page by page would otherwise never let anybody else run.
            await asyncio.sleep(0)
            return page
        turn = self._turns.get(cursor)
        if turn is None:
            turn = Shared(partial(self._advance, cursor), self._turns, cursor)
        return await turn.result()

    def _delivered(self, outcome: Page | _Broken) -> Page:
        if isinstance(outcome, _Broken):
            raise StreamBroken(outcome.errors)
        self.counts.pages_delivered += 1
        return outcome

    async def _open(self, after: str | None) -> Page | str | _Broken:
        try:
            frame = await self.view.first(after)
            return frame if isinstance(frame, str) else await self._page(frame)
        except Exception as error:  # noqa: BLE001 - the members get it as a typed, masked error
            return _broken(error)

    async def _advance(self, cursor: str) -> Page | _Broken:
        try:
            page = await self._page(await self.view.next(cursor))
        except Exception as error:  # noqa: BLE001 - the members get it as a typed, masked error
            return _broken(error)
        # A bookmark that stays where it is has no place here: its reader would get it again at once.
        if page.cursor != cursor:
            self.recent.add(self, cursor, page)
        return page

    async def _page(self, frame: Frame) -> Page:
        # Any member will do: they have the same rights. The founder may have left, and is asked for only where
        # everybody has, while this frame was in the making.
        viewer = next(iter(self.members.values()), self.founder)
        self.counts.pages_rendered += 1
        payload = await self.render(frame, viewer)
        # A copy, for what orjson encodes keeps the buffer it was encoded in, which is up to twice as large.
        return Page(bytes(memoryview(payload)), frame.cursor)


def _broken(error: Exception) -> _Broken:
    return _Broken([faults.from_exception(error, faults.new_request_id())])


class Groups:
    """All groups of one process."""

    def __init__(self, *, recent_bytes: int = 33_554_432) -> None:
        self._groups: dict[Hashable, Group] = {}
        self.recent = RecentPages(recent_bytes)
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def members(self) -> int:
        """Open shared subscriptions."""
        return sum(len(group.members) for group in self._groups.values())

    @property
    def followers(self) -> int:
        """Members at the live edge; the others catch up, read slowly, or can't be written to directly."""
        return sum(group.followers for group in self._groups.values())

    def join(
        self, member: object, viewer: Viewer, selection: Hashable, view: View[Any], render: Render
    ) -> Group:
        """Put `member` into the group of its likes; `render` counts only for the first one."""
        key = (selection, view.key, viewer.rights_key)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, view, render, self.recent, self.counts, viewer)
        group.members[member] = viewer
        return group

    def leave(self, member: object, group: Group) -> None:
        """Take `member` out; an empty group is forgotten with its pages."""
        del group.members[member]
        if not group.members:
            del self._groups[group.key]
            self.recent.forget(group)
