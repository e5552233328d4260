"""One socket: reads frames, lets the session think, does what it says."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from kici_gql.actions import commands, questions
from kici_gql.actions.perform import Call
from kici_gql.actions.surfaces import Surfaces
from kici_gql.auth import Authenticator, EndReason, Viewer
from kici_gql.errors import Forbidden, KiciError, Unauthenticated, Unavailable
from kici_gql.feed import Feed
from kici_gql.relay import orders
from kici_gql.relay.asker import LinkAsker
from kici_gql.relay.dispatch import Dispatch
from kici_gql.relay.messages.answers import Outcome
from kici_gql.relay.messages.codes import MAX_FRAME_BYTES, Close
from kici_gql.relay.messages.requests import Request
from kici_gql.relay.outbox import Outbox
from kici_gql.relay.recovery import Recovery, Tries
from kici_gql.relay.scribe import Scribe
from kici_gql.relay.session import Session, effects
from kici_gql.relay.session.effects import Effect
from kici_gql.settings import Settings
from kici_gql.store import Store
from kici_gql.tables import Command, CommandState, Question, TokenScope

logger = logging.getLogger("kici_gql.relay")

HOLD_SECONDS = 3.0
"""How long reports may wait for the id of a run that is being started; it takes 0.3 s at most where we looked."""
FLUSH_SECONDS = 60.0
"""How long what came may take to be written after the link has ended; a slow database must not lose it."""
SUPERSEDED_SECONDS = 10.0
AUTHENTICATE_SECONDS = 5.0
ABORT_SECONDS = 1.0
GOODBYE = 1000
_ENDED: dict[EndReason, str] = {"revoked": "this token was revoked", "expired": "this token has expired"}


@dataclass(slots=True)
class Process:
    """What all connections of one process share.

    `admit` counts a connection of a token and answers how to leave; it raises LimitExceeded.
    """

    store: Store
    feed: Feed
    settings: Settings
    auth: Authenticator
    dispatch: Dispatch
    surfaces: Surfaces
    admit: Callable[[Viewer], Callable[[], None]]
    process_id: str
    links: set["Connection"] = field(default_factory=set)
    tries: Tries = field(default_factory=Tries)


class Connection:
    """`run` is its life. `scribe` is there from the moment the token was accepted."""

    def __init__(self, process: Process, scope: Scope, receive: Receive, send: Send) -> None:
        self._process = process
        self._receive = receive
        self._send = send
        self._peer = (scope.get("client") or ("?",))[0]
        self._transport: dict[str, Any] = scope.get("extensions", {}).get("kici.transport", {})
        self._loop = asyncio.get_running_loop()
        self._session = Session(self._loop.time(), str(uuid.uuid4()))
        session = self._session
        self._asker = LinkAsker(self.ask, lambda: session.capabilities, lambda: session.routing_keys)
        self._turn = asyncio.Lock()
        self._alarm: asyncio.Timeout | None = None
        self._outbox = Outbox()
        self._frame_size = 0
        self._questions: dict[str, asyncio.Future[Outcome]] = {}
        self._orders: dict[str, Command] = {}
        self._inquiries: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery: Recovery | None = None
        self._ended = False
        self._farewell: tuple[Close, str] | None = None
        self._at_end: list[Callable[[], None]] = []
        self.over = asyncio.Event()
        self.closed_with: int | None = None
        self.scribe: Scribe | None = None

    async def run(self) -> None:
        """Until either side closes; everything that came is written then."""
        writer = asyncio.create_task(self._write_forever(), name="relay-writer")
        try:
            await self._converse()
        finally:
            self._ended = True
            for undo in self._at_end:
                undo()
            await self._stop_orders()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._outbox.close()
            await asyncio.wait([writer], timeout=FLUSH_SECONDS)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def end(self, code: Close, reason: str) -> None:
        """Close as soon as the reader comes to it."""
        if self._farewell is None:
            self._farewell = (code, reason)
            self._wake()

    async def ask(self, request: Request) -> Outcome:
        """The outcome of a request, one of several kinds; it never takes longer than the request's own time."""
        key = str(uuid.uuid4())
        future = self._questions[key] = self._loop.create_future()
        try:
            async with self._turn:
                await self._perform(self._session.ask(key, request, self._loop.time()))
            self._wake()
            outcome: Outcome = await future
            return outcome
        finally:
            self._questions.pop(key, None)

    # ── Reading ──

    async def _converse(self) -> None:
        while not self._ended:
            message = await self._heard()
            async with self._turn:
                if message is not None and message["type"] != "websocket.receive":
                    self.closed_with = message.get("code")
                    await self._perform(self._session.lost())
                    return
                await self._perform(self._think(message))

    def _think(self, message: Message | None) -> list[Effect]:
        if self._farewell is not None:
            return self._session.close(*self._farewell)
        if self.scribe is not None and self._process.feed.watched(self.scribe.call.viewer.org_id):
            self._session.watched(self._loop.time())
        if message is None:
            return self._session.tick(self._loop.time())
        text = message.get("text")
        data = message.get("bytes", b"") if text is None else text
        self._frame_size = len(data)
        return self._session.receive(data, self._loop.time())

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

    def _wake(self) -> None:
        """The deadline moved while the reader waits for the old one."""
        if self._alarm is not None and not self._alarm.expired():
            at = self._loop.time() if self._farewell is not None else self._session.deadline
            self._alarm.reschedule(at)

    # ── Doing ──

    async def _perform(self, wanted: Sequence[Effect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Send(text):
                    await self._send({"type": "websocket.send", "text": text})
                case effects.Shut(code, reason):
                    self._ended = True
                    self.closed_with = int(code)
                    await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
                case effects.Authenticate(token):
                    await self._perform(await self._authenticate(token))
                case effects.Introduce():
                    await self._perform(await self._introduce(effect))
                case effects.Settle():
                    await self._settle(effect)
                case _:
                    if isinstance(effect, effects.Tell) and self._recovery is not None:
                        self._recovery.told(effect.runs)
                    await self._outbox.put(effect, self._frame_size)

    async def _authenticate(self, token: str) -> list[Effect]:
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                viewer = await self._process.auth.authenticate(token)
        except (Unauthenticated, TimeoutError) as error:
            return self._refuse(getattr(error, "message", "authentication took too long"))
        if viewer.scope is not TokenScope.ORCHESTRATOR:
            return self._refuse(f"a token of scope {viewer.scope} can't connect an orchestrator")
        try:
            self._at_end.append(self._process.admit(viewer))
        except KiciError as error:
            return self._refuse(error.message, Close.PLAN_LIMIT)
        self._at_end.append(self._process.auth.on_end(viewer, self._token_ended))
        if "accept_up_to" in self._transport:
            self._transport["accept_up_to"](MAX_FRAME_BYTES)
        call = Call(self._process.store, self._process.settings, viewer, self._session.link_id)
        self.scribe = Scribe(call)
        return self._session.accepted(self._loop.time())

    def _refuse(self, reason: str, code: Close = Close.UNAUTHORIZED) -> list[Effect]:
        logger.warning("an orchestrator was refused at %s: %s", self._peer, reason)
        return self._session.rejected(reason, code)

    async def _introduce(self, effect: effects.Introduce) -> list[Effect]:
        scribe = self._known_scribe()
        try:
            await scribe.introduce(effect, self._process.process_id)
        except KiciError as error:
            logger.warning("an orchestrator was refused at %s: %s", self._peer, error.message)
            return self._session.close(_code_of(error), error.message)
        await self._supersede(scribe.orchestrator_id)
        logger.info("%s: orchestrator %s connected", scribe.cluster_name, scribe.orchestrator_id)
        self._recovery = Recovery(scribe, self.ask, self._outbox.put, self._start, self._process.tries)
        await self._recovery.begin()
        self._start(self._take_orders())
        surfaces, asker = self._process.surfaces, self._asker
        surfaces.attach(scribe.orchestrator_id, asker)
        self._at_end.append(lambda: surfaces.detach(scribe.orchestrator_id, asker))
        await self._outbox.put(effects.Amend(effect.routing_keys, effect.capabilities), 0)
        return self._session.introduced(self._loop.time())

    async def _supersede(self, orchestrator_id: str) -> None:
        """An older link of the same orchestrator is dead, known or not; its last lines come before ours."""
        older = [
            link
            for link in self._process.links
            if link is not self and link.scribe is not None and link.scribe.orchestrator_id == orchestrator_id
        ]
        for link in older:
            link.end(Close.GOING_AWAY, "the orchestrator has connected anew")
        if older:
            waiting = [asyncio.create_task(link.over.wait()) for link in older]
            await asyncio.wait(waiting, timeout=SUPERSEDED_SECONDS)
            for task in waiting:
                task.cancel()

    def _token_ended(self, reason: EndReason) -> None:
        self.end(Close.UNAUTHORIZED, _ENDED[reason])
        # A peer that does not read can't be told.
        abort = self._transport.get("abort", lambda: None)
        self._at_end.append(self._loop.call_later(ABORT_SECONDS, abort).cancel)

    def _known_scribe(self) -> Scribe:
        assert self.scribe is not None, "everything but authentication comes after it"
        return self.scribe

    async def _write_forever(self) -> None:
        while page := await self._outbox.take():
            try:
                await self._known_scribe().write(page)
            except Exception:
                logger.exception("a page of %d effects was not written", len(page))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="relay-order")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── Orders ──

    async def _take_orders(self) -> None:
        scribe = self._known_scribe()
        org_id = scribe.call.viewer.org_id
        await self._process.dispatch.join(org_id, scribe.orchestrator_id, self)

    async def _stop_orders(self) -> None:
        if self.scribe is not None and self.scribe.orchestrator_id:
            org_id = self.scribe.call.viewer.org_id
            await self._process.dispatch.leave(org_id, self.scribe.orchestrator_id, self)

    def order(self, command: Command) -> None:
        """A user wants something. A command may come twice; it is asked for once."""
        if command.id not in self._orders and orders.may_ask(command, self._session.capabilities):
            self._orders[command.id] = command
            self._start(self._carry_out(command))

    def inquire(self, question: Question) -> None:
        """A user of another process wants to know something. A question may come twice; it is asked once."""
        if question.id not in self._inquiries:
            self._inquiries.add(question.id)
            self._start(self._answer(question))

    async def _answer(self, question: Question) -> None:
        store = self._known_scribe().call.store
        try:
            await questions.answer(store, question, await self._asker.ask(question.surface))
        except Unavailable as refused:
            await questions.answer(store, question, refused)
        finally:
            self._inquiries.discard(question.id)

    async def _carry_out(self, command: Command) -> None:
        scribe = self._known_scribe()
        try:
            first, *others = orders.requests_for(command, self._session.routing_keys, scribe.hostname)
        except (orders.ByHand, KiciError) as refused:
            await self._complete(command, orders.Verdict(False, str(refused), {}))
            return
        if command.state is CommandState.PENDING:
            await commands.deliver(scribe.call.store, scribe.call.viewer.org_id, [command.id])
        async with self._turn:
            if command.kind in orders.STARTING:
                self._outbox.hold(HOLD_SECONDS)
            now, request_id = self._loop.time(), orders.request_id(command)
            await self._perform(self._session.ask(command.id, first, now, request_id))
            for number, each in enumerate(others):
                await self._perform(self._session.ask(f"{command.id}/{number}", each, now))
        self._wake()

    async def _settle(self, effect: effects.Settle) -> None:
        future = self._questions.get(effect.key)
        if future is not None and not future.done():
            future.set_result(effect.outcome)
        command = self._orders.get(effect.key)
        if command is not None:
            await self._complete(command, orders.judge(command.kind, effect.outcome))

    async def _complete(self, command: Command, verdict: orders.Verdict) -> None:
        scribe = self._known_scribe()
        try:
            await orders.complete(scribe.call, scribe.connection_id, command, verdict)
        except KiciError as error:
            logger.warning("the outcome of command %s was not taken: %s", command.id, error.message)
        finally:
            self._orders.pop(command.id, None)
            if command.kind in orders.STARTING:
                self._outbox.release()


def _code_of(error: KiciError) -> Close:
    if isinstance(error, Forbidden):
        return Close.UNAUTHORIZED
    return Close.INTERNAL_ERROR if error.retryable else Close.INVALID_MESSAGE
