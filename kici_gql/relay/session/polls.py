"""When to ask an orchestrator what it does not tell by itself: soon after something changed, else seldom.

Each poll has a shortest distance, a distance while there is activity, and one for quiet times. A poll that is not
answered, or refused, is asked less and less often.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kici_gql.relay.messages.introduction import org_of
from kici_gql.relay.messages.requests import Request, request

ACTIVE_SECONDS = 60.0
"""How long after the last activity an orchestrator counts as active."""
_SLOWEST = 8  # times the quiet distance
_SPREAD = 0.25
"""By how much of itself a distance varies: links that were made together must not ask together ever after."""


class Poll(StrEnum):
    DIAGNOSTICS = "diagnostics"
    REGISTRY = "registry"
    BACKENDS = "backends"
    DEAD_LETTERS = "dead_letters"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two questions."""

    soonest: float
    active: float
    quiet: float


PACES: Mapping[Poll, Pace] = {
    Poll.DIAGNOSTICS: Pace(soonest=2.0, active=10.0, quiet=30.0),
    Poll.REGISTRY: Pace(soonest=3.0, active=60.0, quiet=120.0),
    Poll.BACKENDS: Pace(soonest=3.0, active=60.0, quiet=120.0),
    Poll.DEAD_LETTERS: Pace(soonest=3.0, active=60.0, quiet=120.0),
}


def question(poll: Poll, routing_keys: tuple[str, ...]) -> Request:
    """What a poll asks of an orchestrator that has these routing keys."""
    match poll:
        case Poll.DIAGNOSTICS:
            return request("dashboard.diagnostics", includeAgents=True)
        case Poll.REGISTRY:
            return request("dashboard.registrations.list")
        case Poll.BACKENDS:
            return request("dashboard.backends.list")
        case Poll.DEAD_LETTERS:
            return request("dashboard.event-dlq.count", orgId=org_of(routing_keys))


@dataclass(slots=True)
class _State:
    due: float
    asked_at: float = float("-inf")
    failures: int = 0


@dataclass(slots=True)
class Polls:
    """The polls of one connection. Starts when the orchestrator has been introduced.

    `chance` answers numbers from 0 to 1; 0.5 is the distance as it stands in the table.
    """

    chance: Callable[[], float]
    states: dict[Poll, _State] = field(default_factory=dict)
    active_until: float = float("-inf")

    def start(self, now: float) -> None:
        self.states = {poll: _State(now) for poll in Poll}

    def soon(self, poll: Poll, now: float, seconds: float = 0.0) -> None:
        """Something changed: ask within its shortest distance, or `seconds` from now if that is later."""
        state = self.states.get(poll)
        if state is not None and not state.failures:
            state.due = min(state.due, max(now + seconds, state.asked_at + PACES[poll].soonest))

    def activity(self, now: float) -> None:
        """Jobs run, or somebody watches."""
        self.active_until = now + ACTIVE_SECONDS

    def due(self, now: float) -> Poll | None:
        """The poll that is due longest, if one is."""
        ready = [(state.due, poll) for poll, state in self.states.items() if state.due <= now]
        return min(ready)[1] if ready else None

    @property
    def deadline(self) -> float | None:
        return min((state.due for state in self.states.values()), default=None)

    def asked(self, poll: Poll, now: float) -> None:
        pace = PACES[poll]
        state = self.states[poll]
        distance = pace.active if now < self.active_until else pace.quiet
        state.asked_at = now
        varied = distance * (1 + _SPREAD * (2 * self.chance() - 1))
        state.due = now + varied * min(2**state.failures, _SLOWEST)

    def waits(self, poll: Poll, now: float) -> bool:
        """Whether it was asked so lately that it may not be asked again at once."""
        return now < self.states[poll].asked_at + PACES[poll].soonest

    def fails(self, poll: Poll) -> bool:
        """Whether it was not answered the last time, or is not asked at all."""
        state = self.states.get(poll)
        return state is None or state.failures > 0

    def drop(self, poll: Poll) -> None:
        """The orchestrator does not know the question: ask it no more."""
        self.states.pop(poll, None)

    def answered(self, poll: Poll, *, well: bool) -> None:
        state = self.states.get(poll)
        if state is not None:
            state.failures = 0 if well else min(state.failures + 1, 10)
