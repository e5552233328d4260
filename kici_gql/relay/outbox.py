"""What waits to be written: bounded, in order, and taken in pages."""

import asyncio
from collections import deque

from kici_gql.relay.session.effects import Effect

MAX_EFFECTS = 2000
MAX_BYTES = 64 * 1024 * 1024
PAGE = 500


class Outbox:
    """A full outbox makes the reader wait, and so the orchestrator: nothing is dropped here.

    It can be held for a moment: while a run is being started, its reports must not come before its id is known.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Effect, int]] = deque()
        self._bytes = 0
        self._held: asyncio.TimerHandle | None = None
        self._closed = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    async def put(self, effect: Effect, size: int) -> None:
        """Line up; waits while it is full."""
        while self._full and not self._closed:
            self._emptied.clear()
            self._filled.set()
            await self._emptied.wait()
        self._waiting.append((effect, size))
        self._bytes += size
        self._filled.set()

    async def take(self) -> list[Effect]:
        """The next effects, at least one; none at all when it is closed and empty."""
        while not self._closed and (not self._waiting or (self._held is not None and not self._full)):
            self._filled.clear()
            await self._filled.wait()
        page: list[Effect] = []
        while self._waiting and len(page) < PAGE:
            effect, size = self._waiting.popleft()
            self._bytes -= size
            page.append(effect)
        self._emptied.set()
        return page

    def hold(self, seconds: float) -> None:
        """Let nothing be taken until `release`, but no longer than this, and no longer than there is room."""
        self.release()
        self._held = asyncio.get_running_loop().call_later(seconds, self.release)

    def release(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._filled.set()

    def close(self) -> None:
        """Nothing more comes: what waits is still taken."""
        self.release()
        self._closed = True
        self._filled.set()
        self._emptied.set()

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= MAX_EFFECTS or self._bytes >= MAX_BYTES
