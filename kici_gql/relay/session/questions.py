"""Requests that wait for an answer: one on its way at a time, the others in a short line behind it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kici_gql.relay.messages.answers import (
    Outcome,
    before_asking,
    disconnected,
    judge,
    timed_out,
    unsupported,
)
from kici_gql.relay.messages.introduction import Capabilities
from kici_gql.relay.messages.notices import Answer, Nack
from kici_gql.relay.messages.outbound import encode
from kici_gql.relay.messages.requests import Request, spelling

MAX_WAITING = 64


@dataclass(slots=True)
class Question:
    """A request and who asked it. `key` is the asker's own, `request_id` goes over the wire."""

    key: str
    request: Request
    request_id: str
    type: str = ""
    ends_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    question: Question
    outcome: Outcome


class Questions:
    """`new_id` makes request ids: UUIDs, or the orchestrator's access log loses the row.

    What people ask overtakes what the server asks by itself. A late, doubled or foreign answer finds no question
    under its id and changes nothing.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._asked: Question | None = None
        self._waiting: deque[Question] = deque()
        self.unexpected = 0

    @property
    def idle(self) -> bool:
        return self._asked is None and not self._waiting

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING

    @property
    def deadline(self) -> float | None:
        return None if self._asked is None else self._asked.ends_at

    def put(self, key: str, request: Request, *, first: bool = False, request_id: str | None = None) -> None:
        """Line up. The caller looks at `full` before. The same `request_id` again repeats a request (0.9 knows it)."""
        question = Question(key, request, request_id or self._new_id())
        if first:
            self._waiting.appendleft(question)
        else:
            self._waiting.append(question)

    def next(
        self, capabilities: Capabilities, version: str | None, now: float
    ) -> tuple[list[str], list[Settled]]:
        """Frames to send now, and what settled without being asked."""
        settled = []
        while self._asked is None and self._waiting:
            question = self._waiting.popleft()
            refused = before_asking(question.request, capabilities, version)
            if refused is not None:
                settled.append(Settled(question, refused))
                continue
            question.type = spelling(question.request.kind.type, capabilities)
            question.ends_at = now + question.request.kind.seconds
            self._asked = question
            return [encode(question.request.frame(question.request_id, capabilities))], settled
        return [], settled

    def answered(self, answer: Answer, version: str | None) -> Settled | None:
        question = self._asked
        if question is None or answer.request_id != question.request_id:
            self.unexpected += 1
            return None
        self._asked = None
        return Settled(question, judge(question.request.kind, answer.body, version))

    def refused(self, nack: Nack, version: str | None) -> Settled | None:
        """0.9 answers a type that it does not know with a nack, which may or may not name the request."""
        question = self._asked
        if question is None or not self._means(nack, question):
            return None
        self._asked = None
        return Settled(question, unsupported(question.type, version))

    @staticmethod
    def _means(nack: Nack, question: Question) -> bool:
        if nack.reference is not None:
            return nack.reference == question.request_id
        return nack.received_type == question.type

    def expire(self, now: float) -> Settled | None:
        question = self._asked
        if question is None or now < question.ends_at:
            return None
        self._asked = None
        return Settled(question, timed_out(question.request))

    def postpone(self, seconds: float) -> None:
        """We slept: whoever was asked has had no chance to be heard meanwhile."""
        if self._asked is not None:
            self._asked.ends_at += seconds

    def give_up(self) -> list[Settled]:
        """The link is gone: so is every question."""
        asked = [] if self._asked is None else [Settled(self._asked, disconnected(self._asked.request, True))]
        waiting = [Settled(each, disconnected(each.request, False)) for each in self._waiting]
        self._asked = None
        self._waiting.clear()
        return [*asked, *waiting]
