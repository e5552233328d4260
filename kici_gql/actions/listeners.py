"""Orchestrators that follow their commands: the end of the connection that they do it over says that they are gone.

A silence has to last for minutes before it means anything; a connection that ends means something at once. Which
process holds the newest one is written down, so that an old one that ends elsewhere says nothing, and neither does
the end of a process of ours. Whoever never follows its commands is judged by its beats alone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kici_gql.actions import departures, presence
from kici_gql.errors import KiciError
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, fleet, records
from kici_gql.tables import Liveness, Orchestrator

logger = logging.getLogger(__name__)

GRACE_SECONDS = 0.5
"""Whoever lost its connection makes another one at once, and whoever died shall be missed in the same second."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An orchestrator over one of its connections; whoever has connected anew is another one."""

    org_id: str
    orchestrator_id: str
    connection_id: str


class Listeners:
    """Those that follow their commands over a connection to this process, which is called `process_id`."""

    def __init__(self, store: Store, settings: Settings, process_id: str) -> None:
        self._store = store
        self._limits = presence.thresholds(settings)
        self._process_id = process_id
        self._open: Counter[Listener] = Counter()
        self._judging: set[asyncio.Task[None]] = set()
        self._closed = False

    def enter(self, listener: Listener) -> Callable[[str | None], None]:
        """It listens over one more connection. Call the answer when that has ended.

        With the reason, if the orchestrator has left by it; with None when it says nothing: we ended it ourselves.
        """
        self._open[listener] += 1
        return partial(self._left, listener)

    async def welcome(self, listener: Listener) -> None:
        """Write down that it listens here, and bring it back if it was called gone. Raises Unavailable."""
        await self._store.transaction(listener.org_id, partial(self._welcome, listener=listener))

    async def close(self) -> None:
        """From now on no end of a connection says anything: it is our own."""
        self._closed = True
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)

    def _left(self, listener: Listener, reason: str | None) -> None:
        self._open[listener] -= 1
        if self._open[listener]:
            return
        del self._open[listener]
        if reason is not None and not self._closed:
            task = asyncio.create_task(self._miss(listener, reason), name="listener-left")
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    async def _miss(self, listener: Listener, reason: str) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        judge = partial(self._judge, listener=listener, reason=reason)
        try:
            await self._store.transaction(listener.org_id, judge)
        except KiciError as error:
            logger.warning("an orchestrator left and its silence will have to tell: %s", error.message)

    def _welcome(self, tx: Tx, listener: Listener) -> None:
        row = fleet.orchestrator_of(tx.connection, tx.org_id, listener.connection_id)
        if row is None:
            return  # it has connected anew, and is not heard over this any more
        self._note(tx, row, self._process_id)
        if row.liveness is Liveness.LOST:
            departures.find_again(tx, row, self._limits)

    def _judge(self, tx: Tx, listener: Listener, reason: str) -> None:
        """It is gone, unless it listens again, here or elsewhere, or has connected anew."""
        row = fleet.orchestrator_of(tx.connection, tx.org_id, listener.connection_id)
        if row is None or row.listens_at != self._process_id or listener in self._open:
            return
        self._note(tx, row, None)
        if row.liveness in fleet.PRESENT:
            departures.lose(tx, row, reason)

    @staticmethod
    def _note(tx: Tx, row: Orchestrator, process_id: str | None) -> None:
        if row.listens_at != process_id:
            records.change(tx.connection, Orchestrator, row.id, {"listens_at": process_id})
