"""Telemetry on its way to effects: held until the orchestrator has been introduced, and never ahead of its run."""

from collections import OrderedDict, deque
from collections.abc import Iterator

from kici_gql.relay.messages.notices import JobContext
from kici_gql.relay.messages.telemetry import REPLAYED_AT, Job, Lines, Replay, Run
from kici_gql.relay.session.effects import Effect, Print, Tell

MAX_HELD = 12_000
"""Frames held at most. An orchestrator keeps up to 10 000 during an outage, and sends them all before our ack."""
MAX_HELD_BYTES = 64 * 1024 * 1024
REPLAY_PAGE = 50
MAX_SEEN = 5000

Telemetry = Run | Lines | Replay | JobContext


class Holding:
    """What comes beyond the bounds is dropped and counted: a replay tells the runs again, log lines are lost."""

    def __init__(self) -> None:
        self._held: deque[Telemetry] = deque()
        self._held_bytes = 0
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.dropped = 0

    def hold(self, telemetry: Telemetry, size: int) -> None:
        if len(self._held) >= MAX_HELD or self._held_bytes + size > MAX_HELD_BYTES:
            self.dropped += 1
            return
        self._held.append(telemetry)
        self._held_bytes += size

    def release(self) -> list[Effect]:
        """Everything held, in its order."""
        effects = [effect for each in self._held for effect in self.tell(each)]
        self._held.clear()
        self._held_bytes = 0
        return effects

    def tell(self, telemetry: Telemetry) -> Iterator[Effect]:
        match telemetry:
            case Replay(runs):
                for start in range(0, len(runs), REPLAY_PAGE):
                    yield Tell(runs[start : start + REPLAY_PAGE])
            case Run():
                for job in telemetry.jobs:
                    self._note(telemetry.run_id, job.job_id)
                yield Tell((telemetry,))
            case Lines(run_id=run_id, job_id=job_id) | JobContext(run_id=run_id, job_id=job_id):
                yield from self._imply(run_id, job_id)
                if isinstance(telemetry, Lines):
                    yield Print(telemetry)

    def _imply(self, run_id: str, job_id: str) -> Iterator[Effect]:
        """A job can print before anybody reported it: work that waited for an agent has no run record of its own.

        The report says nothing but that there is such a job, and is older than anything that was ever said of it.
        """
        if (run_id, job_id) not in self._seen:
            self._note(run_id, job_id)
            yield Tell((Run(run_id=run_id, at=REPLAYED_AT, jobs=[Job(job_id=job_id)]),))

    def _note(self, run_id: str, job_id: str) -> None:
        self._seen[run_id, job_id] = None
        self._seen.move_to_end((run_id, job_id))
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
