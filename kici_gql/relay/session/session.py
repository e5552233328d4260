"""The Platform's side of the protocol as a state machine: frames and the time go in, effects come out. No I/O.

    NEW ── auth.request ──▶ AUTHENTICATING ── accepted() ──▶ AUTHENTICATED ── source.register ──▶ INTRODUCING
                                                             ask diagnostics, Introduce, introduced() ──▶ READY

After `auth.success` frames are taken in any order. What an orchestrator kept during an outage it sends before our
ack, even before it is registered here, so telemetry is held until READY. Every ack costs a full replay, so each
registration is acknowledged once. Time is in seconds of any monotonic clock.
"""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kici_gql.relay.messages import outbound
from kici_gql.relay.messages.answers import BUSY, Answered, Refusal, Refused, disconnected
from kici_gql.relay.messages.codes import Close, reason_of
from kici_gql.relay.messages.diagnostics import read_diagnostics
from kici_gql.relay.messages.inbound import Inbound, Misplaced, Unknown, parse
from kici_gql.relay.messages.introduction import (
    AuthRequest,
    Capabilities,
    CapabilitiesUpdate,
    Deregister,
    Membership,
    Register,
)
from kici_gql.relay.messages.notices import (
    Answer,
    Delivery,
    Heartbeat,
    JobContext,
    Metrics,
    Nack,
    RegistrationToggled,
)
from kici_gql.relay.messages.requests import Request
from kici_gql.relay.messages.telemetry import REPLAYED_AT, Lines, Replay, Run
from kici_gql.relay.session.effects import Amend, Authenticate, Effect, Introduce, Refit, Send, Settle, Shut
from kici_gql.relay.session.holding import Holding
from kici_gql.relay.session.knowledge import Knowledge
from kici_gql.relay.session.polls import Poll, Polls, question
from kici_gql.relay.session.questions import Questions, Settled

AUTH_SECONDS = 10.0
REGISTER_SECONDS = 60.0
UNHEALTHY_SECONDS = 90.0
SILENT_SECONDS = 180.0
OVERSLEPT_SECONDS = 10.0
MAX_ROUTING_KEYS = 1000
MAX_MISPLACED = 1000
REGISTRY_SETTLES_SECONDS = 5.0
"""A push changes registrations a moment after it started runs."""
FLEET_SETTLES_SECONDS = 3.0
"""Where one agent has come or gone, others do too: an orchestrator that started is joined by its agents one by one."""
_TOUCHED = {".backends.": Poll.BACKENDS, ".event-dlq.": Poll.DEAD_LETTERS}
"""What a request of this kind changes; the others change registrations or runs."""


class State(Enum):
    NEW = "NEW"
    AUTHENTICATING = "AUTHENTICATING"
    AUTHENTICATED = "AUTHENTICATED"
    INTRODUCING = "INTRODUCING"
    READY = "READY"
    CLOSED = "CLOSED"


@dataclass(slots=True)
class Counts:
    """What was let pass without being understood."""

    misplaced: int = 0
    unknown: int = 0
    last_problem: str | None = None


