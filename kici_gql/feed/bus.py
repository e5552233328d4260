"""The doorbell between processes: "org X reached n". A lost, late or doubled ring costs latency, never data."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from broadcaster import Broadcast
from broadcaster._base import Subscriber

_log = logging.getLogger(__name__)

_CHANNEL = "kici_gql"
_PING = "ping"

RING_SECONDS = 2.0
"""How often the bus is tested by ringing it."""
SILENCE_SECONDS = 6.0
"""A bus that does not even echo for this long is dead and is connected anew."""
_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)


class Bus:
    """One supervised subscription on broadcaster.

    broadcaster's backends never reconnect and tell nobody when their listener dies, so the bus rings itself and
    rebuilds the connection when it hears nothing. `on_ring(org_id, seq)` is called on the event loop.
    """

    def __init__(self, url: str, on_ring: Callable[[str, int], None]) -> None:
        self._url = url
        self._on_ring = on_ring
        self._waiting: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        self.restarts = 0

    async def open(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name="bus")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def ring(self, org_id: str, seq: int) -> None:
        """Tell the other processes. Never blocks; several rings for one org become one."""
        self._waiting[org_id] = max(seq, self._waiting.get(org_id, 0))
        self._wake.set()

    async def _supervise(self) -> None:
        failures = 0
        while True:
            try:
                await self._serve()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - any client library's error means the same: connect again
                delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures = 0 if self.connected.is_set() else failures + 1
                self.connected.clear()
                self.restarts += 1
                _log.warning("bus lost (%s), connecting again in %.1f s", _cause(error), delay)
                await asyncio.sleep(delay)

    async def _serve(self) -> None:
        bus = Broadcast(self._url)
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await bus.connect()
            async with bus.subscribe(_CHANNEL) as subscriber:
                try:
                    await self._exchange(bus, subscriber)
                finally:
                    # Unsubscribing connects again; while the listener does so too, a socket is left open.
                    await _end_listener(bus)
        finally:
            # What is broken already raises here too, and broadcaster then closes nothing: so its parts one by one.
            await _quietly(bus.disconnect())
            await _end_listener(bus)
            await _quietly(bus._backend.disconnect())  # noqa: SLF001 - nobody else holds it

    async def _exchange(self, bus: Broadcast, subscriber: Subscriber) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ring(bus))
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    event = await subscriber.get()
                self.connected.set()
                self._hear(event.message)

    async def _ring(self, bus: Broadcast) -> None:
        await bus.publish(_CHANNEL, _PING)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RING_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            for org_id, seq in waiting.items():
                await bus.publish(_CHANNEL, f"{org_id}:{seq}")
            if not waiting:
                await bus.publish(_CHANNEL, _PING)

    def _hear(self, message: str) -> None:
        org_id, _, seq = message.rpartition(":")
        if org_id and seq.isdigit():
            self._on_ring(org_id, int(seq))


def _cause(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def _quietly(ending: Awaitable[None]) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            await ending


async def _end_listener(bus: Broadcast) -> None:
    """A backend that could not connect leaves its listener behind, and asyncio logs an error for each."""
    listener = getattr(bus._backend, "_listener", None)  # noqa: SLF001 - nobody else holds it
    if isinstance(listener, asyncio.Task):
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
