"""Who is connected, how many more may come, and how all of them leave when the server stops."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from kici_gql.api.engine.ports import Viewer
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.quotas import Quota


class Closable(Protocol):
    """An open socket or event stream."""

    async def drain(self) -> None:
        """Send what is in flight, tell the client to come back, close."""

    @property
    def abort(self) -> Callable[[], None]:
        """Close without a word; called when `drain` took too long."""


class Gate:
    """Shared by all transports of one app."""

    def __init__(self, options: TransportOptions) -> None:
        self.draining = False
        self._open: set[Closable] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._connections = Quota("max_connections", options.max_connections, "open connections")
        self._per_token = Quota(
            "max_connections_per_token", options.max_connections_per_token, "open connections of this token"
        )
        self._subscriptions = Quota(
            "max_subscriptions_per_token",
            options.max_subscriptions_per_token,
            "open subscriptions of this token",
        )

    @property
    def connections(self) -> int:
        """Open sockets and event streams, whether authenticated yet or not."""
        return self._connections.held()

    def enter(self) -> Callable[[], None]:
        """Count a connection; answers how to leave. Raises LimitExceeded."""
        return self._connections.take()

    def admit(self, viewer: Viewer) -> Callable[[], None]:
        """Count a connection of this token; answers how to leave. Raises LimitExceeded."""
        return self._per_token.take(viewer.token_id)

    def subscribe(self, viewer: Viewer) -> Callable[[], None]:
        """Count a subscription of this token; answers how to end it. Raises LimitExceeded."""
        return self._subscriptions.take(viewer.token_id)

    def opened(self, connection: Closable) -> None:
        self._open.add(connection)

    def closed(self, connection: Closable) -> None:
        self._open.discard(connection)

    def outlives(self, task: asyncio.Task[None]) -> None:
        """Keep a task whose connection is gone: a mutation that has begun is not torn."""
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def drain(self, seconds: float) -> None:
        """End every connection politely within `seconds`, the rest at once. Nobody new is let in from now on."""
        self.draining = True
        farewells = {asyncio.create_task(connection.drain()) for connection in self._open}
        waiting = {*farewells, *self._finishing}
        if not waiting:
            return
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for connection in list(self._open):
            connection.abort()
        for task in late & farewells:
            task.cancel()
        await asyncio.gather(*farewells, return_exceptions=True)
