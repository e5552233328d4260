"""What is known of one orchestrator from its answers, and which of its answers are news."""

import hashlib
from datetime import datetime

from kici_gql.relay.messages import diagnostics, registrations, values
from kici_gql.relay.messages.diagnostics import Diagnostics, Figures
from kici_gql.relay.messages.values import Body
from kici_gql.relay.session.effects import Backends, Beat, DeadLetters, Effect, Refit, Registrations
from kici_gql.relay.session.polls import Poll


class Knowledge:
    """Only digests of the large answers are kept: enough to see a change, and small whatever is sent."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._marks: dict[str, object] = {}
        self._digests: dict[str, bytes] = {}
        self._beat: tuple[datetime | None] | None = None

    def introduced(self, known: Diagnostics | None) -> None:
        """These were entered with the orchestrator, all but the figures: a beat of everybody is owed."""
        if known is not None:
            self._is_news("inventory", known.inventory)
            self._figures = known.figures
            self._marks = diagnostics.marks(known.figures)

    def first_beat(self) -> list[Effect]:
        return [Beat(None, self._figures, self._figures.agents)] if self._marks or self._digests else []

    def heartbeat(self, sent_at: datetime | None) -> None:
        """A beat is owed: with fresh figures if they can be had, with the last ones otherwise."""
        self._beat = (sent_at,)

    def beat_without_news(self) -> list[Effect]:
        """The beat that is owed, when there are no fresh figures. No agent was heard of."""
        if self._beat is None:
            return []
        (sent_at,), self._beat = self._beat, None
        return [Beat(sent_at, self._figures, ())]

    def beat_at_once(self) -> list[Effect]:
        """The beat that is owed, with the figures of a moment ago; fresh ones make another one of it."""
        return [] if self._beat is None else [Beat(self._beat[0], self._figures, ())]

    def told(self, poll: Poll, body: Body) -> list[Effect]:
        """The answer to a poll."""
        match poll:
            case Poll.DIAGNOSTICS:
                return self._diagnostics(body)
            case Poll.REGISTRY:
                return self._registry(body)
            case Poll.BACKENDS:
                return self._backends(body)
            case Poll.DEAD_LETTERS:
                # Told each time: siblings count the same queue, so what this link heard last is not what is known of it.
                return [DeadLetters(values.number(body.get("total")) or 0)]

    def _diagnostics(self, body: Body) -> list[Effect]:
        """A beat for each heartbeat, and one as soon as the number of jobs changes anywhere."""
        told = diagnostics.read_diagnostics(body)
        effects: list[Effect] = []
        if self._is_news("inventory", told.inventory):
            effects.append(Refit(told.inventory))
        before, self._figures = self._figures, told.figures
        heard = diagnostics.beats(self._marks, told.figures)
        jobs_changed = (before.running_jobs, before.queued_jobs) != (
            told.figures.running_jobs,
            told.figures.queued_jobs,
        )
        if self._beat is not None or jobs_changed or heard:
            sent_at = self._beat[0] if self._beat is not None else None
            effects.append(Beat(sent_at, told.figures, heard))
            self._beat = None
            self._marks = diagnostics.marks(told.figures)
        return effects

    def _registry(self, body: Body) -> list[Effect]:
        told = registrations.read_registry(body)
        return [Registrations(told)] if self._is_news("registry", told) else []

    def _backends(self, body: Body) -> list[Effect]:
        told = registrations.read_backends(body)
        return [Backends(told)] if self._is_news("backends", told) else []

    def _is_news(self, name: str, value: object) -> bool:
        digest = hashlib.sha256(repr(value).encode()).digest()
        if self._digests.get(name) == digest:
            return False
        self._digests[name] = digest
        return True
