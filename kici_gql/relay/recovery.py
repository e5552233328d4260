"""What went down with a link that was dead before its orchestrator knew: asked for when there is another one.

An orchestrator keeps what it has to say from the moment it sees that a link is gone. What it said between that and the
link's death is lost, and the replay on the next link speaks of runs and jobs alone. So the steps of runs that may have
suffered are asked for, and the logs of jobs that have ended: while a job prints, nobody can tell which of its lines
are on their way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from kici_gql.relay.messages import telemetry, values
from kici_gql.relay.messages.answers import Answered, Outcome
from kici_gql.relay.messages.requests import Request, request
from kici_gql.relay.messages.telemetry import Job, Run
from kici_gql.relay.scribe import Scribe
from kici_gql.relay.session.effects import Effect, Restore, Tell
from kici_gql.rules import merging

logger = logging.getLogger("kici_gql.relay")

SETTLES_SECONDS = 3.0
"""How long a replay, or the last lines of a job, may trail behind what announces them."""
MAX_RUNS = 20
MAX_LOGS = 1000
"""How many logs are asked for over one link."""
MAX_TRIES = 2
"""How often one log is asked for in the life of the process: it comes whole, and one that is too large ends the link."""
_MAX_REMEMBERED = 10_000


class Tries:
    """Which logs were asked for, by all links of the process."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str, int], int] = {}

    def may(self, orchestrator_id: str, run_id: str, job_id: str, step: int) -> bool:
        """Whether to try; counts as a try."""
        key = (orchestrator_id, run_id, job_id, step)
        made = self._made.pop(key, 0)
        self._made[key] = made + 1
        if len(self._made) > _MAX_REMEMBERED:
            del self._made[next(iter(self._made))]
        return made < MAX_TRIES


class Recovery:
    """Of one link. `put` lines an effect up to be written, `start` runs something beside the link until its end."""

    def __init__(
        self,
        scribe: Scribe,
        ask: Callable[[Request], Awaitable[Outcome]],
        put: Callable[[Effect, int], Awaitable[None]],
        start: Callable[[Coroutine[Any, Any, None]], None],
        tries: Tries,
    ) -> None:
        self._scribe = scribe
        self._ask = ask
        self._put = put
        self._start = start
        self._tries = tries
        self._awaited: set[str] = set()
        self._logs = 0

    async def begin(self) -> None:
        """Before anything that the link tells is written: look for runs that go on, and for others after the replay."""
        goes_on = await self._scribe.runs_that_go_on(MAX_RUNS)
        self._start(self._look(goes_on))

    def told(self, runs: Iterable[Run]) -> None:
        """A run that goes on is looked after when it has ended."""
        for run in runs:
            if run.run_id in self._awaited and run.status is not None and merging.is_final(run.status):
                self._awaited.discard(run.run_id)
                self._start(self._recover_soon(run.run_id))

    async def _look(self, goes_on: list[str]) -> None:
        await asyncio.sleep(SETTLES_SECONDS)
        bare = await self._scribe.runs_without_steps(MAX_RUNS)
        await self._recover(list(dict.fromkeys([*goes_on, *bare]))[:MAX_RUNS])

    async def _recover_soon(self, run_id: str) -> None:
        await asyncio.sleep(SETTLES_SECONDS)
        await self._recover([run_id])

    async def _recover(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            if not values.is_uuid(run_id):
                continue
            outcome = await self._ask(request("dashboard.run.detail", runId=run_id))
            if not isinstance(outcome, Answered):
                logger.debug("run %s was not told again: %s", run_id, outcome.message)
                return
            run = telemetry.read_detail(run_id, outcome.body)
            if not run.jobs:
                continue
            await self._put(Tell((run,)), 0)
            for job in run.jobs:
                if job.status is None or not merging.is_final(job.status):
                    self._awaited.add(run_id)
                else:
                    await self._restore(run_id, job)

    async def _restore(self, run_id: str, job: Job) -> None:
        for step in job.steps:
            if self._logs == MAX_LOGS:
                return
            if not self._tries.may(self._scribe.orchestrator_id, run_id, job.job_id, step.number):
                continue
            self._logs += 1
            wanted = request("dashboard.step.logs", runId=run_id, jobId=job.job_id, stepIndex=step.number)
            outcome = await self._ask(wanted)
            if isinstance(outcome, Answered):
                lines = telemetry.read_whole_log(run_id, job.job_id, step.number, outcome.body)
                await self._put(Restore(lines), sum(map(len, lines.lines)))
