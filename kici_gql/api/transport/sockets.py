"""uvicorn's protocols with an end for peers that have stopped reading, and a server that drains first.

Stock uvicorn waits for ever for a peer that reads nothing: its keepalive closes the transport, and closing
waits for the buffer to drain. `transport.abort()` is the only way out, and ASGI has no word for it.
"""

import array
import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

import uvicorn
from starlette.types import Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from kici_gql.api.transport.frames import offer, takes_shared
from kici_gql.api.transport.waiting import Flag, Inbox

_log = logging.getLogger(__name__)

EXTENSION = "kici.transport"

_YOUNG_OBJECTS = 20_000  # more of them than were freed: then the collector looks for cycles among them
_DEFLATED_PATH = "/graphql"


def _extension(transport: asyncio.Transport) -> dict[Any, Any]:
    return {"transport": transport, "abort": transport.abort}


if sys.platform == "linux":
    import fcntl
    import termios

    def _queued_by_kernel(connection: Any) -> int:
        # On a TCP socket this terminal request answers the bytes not acknowledged yet (tcp(7), SIOCOUTQ).
        queued = array.array("i", [0])
        try:
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
        except OSError:
            return 0
        return queued[0]

else:

    def _queued_by_kernel(connection: Any) -> int:
        return 0


def _untaken(transport: asyncio.Transport) -> int:
    """Bytes that the peer has not taken yet: ours and, where we can ask, the kernel's.

    The kernel takes more from us only when a third of its megabytes is free again, so by our own buffer alone
    a slow reader and a dead one look the same for minutes.
    """
    connection = transport.get_extra_info("socket")
    return transport.get_write_buffer_size() + (
        _queued_by_kernel(connection) if connection is not None else 0
    )


