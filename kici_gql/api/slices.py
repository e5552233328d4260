"""Pages of the fleet that are kept from one operation to the next, for as long as nobody has changed what is on them.

Between two requests for a large fleet most of its rows stay the same, and reading them is most of the work. Whatever
changes a scaler, an orchestrator or an agent visibly moves the org's `fleet_seq`, except for a heartbeat's figures,
and a heartbeat names the parents of the rows that it writes. So one look at the org, and at the heartbeats that came
since the last look, tells which pages no longer hold, whichever process wrote.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from kici_gql.api.engine.ports import Unchanging
from kici_gql.store import Store, log
from kici_gql.store.log import Mark
from kici_gql.store.paging import Slice

MAX_ROWS = 10_000

Pages = dict[Hashable, Slice[Any]]


class _Parent(NamedTuple):
    org_id: str
    id: str


class KeptSlices:
    """Bounded in rows; the lists below the parent that was least recently asked for go first."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._marks: dict[str, Mark] = {}
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pages: OrderedDict[_Parent, Pages] = OrderedDict()
        self.rows = 0
        """How many are kept; a page without any counts as one."""

    async def refresh(self, store: Store, org_id: str) -> None:
        """Drop what no longer holds. Whatever is kept afterwards is as new as this call, or newer."""
        async with self._looking[org_id]:
            mark, parents = await store.read(log.beaten_since, org_id, self._marks.get(org_id))
            if parents is None:
                self._forget(org_id)
            else:
                for id_ in parents:
                    self._drop(_Parent(org_id, id_))
            self._marks[org_id] = mark

    def get(self, org_id: str, listing: Hashable, parent_id: str) -> Slice[Any] | None:
        """The page, if it is kept. It holds if this was asked for after `refresh`, in the same operation."""
        parent = _Parent(org_id, parent_id)
        pages = self._pages.get(parent)
        if pages is None:
            return None
        self._pages.move_to_end(parent)
        return pages.get(listing)

    def add(
        self, org_id: str, mark: Mark, listing: Hashable, found: Mapping[str, Slice[Any]]
    ) -> Mapping[str, Slice[Any]]:
        """Keep pages that were read at this mark, unless more is known by now. Answers the pages to show."""
        if not mark.reaches(self._marks.get(org_id)):
            return found
        shown = {id_: replace(page, rows=Unchanging(page.rows)) for id_, page in found.items()}
        for id_, page in shown.items():
            pages = self._pages.setdefault(_Parent(org_id, id_), {})
            self.rows += _weight(page) - (_weight(pages[listing]) if listing in pages else 0)
            pages[listing] = page
        while self.rows > self._max_rows:
            self._drop(next(iter(self._pages)))
        return shown

    def _forget(self, org_id: str) -> None:
        for parent in [each for each in self._pages if each.org_id == org_id]:
            self._drop(parent)

    def _drop(self, parent: _Parent) -> None:
        self.rows -= sum(map(_weight, self._pages.pop(parent, {}).values()))


def _weight(page: Slice[Any]) -> int:
    return len(page.rows) or 1
