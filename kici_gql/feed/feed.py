"""`Feed.after` and `Feed.moved`: how every reader follows an org's log.

A reader is a cursor, not a queue. It asks for what is behind its position and, when there is nothing, waits for the
org's tail to move. A reader that lags behind the tail is answered from the log. Nothing is kept per reader.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from kici_gql.errors import Unavailable
from kici_gql.events import Cursor, Entry, Topic
from kici_gql.feed.bus import Bus
from kici_gql.feed.tail import Tail
from kici_gql.store import Store, log

_log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often the log is looked at although no bell rang: the most that a lost ring can cost."""
_READ_ENTRIES = 500

WATCHED_SECONDS = 40.0
"""How long an org counts as watched after a reader of heartbeats was seen: every open stream looks more often."""
_TELL_SECONDS = 10.0
_WATCHED = "watched/"


class Expired(Exception):
    """The log can't be followed from this position; the text says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """Log entries in order, and the position that a reader has reached when it has read them."""

    entries: Sequence[Entry]
    cursor: Cursor


class Feed:
    """All orgs' tails in this process. `on_entry` hears every entry of every org that is followed."""

    def __init__(self, store: Store, broadcast_url: str, tail_events: int) -> None:
        self._store = store
        self._tail_events = tail_events
        self.on_entry: Callable[[Entry], None] = lambda entry: None
        self._tails: dict[str, Tail] = {}
        self._opening: dict[str, asyncio.Task[Tail]] = {}
        self._behind: set[str] = set()
        self._seen: dict[str, float] = {}
        self._newest: dict[str, int] = {}
        self._catch_up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.bus = Bus(broadcast_url, self._heard)

    @property
    def followed(self) -> int:
        """Orgs whose logs this process follows."""
        return len(self._tails)

    @property
    def lag_events(self) -> int:
        """Events that are known to be in the followed logs and have not been read yet."""
        return sum(max(0, self._newest[org_id] - tail.last) for org_id, tail in self._tails.items())

    async def open(self) -> None:
        await self.bus.open()
        self._tasks = [
            asyncio.create_task(self._catch_up_forever(), name="feed-catch-up"),
            asyncio.create_task(self._look_forever(), name="feed-look"),
        ]

    async def close(self) -> None:
        for task in (*self._tasks, *self._opening.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._opening.values(), return_exceptions=True)
        await self.bus.close()

    def announce(self, entries: Sequence[Entry]) -> None:
        """Take what this process has just committed, and ring for the others."""
        for entry in entries:
            tail = self._tails.get(entry.org_id)
            if tail is not None:
                self._extend(tail, entry)
            self.bus.ring(entry.org_id, entry.seq)

    def watch(self, org_id: str) -> None:
        """Make sure that this process follows the org."""
        if org_id not in self._tails and org_id not in self._opening:
            task = asyncio.create_task(self._open_tail(org_id))
            self._opening[org_id] = task
            task.add_done_callback(lambda _: self._opening.pop(org_id, None))

    async def head(self, org_id: str) -> Cursor:
        """The newest position of the org that this process knows."""
        tail = await self._tail(org_id)
        return Cursor(tail.epoch, tail.last)

    async def check(self, org_id: str, cursor: Cursor) -> None:
        """Raises Expired unless the org's log can be followed from here."""
        await self._store.read(_require_reachable, org_id, cursor)

    async def after(self, org_id: str, cursor: Cursor, topics: Collection[Topic], max_events: int) -> Page:
        """What is behind the cursor now, of these topics; perhaps nothing. Raises Expired."""
        if Topic.HEARTBEATS in topics:
            self._notice_reader(org_id)
        tail = await self._tail(org_id)
        found = tail.after(cursor.seq, topics, max_events)
        if found is not None and cursor.epoch == tail.epoch:
            return Page(found[0], Cursor(tail.epoch, found[1]))
        reach = tail.last
        entries = await self._store.read(_entries_after, org_id, cursor, topics)
        page, full = _cut(entries, max_events)
        end = page[-1].seq if page and (full or len(entries) == _READ_ENTRIES) else max(reach, cursor.seq)
        return Page(page, Cursor(tail.epoch, max([end, *(entry.seq for entry in page[-1:])])))

    async def moved(self, org_id: str, cursor: Cursor) -> None:
        """Wait until the org's log has anything behind the cursor, whatever its topic."""
        await (await self._tail(org_id)).moved(cursor.seq)

    def watched(self, org_id: str) -> bool:
        """Whether anybody, in any process, follows the org's heartbeats now, or did a moment ago."""
        seen = self._seen.get(org_id)
        return seen is not None and asyncio.get_running_loop().time() - seen < WATCHED_SECONDS

    def _notice_reader(self, org_id: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._seen.get(org_id, -_TELL_SECONDS) >= _TELL_SECONDS:
            self._seen[org_id] = now
            self.bus.ring(_WATCHED + org_id, 0)

    async def _tail(self, org_id: str) -> Tail:
        tail = self._tails.get(org_id)
        if tail is None:
            self.watch(org_id)
            tail = await asyncio.shield(self._opening[org_id])
        return tail

    async def _open_tail(self, org_id: str) -> Tail:
        head = await self._store.read(log.head, org_id)
        tail = self._tails[org_id] = Tail(head.epoch, head.seq, self._tail_events)
        # What was committed between the read and now was announced to nobody.
        self._fall_behind(org_id, head.seq)
        return tail

    def _extend(self, tail: Tail, entry: Entry) -> None:
        before = tail.last
        if not tail.extend(entry):
            self._fall_behind(entry.org_id, entry.seq)
        elif tail.last != before:
            self.on_entry(entry)

    def _heard(self, org_id: str, seq: int) -> None:
        if org_id.startswith(_WATCHED):
            self._seen[org_id.removeprefix(_WATCHED)] = asyncio.get_running_loop().time()
            return
        tail = self._tails.get(org_id)
        if tail is not None and seq > tail.last:
            self._fall_behind(org_id, seq)

    def _fall_behind(self, org_id: str, seq: int) -> None:
        """Have the log read, which goes as far as this event at least."""
        self._newest[org_id] = max(seq, self._newest.get(org_id, 0))
        self._behind.add(org_id)
        self._catch_up.set()

    async def _catch_up_forever(self) -> None:
        while True:
            await self._catch_up.wait()
            self._catch_up.clear()
            behind, self._behind = self._behind, set()
            for org_id in behind:
                try:
                    await self._read_on(org_id, self._tails[org_id])
                except Unavailable:  # for a while, which the log says already; live readers wait for it
                    self._behind.add(org_id)
                except Exception:  # noqa: BLE001 - whatever else it was, the next try may be better
                    _log.exception("could not read the log; trying again")
                    self._behind.add(org_id)
            if self._behind:
                await asyncio.sleep(0.2)
                self._catch_up.set()

    async def _read_on(self, org_id: str, tail: Tail) -> None:
        """Read from the log what the tail lacks."""
        while entries := await self._store.read(
            log.entries_after, org_id, tail.last, tuple(Topic), _READ_ENTRIES
        ):
            for entry in entries:
                before = tail.last
                if not tail.extend(entry):
                    tail.skip_to(
                        entry.seq
                    )  # the log was trimmed under us: readers fall back to the log and learn it
                if tail.last != before:
                    self.on_entry(entry)
            if len(entries) < _READ_ENTRIES:
                return

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._tails:
                continue
            with contextlib.suppress(Exception):  # the database is away: the next look will tell
                for org_id, seq in (await self._store.read(log.heads, tuple(self._tails))).items():
                    self._heard(org_id, seq)


def _require_reachable(connection: Connection, org_id: str, cursor: Cursor) -> None:
    epoch, first_seq, last_seq = log.bounds(connection, org_id)
    if cursor.epoch != epoch:
        raise Expired("the cursor belongs to another log")
    if cursor.seq > last_seq:
        raise Expired("the cursor is ahead of the log")
    if cursor.seq < first_seq - 1:
        raise Expired("the log no longer reaches back to the cursor")


def _entries_after(
    connection: Connection, org_id: str, cursor: Cursor, topics: Collection[Topic]
) -> list[Entry]:
    """Both in one snapshot: between two, the log could be trimmed, and that would be a silent gap."""
    _require_reachable(connection, org_id, cursor)
    return log.entries_after(connection, org_id, cursor.seq, topics, _READ_ENTRIES)


def _cut(entries: Sequence[Entry], max_events: int) -> tuple[list[Entry], bool]:
    """As many of the entries as fit, but at least one; and whether some were left out."""
    page: list[Entry] = []
    events = 0
    for entry in entries:
        events += entry.seq - entry.first_seq + 1
        if page and events > max_events:
            return page, True
        page.append(entry)
    return page, False