class _Impatient(asyncio.Protocol):
    """Aborts a transport whose full write buffer has not shrunk for `stalled_seconds`."""

    stalled_seconds: float
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._unwatch()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waiting = _untaken(self.transport)
        self._stalled = self.loop.call_later(self.stalled_seconds, self._judge, waiting)

    def _unwatch(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _judge(self, waiting: int) -> None:
        if _untaken(self.transport) < waiting:
            self._watch()  # slow, but alive
        else:
            self.transport.abort()


def abort_of(scope: Scope) -> Callable[[], None]:
    """How to cut off the peer of this scope; does nothing under a server that is not ours."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension["abort"] if extension is not None else lambda: None


class Connection(NamedTuple):
    """What can be written to past ASGI."""

    transport: asyncio.Transport
    writable: Flag
    """Not set while the transport's buffer is full."""
    deflates: bool
    """Whether the peer takes what was compressed for all; see `frames`."""


def connection_of(scope: Scope) -> Connection | None:
    """The connection of this WebSocket scope; None under a server that is not ours."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        return None
    return Connection(extension["transport"], extension["writable"], extension["deflates"])


def has_arrived(scope: Scope) -> bool:
    """Whether the whole body of this request is there already; false where the server can't tell."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension is not None and extension["arrived"]


class OneWriteCycle(RequestResponseCycle):
    """Writes the head of a response together with the beginning of its body: each write is a call into the kernel.

    ASGI wants it so too: the head is to wait for the body. Whoever streams sends something at once.
    """

    _head: ASGISendEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await super().send(message)
            return
        transport, gathered = self.transport, _Gathered(self.transport)
        self.transport = cast("asyncio.Transport", gathered)
        try:
            await super().send(head)
            await super().send(message)
        finally:
            self.transport = transport
            gathered.flush()


class _Gathered:
    """As much of a transport as a response needs, that writes all at once."""

    __slots__ = ("_parts", "_transport", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._parts: list[bytes] = []
        self._transport = transport
        self.write = self._parts.append
        self.is_closing = transport.is_closing

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class ImpatientHttp(_Impatient, HttpToolsProtocol):
    """For HTTP, where an event stream may have such a peer.

    Stock uvicorn tells only the request that came last that the peer has left. A stream with another request pipelined
    behind it would write on, and fail.
    """

    _earlier: tuple[RequestResponseCycle, ...] = ()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._extension = _extension(self.transport) | {"arrived": False}
        self.scope["extensions"] = {EXTENSION: self._extension}

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._extension["arrived"] = True

    def on_headers_complete(self) -> None:
        earlier: RequestResponseCycle | None = self.cycle
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.__class__ = OneWriteCycle  # uvicorn asks nobody what its cycles should be
        if earlier is not None and earlier is not self.cycle:
            self._earlier = tuple(each for each in (*self._earlier, earlier) if not each.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)


class ImpatientWebSocket(_Impatient, WebSocketsSansIOProtocol):
    """For WebSockets; both kinds of scope hold `transport` and `abort` in their extension `EXTENSION`.

    This one also holds `accept_up_to`, which raises the limit of a message's size.
    """

    abort_seconds: float
    deflates: bool
    _owing = 0
    _last_call: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = Inbox()  # type: ignore[assignment]
        self.writable = Flag()  # type: ignore[assignment]
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Stock uvicorn's says three lines for each socket, among those that say how the server itself is.
        self.logger = self.conn.logger = _log
        super().connection_made(transport)

    def handle_connect(self, event: Request) -> None:
        if self.deflates and event.path.partition("?")[0] == _DEFLATED_PATH:
            self.conn.available_extensions = [offer()]
        super().handle_connect(event)
        # The application has only been scheduled so far, so its scope can still be completed.
        if hasattr(self, "scope"):
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[EXTENSION] = _extension(self.transport) | {
                "accept_up_to": self._accept_up_to,
                "writable": self.writable,
                "deflates": takes_shared(self.conn.extensions),
            }

    def _accept_up_to(self, size: int) -> None:
        """Larger messages than from everybody: for a peer that has shown who it is."""
        self.conn.max_message_size = size

    def send_receive_event_to_app(self) -> None:
        """Stock uvicorn logs a stack trace for a peer whose text is not UTF-8, and tells it no reason."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.conn.send_close(1007, "a text message must be UTF-8")
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] in {"websocket.send", "websocket.close"} and self.close_sent:
            # A peer that broke the protocol was closed below us; stock uvicorn takes that for a fault of the application.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept" and self.handshake_complete:
            self._forget_handshake()
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # uvicorn forgets to note it, and logs an error for every refusal

    def send_keepalive_ping(self) -> None:
        super().send_keepalive_ping()
        self._owing = _untaken(self.transport)

    def _forget_handshake(self) -> None:
        """An accepted socket lives for days and needs its headers no more: four kilobytes, in four forms.

        The parser holds on to the request, so that is emptied and not only let go.
        """
        self.request.headers.clear()
        self.response.headers.clear()
        self.scope["headers"] = []

    def keepalive_timeout(self) -> None:
        """Give up a peer that owes a pong and takes nothing.

        The pong comes when the peer has read all that was sent before the ping, and a slow one may need minutes for that.
        """
        before, self._owing = self._owing, _untaken(self.transport)
        if self._stalled is not None or self._owing != before:
            assert self.ping_timeout is not None, "else nothing times out"
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
        else:
            super().keepalive_timeout()
            self.transport.abort()

    def shutdown(self) -> None:
        super().shutdown()
        self._last_call = self.loop.call_later(self.abort_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
        super().connection_lost(exc)


def _is_utf8(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


def http_protocol(stalled_seconds: float) -> type[ImpatientHttp]:
    """What to give uvicorn as `http=`."""
    return type("Http", (ImpatientHttp,), {"stalled_seconds": stalled_seconds})


def websocket_protocol(
    stalled_seconds: float, abort_seconds: float = 1.0, *, deflates: bool = False
) -> type[ImpatientWebSocket]:
    """What to give uvicorn as `ws=`; with `deflates`, sockets of /graphql are compressed when their client offers it."""
    settings = {"stalled_seconds": stalled_seconds, "abort_seconds": abort_seconds, "deflates": deflates}
    return type("WebSocket", (ImpatientWebSocket,), settings)


class DrainingServer(uvicorn.Server):
    """Lets the application say goodbye before uvicorn closes its sockets."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes. The process is the server's own from here on."""
        _spare_the_collector()
        super().run(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        for server in self.servers:
            server.close()  # nobody new; a load balancer sees it at once
        await self._drain()
        await super().shutdown(sockets)


def _spare_the_collector() -> None:
    """Keep the garbage collector off what lives as long as the process, and let it look at the rest less often.

    Modules, schema and routes are several hundred thousand objects. Walking them again and again was a fifth of the
    CPU of a busy server; nearly everything that a request makes is freed without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
