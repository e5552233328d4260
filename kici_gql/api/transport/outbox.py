"""Frames straight to a socket: encoded once for all, and one write for all that gathered in a turn of the loop.

A write is a system call, and that is nearly all that a frame costs. ASGI makes one for each message, behind several
calls and an await; here a page goes to a thousand sockets in one loop.
"""

import asyncio

from kici_gql.api.engine.groups import Page
from kici_gql.api.transport.frames import deflated_tail, stored, text_frame
from kici_gql.api.transport.session import next_head
from kici_gql.api.transport.sockets import Connection

MAX_BYTES = 65_536
"""A reader with more than this unsent does not keep up: it gets nothing more until the socket has taken it."""

_MAX_SHARED = 16


class Outbox:
    """What waits to be written to one socket."""

    __slots__ = ("_frames", "_loop", "_transport", "_waiting", "_writable", "deflates")

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.deflates = connection.deflates
        """Whether the peer takes what was compressed for all."""
        self._transport = connection.transport
        self._writable = connection.writable
        self._loop = loop
        self._frames: list[bytes] = []
        self._waiting = 0

    def ready(self) -> bool:
        """Whether the peer is there and the kernel has taken nearly all that it was sent.

        Whoever writes on while writing is paused makes a slow peer look like one that reads nothing.
        """
        unsent = self._waiting + self._transport.get_write_buffer_size()
        return unsent <= MAX_BYTES and self._writable.is_set() and not self._transport.is_closing()

    def add(self, frame: bytes) -> bool:
        """Write this frame with the others of this turn; false when the peer is not ready."""
        if not self.ready():
            return False
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._waiting += len(frame)
        return True

    async def send(self, frame: bytes) -> None:
        """Write as soon as the buffer has room again; raises ConnectionResetError when the peer is gone."""
        await self._writable.wait()
        self.flush()
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(frame)

    def flush(self) -> None:
        """Write now."""
        if not self._frames:
            return
        data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._waiting = 0
        if not self._transport.is_closing():
            self._transport.write(data)


class FrameSink:
    """One subscription's way into its socket's outbox."""

    __slots__ = ("_head", "_outbox")

    def __init__(self, outbox: Outbox, id_: str) -> None:
        head = next_head(id_)
        self._outbox = outbox
        self._head = stored(head) if outbox.deflates else head

    def ready(self) -> bool:
        return self._outbox.ready()

    def take(self, page: Page, shared: dict[bytes, bytes]) -> bool:
        frame = shared.get(self._head)
        if frame is None:
            frame = self._frame(page)
            if len(shared) < _MAX_SHARED:
                shared[self._head] = frame
        return self._outbox.add(frame)

    async def send(self, page: Page) -> None:
        """Write a page to a peer that may not be ready, as soon as it is; raises OSError when it is gone."""
        await self._outbox.send(self._frame(page))

    def _frame(self, page: Page) -> bytes:
        if self._outbox.deflates:
            return text_frame(self._head, deflated_tail(page.payload), deflated=True)
        return text_frame(self._head, page.payload, b"}")
