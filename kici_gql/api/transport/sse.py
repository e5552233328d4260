"""GraphQL over server-sent events, distinct connections: one operation per response.

Frames are those of the WebSocket. Each `next` event carries its frame's cursor as `id`, so an EventSource
that reconnects says where it stands (`Last-Event-ID`) and the stream goes on behind it, unless the operation
names an `after` of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError, RequestRefused, StreamBroken
from kici_gql.api.engine.groups import Page
from kici_gql.api.engine.live import LEFT, LEFT_BY
from kici_gql.api.engine.operations import Operations, Prepared
from kici_gql.api.engine.ports import Authenticator, Viewer
from kici_gql.api.transport.negotiation import EVENT_STREAM
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.sockets import abort_of

_HEADERS = [
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back until its buffer is full
]
_COMPLETE = b"event: complete\ndata: \n\n"
_RESTARTING = b"retry: 1000\n: server restarting, resume with your cursor\n\n"
_ENDED = {"revoked": "TOKEN_REVOKED", "expired": "TOKEN_EXPIRED"}


class EventStream:
    """One open response."""

    def __init__(
        self,
        operations: Operations,
        auth: Authenticator,
        options: TransportOptions,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._operations = operations
        self._auth = auth
        self._options = options
        self.abort = abort_of(scope)
        self._receive = receive
        self._send = send
        self._last_words: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._cut_off: asyncio.TimerHandle | None = None
        self._leave: Callable[[str | None], None] = lambda _: None
        self._left_because: str | None = LEFT

    async def run(self, prepared: Prepared, viewer: Viewer) -> None:
        """Stream until the operation ends, the client leaves, the token ends or the server stops."""
        forget = self._auth.on_end(viewer, self._token_ended)
        left = asyncio.create_task(self._client_left())
        try:
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._write(b": connected\n\n")
            async with aclosing(self._events(prepared, viewer)) as events:
                await self._relay(events, left)
        finally:
            forget()
            left.cancel()
            if self._cut_off is not None:
                self._cut_off.cancel()
            self._leave(self._left_because)
            self._gone.set()

    async def drain(self) -> None:
        self._end(_RESTARTING)
        await self._gone.wait()

    async def _relay(self, events: AsyncGenerator[bytes, None], left: asyncio.Task[None]) -> None:
        following = asyncio.ensure_future(anext(events, None))
        waiting: set[asyncio.Future[object]] = {following, left, self._last_words}  # type: ignore[arg-type]
        try:
            while True:
                done, _ = await asyncio.wait(
                    waiting, timeout=self._options.keep_alive_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if left in done:
                    return
                if self._last_words in done:
                    await self._write(self._last_words.result(), last=True)
                    return
                if not done:
                    await self._write(b": keep-alive\n\n")
                    continue
                event = following.result()
                if event is None:
                    self._left_because = None
                    await self._write(_COMPLETE, last=True)
                    return
                await self._write(event)
                waiting.remove(following)  # type: ignore[arg-type]
                following = asyncio.ensure_future(anext(events, None))
                waiting.add(following)  # type: ignore[arg-type]
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _events(self, prepared: Prepared, viewer: Viewer) -> AsyncGenerator[bytes, None]:
        """The operation's frames as events; an error is the last one."""
        try:
            if prepared.kind is not OperationType.SUBSCRIPTION:
                yield _event(Page((await self._operations.run(prepared, viewer)).body, None))
                return
            subscription = await self._operations.subscribe(prepared, viewer)
            if subscription.presence is not None:
                self._leave = subscription.presence.begin()
                await subscription.presence.tell()
            async with aclosing(subscription.pages()) as pages:
                async for page in pages:
                    yield _event(page)
        except (RequestRefused, StreamBroken) as refused:
            yield _errors(refused.errors)
        except Exception as error:  # noqa: BLE001 - goes out typed and masked
            yield _errors([faults.from_exception(error, faults.new_request_id())])

    async def _client_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _token_ended(self, reason: str) -> None:
        problem = faults.problem(f"This token was {reason}." if reason == "revoked" else "This token has expired.",
                                 _ENDED[reason], retryable=False)  # fmt: skip
        self._left_because = LEFT_BY[reason]
        self._end(_errors([problem]) + _COMPLETE)
        # A peer that does not read can't be told; its buffers may hold what its token no longer may see.
        loop = asyncio.get_running_loop()
        self._cut_off = loop.call_later(self._options.abort_seconds, self.abort)

    def _end(self, last_words: bytes) -> None:
        if not self._last_words.done():
            self._last_words.set_result(last_words)

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})


def _event(page: Page) -> bytes:
    # orjson writes neither a raw line feed nor a carriage return, so one `data:` line holds every payload.
    if page.cursor is None:
        return b"event: next\ndata: " + page.payload + b"\n\n"
    return b"event: next\nid: " + page.cursor.encode() + b"\ndata: " + page.payload + b"\n\n"


def _errors(errors: list[FormattedError]) -> bytes:
    return _event(Page(orjson.dumps({"errors": errors}), None))
