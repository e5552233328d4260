"""uvicorn's protocols with an end for peers that have stopped reading, and a server that drains first.

Stock uvicorn waits for ever for a peer that reads nothing: its keepalive closes the transport, and closing
waits for the buffer to drain. `transport.abort()` is the only way out, and ASGI has no word for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request


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
        waiting = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.stalled_seconds, self._judge, waiting)

    def _unwatch(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _judge(self, waiting: int) -> None:
        if self.transport.get_write_buffer_size() < waiting:
            self._watch()  # slow, but alive
        else:
            self.transport.abort()


class ImpatientHttp(_Impatient, HttpToolsProtocol):
    """For HTTP, where an event stream may have such a peer."""


class ImpatientWebSocket(_Impatient, WebSocketsSansIOProtocol):
    """For WebSockets; `scope["extensions"]["kici.transport"]` holds `transport` and `abort`."""

    abort_seconds: float
    _last_call: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # The application has only been scheduled so far, so its scope can still be completed.
        if hasattr(self, "scope"):
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions["kici.transport"] = {"transport": self.transport, "abort": self.transport.abort}

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        super().shutdown()
        self._last_call = self.loop.call_later(self.abort_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
        super().connection_lost(exc)


def http_protocol(stalled_seconds: float) -> type[ImpatientHttp]:
    """What to give uvicorn as `http=`."""
    return type("Http", (ImpatientHttp,), {"stalled_seconds": stalled_seconds})


def websocket_protocol(stalled_seconds: float, abort_seconds: float = 1.0) -> type[ImpatientWebSocket]:
    """What to give uvicorn as `ws=`."""
    return type(
        "WebSocket",
        (ImpatientWebSocket,),
        {"stalled_seconds": stalled_seconds, "abort_seconds": abort_seconds},
    )


class DrainingServer(uvicorn.Server):
    """Lets the application say goodbye before uvicorn closes its sockets."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: Any = None) -> None:
        for server in self.servers:
            server.close()  # nobody new; a load balancer sees it at once
        await self._drain()
        await super().shutdown(sockets)