class Session:
    """One connection. `link_id` is the connection id that the orchestrator is told and shows in its own log."""

    def __init__(
        self,
        now: float,
        link_id: str,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.link_id = link_id
        self.state = State.NEW
        self.capabilities = Capabilities()
        self.register: Register | None = None
        self.workers: tuple[str, ...] = ()
        self.metrics: Metrics | None = None
        self.counts = Counts()
        self.holding = Holding()
        self.questions = Questions(new_id)
        self._knowledge = Knowledge()
        self._polls = Polls(chance)
        self._routing_keys: dict[str, None] = {}
        self._unacknowledged: list[Register] = []
        self._handlers = self._handlers_by_type()
        self._frame_size = 0
        self._since = now
        self._heard_at = now
        self._expected_at = now + AUTH_SECONDS

    @property
    def version(self) -> str | None:
        return self.register.version if self.register is not None else None

    @property
    def routing_keys(self) -> tuple[str, ...]:
        return tuple(self._routing_keys)

    def healthy(self, now: float) -> bool:
        """False after three missed heartbeats; at six the link is closed."""
        return self.state is not State.CLOSED and now - self._heard_at < UNHEALTHY_SECONDS

    @property
    def deadline(self) -> float:
        """When `tick` has something to do, should no frame come first."""
        match self.state:
            case State.NEW | State.AUTHENTICATING:
                return self._since + AUTH_SECONDS
            case State.AUTHENTICATED:
                return self._since + REGISTER_SECONDS
        ends = [self._heard_at + SILENT_SECONDS, self.questions.deadline]
        if self.questions.idle:
            ends.append(self._polls.deadline)
        return min(end for end in ends if end is not None)

    def receive(self, data: str | bytes, now: float) -> list[Effect]:
        """A frame came."""
        if self.state is State.CLOSED:
            return []
        self._notice_sleep(now)
        self._frame_size = len(data)
        effects = self._take(parse(data), now)
        return self._after(effects, now)

    def tick(self, now: float) -> list[Effect]:
        """Nothing came until `deadline`."""
        if self.state is State.CLOSED:
            return []
        self._notice_sleep(now)
        expired = self.questions.expire(now)
        effects = self._settled(expired, now) if expired is not None else []
        if self.state is State.NEW and now >= self._since + AUTH_SECONDS:
            effects += self.close(Close.AUTH_TIMEOUT, "no auth.request came in time")
        elif self.state is State.AUTHENTICATED and now >= self._since + REGISTER_SECONDS:
            effects += self.close(Close.PROTOCOL_ERROR, "no source.register came in time")
        elif now >= self._heard_at + SILENT_SECONDS and self.state in {State.INTRODUCING, State.READY}:
            effects += self.close(Close.HEARTBEAT_TIMEOUT, f"no heartbeat for {SILENT_SECONDS:g} s")
        return self._after(effects, now)

    def accepted(self, now: float) -> list[Effect]:
        """The token is good."""
        self.state = State.AUTHENTICATED
        self._since = self._heard_at = now
        return self._after([Send(outbound.auth_success(self.link_id))], now)

    def rejected(self, reason: str, code: Close = Close.UNAUTHORIZED) -> list[Effect]:
        """The token is not good, or not good for this."""
        return [Send(outbound.auth_failure(reason)), *self.close(code, reason)]

    def introduced(self, now: float) -> list[Effect]:
        """The orchestrator is entered: acknowledge it, and let through what was held."""
        self.state = State.READY
        self._polls.start(now)
        self._polls.activity(now)
        self._polls.asked(Poll.DIAGNOSTICS, now)
        self._polls.soon(Poll.DIAGNOSTICS, now, FLEET_SETTLES_SECONDS)
        acks: list[Effect] = [self._ack(each) for each in self._unacknowledged]
        self._unacknowledged.clear()
        return self._after([*acks, *self._knowledge.first_beat(), *self.holding.release()], now)

    def ask(self, key: str, request: Request, now: float, request_id: str | None = None) -> list[Effect]:
        """Somebody wants to know, or to change, something. A `Settle` with this key follows, now or later."""
        if self.state is not State.READY:
            return [Settle(key, request, disconnected(request, sent=False))]
        if self.questions.full:
            return [Settle(key, request, BUSY)]
        self.questions.put(key, request, request_id=request_id)
        return self._after([], now)

    def watched(self, now: float) -> None:
        """Somebody looks at this orchestrator: ask as often as when it works."""
        self._polls.activity(now)

    def close(self, code: Close, reason: str) -> list[Effect]:
        """End the connection from our side."""
        return [*self.lost(), Shut(code, reason_of(reason))]

    def lost(self) -> list[Effect]:
        """The connection has ended: every question settles."""
        self.state = State.CLOSED
        settled = self.questions.give_up()
        return [
            Settle(each.question.key, each.question.request, each.outcome)
            for each in settled
            if not isinstance(each.question.key, Poll)
        ]

    def _notice_sleep(self, now: float) -> None:
        """If it was us who slept (a frozen process, a suspended machine), silence and slowness prove nothing."""
        overslept = now - self._expected_at
        if overslept > OVERSLEPT_SECONDS:
            self._since += overslept
            self._heard_at += overslept
            self.questions.postpone(overslept)

    def _after(self, effects: list[Effect], now: float) -> list[Effect]:
        """Ask what is due to be asked, as every call ends."""
        if self.state is State.READY and self.questions.idle:
            poll = self._polls.due(now)
            if poll is not None:
                self._polls.asked(poll, now)
                self.questions.put(poll, question(poll, self.routing_keys))
        if self.state in {State.INTRODUCING, State.READY}:
            frames, settled = self.questions.next(self.capabilities, self.version, now)
            effects = [*effects, *(Send(frame) for frame in frames)]
            for each in settled:
                effects += self._settled(each, now)
        if self.state is not State.CLOSED:
            self._expected_at = self.deadline
        return effects

    def _take(self, message: Inbound, now: float) -> list[Effect]:
        if self.state is State.NEW and not isinstance(message, AuthRequest):
            return self.close(Close.INVALID_MESSAGE, "the first frame has to be an auth.request")
        handler = self._handlers.get(type(message))
        return [] if handler is None else handler(message, now)

    def _handlers_by_type(self) -> Mapping[type, Callable[[Any, float], list[Effect]]]:
        """What is done with each message; the others say nothing that a session keeps."""
        return {
            AuthRequest: self._greet,
            Register: self._registered,
            Deregister: self._deregistered,
            CapabilitiesUpdate: self._capable,
            Membership: self._workers,
            Heartbeat: self._beat,
            Answer: self._answered,
            Nack: self._nacked,
            Run: self._told,
            Lines: self._told,
            Replay: self._told,
            JobContext: self._told,
            Delivery: self._registry_touched,
            RegistrationToggled: self._registry_touched,
            Metrics: self._measured,
            Misplaced: self._misplaced,
            Unknown: self._unknown,
        }

    def _greet(self, message: AuthRequest, _now: float) -> list[Effect]:
        if self.state is not State.NEW:
            return self._misplaced(Misplaced("a second auth.request"), _now)
        self.state = State.AUTHENTICATING
        self.capabilities = message.capabilities
        return [Authenticate(message.token)]

    def _misplaced(self, message: Misplaced, _now: float) -> list[Effect]:
        """One odd frame is dropped; the link of a healthy orchestrator is worth more than our opinion of it."""
        self.counts.misplaced += 1
        self.counts.last_problem = message.why
        if self.counts.misplaced > MAX_MISPLACED:
            return self.close(
                Close.INVALID_MESSAGE, f"too many frames that are no messages, such as: {message.why}"
            )
        return []

    def _unknown(self, _message: Unknown, _now: float) -> list[Effect]:
        """A newer orchestrator speaks of something new. No nack: it might be answered with one."""
        self.counts.unknown += 1
        return []

    def _workers(self, message: Membership, _now: float) -> list[Effect]:
        self.workers = message.workers
        return []

    def _registry_touched(self, _message: Delivery | RegistrationToggled, now: float) -> list[Effect]:
        self._polls.soon(Poll.REGISTRY, now, REGISTRY_SETTLES_SECONDS)
        return []

    def _answered(self, message: Answer, now: float) -> list[Effect]:
        return self._settled(self.questions.answered(message, self.version), now)

    def _nacked(self, message: Nack, now: float) -> list[Effect]:
        return self._settled(self.questions.refused(message, self.version), now)

    def _registered(self, message: Register, now: float) -> list[Effect]:
        """Complete on connect, later only what was added or changed: never replace the list on a later one."""
        for source in message.sources:
            if len(self._routing_keys) < MAX_ROUTING_KEYS:
                self._routing_keys[source.routing_key] = None
        if self.state is State.READY:
            return [Amend(self.routing_keys, self.capabilities), self._ack(message)]
        self._unacknowledged.append(message)
        if self.state is State.AUTHENTICATED:
            self.state = State.INTRODUCING
            self.register = message
            self._heard_at = now
            self.questions.put(Poll.DIAGNOSTICS, question(Poll.DIAGNOSTICS, self.routing_keys))
        return []

    def _deregistered(self, message: Deregister, _now: float) -> list[Effect]:
        removed = [key for key in message.routing_keys if key in self._routing_keys]
        for key in removed:
            del self._routing_keys[key]
        ack = Send(outbound.deregister_ack(message.message_id, message.routing_keys))
        amend: list[Effect] = [Amend(self.routing_keys, self.capabilities)]
        return [*(amend if removed and self.state is State.READY else []), ack]

    @staticmethod
    def _ack(message: Register) -> Send:
        return Send(
            outbound.register_ack(message.message_id, (source.routing_key for source in message.sources))
        )

    def _capable(self, message: CapabilitiesUpdate, _now: float) -> list[Effect]:
        capabilities = message.capabilities
        if capabilities == self.capabilities:
            return []
        self.capabilities = capabilities
        return [Amend(self.routing_keys, capabilities)] if self.state is State.READY else []

    def _beat(self, message: Heartbeat, now: float) -> list[Effect]:
        self._heard_at = now
        if self.state is not State.READY:
            return []
        self._knowledge.heartbeat(message.sent_at)
        if self._polls.fails(Poll.DIAGNOSTICS):
            return self._knowledge.beat_without_news()
        waits = self._polls.waits(Poll.DIAGNOSTICS, now)
        self._polls.soon(Poll.DIAGNOSTICS, now)
        return self._knowledge.beat_at_once() if waits else []

    def _measured(self, message: Metrics, _now: float) -> list[Effect]:
        """Figures that were kept during an outage come late and are old."""
        known = self.metrics
        if known is None or known.at is None or message.at is None or message.at >= known.at:
            self.metrics = message
        return []

    def _told(self, message: Run | Lines | Replay | JobContext, now: float) -> list[Effect]:
        if isinstance(message, Lines):
            self._polls.activity(now)
        if isinstance(message, Run) and message.at != REPLAYED_AT:
            self._polls.activity(now)
            self._polls.soon(Poll.DIAGNOSTICS, now)
            if message.status is not None:
                self._polls.soon(Poll.REGISTRY, now, REGISTRY_SETTLES_SECONDS)
        if self.state is State.READY:
            return list(self.holding.tell(message))
        self.holding.hold(message, self._frame_size)
        return []

    def _settled(self, settled: Settled | None, now: float) -> list[Effect]:
        if settled is None:
            return []
        key, request, outcome = settled.question.key, settled.question.request, settled.outcome
        if not isinstance(key, Poll):
            self._ask_after(request, now)
            return [Settle(key, request, outcome)]
        well = isinstance(outcome, Answered)
        self._polls.answered(key, well=well)
        body = outcome.body if isinstance(outcome, Answered) else None
        if self.state is State.INTRODUCING:
            known = read_diagnostics(body) if body is not None else None
            self._knowledge.introduced(known)
            assert self.register is not None, "introducing starts with a registration"
            return [Introduce(self.register, self.capabilities, self.routing_keys, known)]
        if isinstance(outcome, Refused) and outcome.why is Refusal.UNSUPPORTED:
            self._polls.drop(key)
        if body is None:
            return self._knowledge.beat_without_news() if key is Poll.DIAGNOSTICS else []
        effects = self._knowledge.told(key, body)
        if any(isinstance(effect, Refit) for effect in effects):
            self._polls.activity(now)
            self._polls.soon(Poll.DIAGNOSTICS, now, FLEET_SETTLES_SECONDS)
        return effects

    def _ask_after(self, request: Request, now: float) -> None:
        """What a change touched is asked again at once."""
        if not request.kind.changes:
            return
        self._polls.activity(now)
        touched = (poll for part, poll in _TOUCHED.items() if part in request.kind.type)
        self._polls.soon(next(touched, Poll.REGISTRY), now)
        self._polls.soon(Poll.DIAGNOSTICS, now)
