"""One socket of graphql-transport-ws: reads frames, lets the session think, does what it says."""

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable
from contextlib import aclosing
from dataclasses import dataclass

import orjson
from graphql import OperationType
from starlette.types import Message, Receive, Scope, Send

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError, RequestRefused, StreamBroken
from kici_gql.api.engine.live import LEFT, LEFT_BY, Presence
from kici_gql.api.engine.operations import Operations, Prepared
from kici_gql.api.engine.ports import Authenticator, Viewer
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.api.transport import credentials, session
from kici_gql.api.transport.gate import Gate
from kici_gql.api.transport.headers import headers_of
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.outbox import FrameSink, Outbox
from kici_gql.api.transport.session import SUBPROTOCOL, Close, Effect, Session
from kici_gql.api.transport.sockets import abort_of, connection_of
from kici_gql.api.transport.waiting import Flag
from kici_gql.errors import Forbidden, KiciError, LimitExceeded, Unauthenticated

logger = logging.getLogger("kici_gql.graphql.websocket")

_RESUME = "server restarting, resume with your cursor"
_ENDED = {
    "revoked": (Close.TOKEN_REVOKED, "this token was revoked"),
    "expired": (Close.TOKEN_EXPIRED, "this token has expired"),
}


@dataclass(frozen=True, slots=True)
class _Process:
    """What all connections share."""

    operations: Operations
    auth: Authenticator
    options: TransportOptions
    gate: Gate


