"""The newest entries of one org's log, shared by all its readers in this process."""

import asyncio
from bisect import bisect_right
from collections.abc import Collection
from operator import attrgetter

from kici_gql.events import Entry, Topic

DECODED_ENTRIES = 128
"""As many of the newest entries stay decoded: those that live readers are at. Decoded, they take five times the memory."""

_seq = attrgetter("seq")


class Tail:
    """Entries up to event `last`, complete back to behind event `base`."""

    def __init__(self, epoch: str, last: int, max_events: int) -> None:
        self.epoch = epoch
        self.base = last
        self.last = last
        self._max_events = max_events
        self._entries: list[Entry] = []
        self._moved: asyncio.Future[None] | None = None

    def extend(self, entry: Entry) -> bool:
        """Add the next entry. False, and nothing happens, when it is not the next one: then the log has to be read."""
        if entry.first_seq != self.last + 1:
            return entry.seq <= self.last
        self._entries.append(entry)
        if len(self._entries) > DECODED_ENTRIES:
            self._entries[-1 - DECODED_ENTRIES].forget_events()
        self._advance(entry.seq)
        return True

    def skip_to(self, seq: int) -> None:
        """Forget all entries and stand at `seq`: cheaper than reading a long gap that nobody may ask for."""
        self._entries.clear()
        self.base = seq
        self._advance(seq)

    def after(self, seq: int, topics: Collection[Topic], max_events: int) -> tuple[list[Entry], int] | None:
        """Entries of these topics behind `seq`, and how far that reaches; None when the tail begins later.

        At least one entry is returned however long it is, if there is one.
        """
        if seq < self.base:
            return None
        found: list[Entry] = []
        events = 0
        for entry in self._entries[bisect_right(self._entries, seq, key=_seq) :]:
            if entry.topic in topics:
                events += entry.seq - entry.first_seq + 1
                if found and events > max_events:
                    return found, found[-1].seq
                found.append(entry)
        return found, max(seq, self.last)

    async def moved(self, seq: int) -> None:
        """Wait until there is anything behind `seq`."""
        while self.last <= seq:
            if self._moved is None:
                self._moved = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._moved)

    def _advance(self, seq: int) -> None:
        self.last = seq
        if self._moved is not None:
            moved, self._moved = self._moved, None
            moved.set_result(None)
        if (
            self.last - self.base > 2 * self._max_events
        ):  # trimmed seldom and in bulk: a list is quicker to search
            keep = bisect_right(self._entries, self.last - self._max_events, key=_seq)
            self.base = self._entries[keep - 1].seq if keep else self.base
            del self._entries[:keep]