class WebSocketEndpoint:
    """An ASGI application for `websocket` scopes."""

    def __init__(
        self, operations: Operations, auth: Authenticator, options: TransportOptions, gate: Gate
    ) -> None:
        self._process = _Process(operations, auth, options, gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse before the handshake whatever can be refused there; a refusal names its reason."""
        if (await receive())["type"] != "websocket.connect":
            return None
        headers, options, gate = headers_of(scope), self._process.options, self._process.gate
        if gate.draining:
            return await _refuse(scope, send, 503, "The server is restarting: try another one or come back.")
        if not credentials.origin_allowed(headers, options.allowed_origins):
            return await _refuse(
                scope, send, 403, "This origin is not allowed: see KICI_GQL_ALLOWED_ORIGINS."
            )
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            return await _refuse(scope, send, 400, f"The only subprotocol spoken here is {SUBPROTOCOL}.")
        try:
            leave = gate.enter()
        except LimitExceeded as error:
            return await _refuse(scope, send, 503, error.message)
        secret = credentials.from_headers(headers, options.session_cookie).secret
        del headers
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
            await _Connection(self._process, secret, scope, receive, send).run()
        except OSError:
            pass  # what ASGI raises on a write to somebody who is gone
        finally:
            leave()


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close", "code": 1008, "reason": message})
    body = orjson.dumps({"errors": [faults.problem(message, faults.BAD_REQUEST)]})
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
    return None


class _Connection:
    def __init__(
        self, process: _Process, secret: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """`secret` came with the handshake; one in `connection_init` goes before it."""
        self._process = process
        self._secret = secret
        self.abort = abort_of(scope)
        self._receive = receive
        self._asgi_send = send
        self._loop = asyncio.get_running_loop()
        connection = connection_of(scope)
        self._outbox = Outbox(connection, self._loop) if connection is not None else None
        self._session = Session(process.options, self._loop.time())
        self._viewer: Viewer | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._mutations: set[asyncio.Task[None]] = set()
        self._queries: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Timeout | None = None
        self._farewell: session.Shut | None = None
        self._at_end: list[Callable[[], None]] = []
        self._present: dict[Hashable, tuple[Presence, Callable[[str | None], None]]] = {}
        self._left_because = LEFT
        self._gone = Flag()

    async def _send(self, message: Message) -> None:
        if self._outbox is not None:
            self._outbox.flush()  # what was written before goes before
        await self._asgi_send(message)

    async def run(self) -> None:
        self._process.gate.opened(self)
        try:
            await self._converse()
        finally:
            self._process.gate.closed(self)
            for undo in self._at_end:
                undo()
            self._cancel(but=self._mutations)
            for _, leave in self._present.values():
                leave(self._left_because)
            for task in self._tasks.values():
                self._process.gate.outlives(task)
            self._tasks.clear()
            self._gone.set()

    async def drain(self) -> None:
        """End the streams, let queries and mutations that are under way answer, say goodbye."""
        self._cancel(but=self._mutations | self._queries)
        if answering := [task for task in self._tasks.values() if not task.done()]:
            await asyncio.wait(answering)
        self._end(Close.RESTARTING, _RESUME)
        await self._gone.wait()

    async def _converse(self) -> None:
        while not self._gone.is_set():
            message = await self._heard()
            now = self._loop.time()
            if self._farewell is not None:
                effects: list[Effect] = [self._farewell]
            elif message is None:
                effects = self._session.tick(now)
            elif message["type"] == "websocket.receive":
                text = message.get("text")
                effects = self._session.receive(message.get("bytes", b"") if text is None else text, now)
            else:
                return
            for effect in effects:
                await self._perform(effect)

    async def _heard(self) -> Message | None:
        """The next message, or None when it is time to tick or to say goodbye."""
        if self._farewell is not None:
            return None
        try:
            async with asyncio.timeout_at(self._session.deadline) as self._alarm:
                return await self._receive()
        except TimeoutError:
            return None
        finally:
            self._alarm = None

    def _end(self, code: Close, reason: str) -> None:
        """Stop the streams now and close as soon as the reader comes to it."""
        if self._farewell is not None:
            return
        self._farewell = session.Shut(code, reason)
        self._cancel(but=self._mutations)
        if self._alarm is not None and not self._alarm.expired():
            self._alarm.reschedule(self._loop.time())

    def _token_ended(self, reason: str) -> None:
        self._left_because = LEFT_BY[reason]
        self._end(*_ENDED[reason])
        # A peer that does not read can't be told; its buffers may hold what its token no longer may see.
        self._at_end.append(self._loop.call_later(self._process.options.abort_seconds, self.abort).cancel)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case session.Send(text):
                await self._send({"type": "websocket.send", "text": text})
            case session.Shut(code, reason):
                await self._shut(code, reason)
            case session.Authenticate(payload):
                for outcome in await self._authenticate(credentials.from_init(payload)):
                    await self._perform(outcome)
            case session.Start(id_, request):
                self._tasks[id_] = asyncio.create_task(self._operate(id_, request))
            case session.Stop(id_):
                self._stop(id_)

    async def _shut(self, code: Close, reason: str) -> None:
        self._gone.set()
        self._cancel(but=self._mutations)
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def _authenticate(self, secret: str | None) -> list[Effect]:
        if secret is None:
            secret = self._secret
        self._secret = None
        try:
            async with asyncio.timeout(self._process.options.authenticate_seconds):
                viewer = await self._process.auth.authenticate(secret)
        except TimeoutError:
            return self._session.rejected(Close.INIT_TIMEOUT, "Authentication took too long")
        except (Unauthenticated, Forbidden) as error:
            return self._session.rejected(Close.FORBIDDEN, f"Forbidden: {error.message}")
        except KiciError as error:
            return self._session.rejected(Close.TRY_AGAIN_LATER, error.message)
        except Exception:
            logger.exception("authentication failed unexpectedly")
            return self._session.rejected(Close.INTERNAL, "Internal error")
        try:
            self._at_end.append(self._process.gate.admit(viewer))
        except LimitExceeded as error:
            return self._session.rejected(Close.TOO_MANY_CONNECTIONS, error.message)
        self._viewer = viewer
        self._at_end.append(self._process.auth.on_end(viewer, self._token_ended))
        return self._session.accepted(self._loop.time())

    def _stop(self, id_: str) -> None:
        task = self._tasks.pop(id_, None)
        if task is None:
            return
        if task in self._mutations:
            self._process.gate.outlives(task)  # it may have written already; only its answer is lost
        else:
            task.cancel()

    def _cancel(self, *, but: Collection[asyncio.Task[None]]) -> None:
        for task in self._tasks.values():
            if task not in but:
                task.cancel()

    async def _operate(self, id_: str, request: GraphQLRequest) -> None:
        """One operation from its start to its `complete` or `error`."""
        try:
            errors = await self._outcome(id_, request)
            await self._say(
                id_, session.error_message(id_, errors) if errors else session.complete_message(id_)
            )
        except OSError:
            pass  # the peer is gone, and the reader of this socket knows it too
        finally:
            task = asyncio.current_task()
            self._mutations.discard(task)
            self._queries.discard(task)
            if self._tasks.get(id_) is task:
                del self._tasks[id_]
                self._session.finished(id_)

    async def _outcome(self, id_: str, request: GraphQLRequest) -> list[FormattedError]:
        try:
            prepared = self._process.operations.prepare(request)
            if prepared.kind is OperationType.SUBSCRIPTION:
                await self._stream(id_, prepared)
            else:
                await self._answer(id_, prepared)
        except (RequestRefused, StreamBroken) as refused:
            return refused.errors
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - goes out typed and masked
            return [faults.from_exception(error, faults.new_request_id())]
        return []

    async def _answer(self, id_: str, prepared: Prepared) -> None:
        task = asyncio.current_task()
        assert task is not None, "an operation is a task"
        (self._mutations if prepared.kind is OperationType.MUTATION else self._queries).add(task)
        result = await self._process.operations.run(prepared, self._known_viewer())
        await self._say(id_, session.next_message(id_, result.body))

    async def _stream(self, id_: str, prepared: Prepared) -> None:
        viewer = self._known_viewer()
        give_back = self._process.gate.subscribe(viewer)
        try:
            subscription = await self._process.operations.subscribe(prepared, viewer)
            if subscription.presence is not None:
                await self._be_present(subscription.presence)
            sink = FrameSink(self._outbox, id_) if self._outbox is not None else None
            async with aclosing(subscription.pages(sink)) as pages:
                async for page in pages:
                    if sink is None:
                        await self._say(id_, session.next_message(id_, page.payload))
                    elif self._listens(id_):
                        await sink.send(page)
        finally:
            give_back()

    async def _be_present(self, presence: Presence) -> None:
        """Whoever follows this is there for as long as the socket, not only for as long as it follows.

        A client that completes its stream has said so itself, and is well.
        """
        known = self._present.get(presence.subject)
        if known is None or known[0] != presence:
            self._present[presence.subject] = presence, presence.begin()
            if known is not None:
                known[1](None)
        await presence.tell()

    async def _say(self, id_: str, text: str) -> None:
        if self._listens(id_):
            await self._send({"type": "websocket.send", "text": text})

    def _listens(self, id_: str) -> bool:
        """Whoever completed an operation, or used its id anew, hears nothing more of the old one."""
        return self._tasks.get(id_) is asyncio.current_task() and not self._gone.is_set()

    def _known_viewer(self) -> Viewer:
        assert self._viewer is not None, "operations start after connection_ack"
        return self._viewer
