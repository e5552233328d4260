"""Brings runs to agents, and what agents say of them to the outbox."""

import asyncio
import logging
import os
import signal
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from orchestrator.agent_process import AgentProcess, describe_exit
from orchestrator.book import Book
from orchestrator.definitions import Workflow
from orchestrator.execution import Execution, Order, epitaph, moment, recall
from orchestrator.messages import (
    Cancel,
    Execute,
    FromAgent,
    JobEnded,
    Lines,
    StepEnded,
    StepStarted,
    Taken,
)
from orchestrator.outbox import Outbox
from orchestrator.reports import Input
from orchestrator.scaler import BareMetalScaler
from orchestrator.state import StateError

log = logging.getLogger(__name__)

MOST_RUNS: Final = 500
"""Runs that may be waiting or running at once."""

GRACE_SECONDS: Final = 5.0
"""Time between SIGTERM and SIGKILL for the processes of a job that is cancelled."""


CLOSING_GRACE_SECONDS: Final = 3.0
"""The same when the orchestrator itself is about to end."""


class TooManyRuns(Exception):
    """There is no room for another run."""


@dataclass(slots=True)
class Assignment:
    """A job in the hands of an agent. ``groups`` are the process groups of its running steps."""

    execution: Execution
    job_id: str
    agent: AgentProcess
    groups: dict[int, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return job_key(self.execution.order.run_id, self.job_id)


class Dispatcher:
    """All runs that have not ended. Whoever starts or cancels one saves the book, then calls ``dispatch``."""

    def __init__(
        self,
        scaler: BareMetalScaler,
        book: Book,
        outbox: Outbox,
        clock: Callable[[], datetime],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.scaler = scaler
        self.book = book
        self.outbox = outbox
        self.clock = clock
        self.grace_seconds = grace_seconds
        self.closing = False
        self._runs: dict[str, Execution] = {}
        self._busy: dict[str, Assignment] = {}
        self._untaken: deque[tuple[AgentProcess, Taken]] = deque()
        self._idle = asyncio.Event()
        scaler.listener = self
        outbox.on_room = self._have_room

    @property
    def queued_jobs(self) -> int:
        """Jobs that could run if an agent were free."""
        return sum(len(execution.queued()) for execution in self._runs.values())

    @property
    def running_jobs(self) -> int:
        """Jobs that agents are busy with."""
        return len(self._busy)

    def start(self, workflow: Workflow, order: Order) -> None:
        """Take a run on. Raises TooManyRuns."""
        if len(self._runs) >= MOST_RUNS:
            raise TooManyRuns(f"{MOST_RUNS} runs are waiting or running already")
        self._take_on(Execution(workflow, order, self.clock()))

    def runs_of(self, workflow: str) -> list[str]:
        """The ids of the workflow's runs that have not ended."""
        return [run_id for run_id, each in self._runs.items() if each.workflow.name == workflow]

    def cancel(self, run_id: str, by: str | None, force: bool) -> bool:
        """End a run. Answers False when there is no such run here that could be ended."""
        execution = self._runs.get(run_id)
        if execution is None:
            return False
        for job_id in execution.active():
            assignment = self._busy[job_key(run_id, job_id)]
            assignment.agent.post(Cancel(assignment.key, force, self.grace_seconds))
        self._tell(execution, execution.cancel(by, self.clock()))
        return True

    def recall(self, workflows: dict[str, Workflow]) -> None:
        """Go on with what an earlier life left in the book, or end it. Saves the book."""
        for run_id, record in list(self.book.runs.items()):
            if "ended" in record:
                self.outbox.report(record["ended"], partial(self._forget, run_id))
            elif (execution := recall(record, workflows.get(record["workflow"]))) is not None:
                self._take_on(execution)
            else:
                log.warning("run %s did not survive the end of the orchestrator", run_id)
                end = epitaph(record, "the orchestrator was ended while it ran", self.clock())
                self._bequeath(run_id, end)
        self.book.save()

    def unfinished(self) -> list[Input]:
        """A full report of every run, for a server that has forgotten them."""
        return [execution.report(self.clock()) for execution in self._runs.values()]

    def dispatch(self) -> None:
        """Give waiting jobs to agents that are free."""
        if self.closing or self.outbox.is_full:
            return
        self._refuse_hopeless()
        load = defaultdict[str, int](int)
        for assignment in self._busy.values():
            load[assignment.agent.agent_id] += 1
        for agent in sorted(self.scaler.ready(), key=lambda agent: load[agent.agent_id]):
            while (
                load[agent.agent_id] < self.scaler.max_concurrency and (waiting := self._next()) is not None
            ):
                self._assign(*waiting, agent)
                load[agent.agent_id] += 1

    async def close(self) -> None:
        """Cancel everything, and return when all jobs have ended; afterwards nothing starts any more."""
        self.closing = True
        self.grace_seconds = min(self.grace_seconds, CLOSING_GRACE_SECONDS)
        for run_id in list(self._runs):
            self.cancel(run_id, "the end of the orchestrator", force=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace_seconds + 1.0):
                while self._busy:
                    self._idle.clear()
                    await self._idle.wait()
        for assignment in list(self._busy.values()):
            self._end(assignment, "CANCELLED", "its agent did not answer", self.clock())

    def heard(self, agent: AgentProcess, message: FromAgent) -> None:
        """What an agent says of a job."""
        assignment = self._busy.get(getattr(message, "job", ""))
        if assignment is None or assignment.agent is not agent:
            return
        execution, job_id = assignment.execution, assignment.job_id
        match message:
            case Lines():
                run_id = execution.order.run_id
                self.outbox.lines(run_id, job_id, message.step, message.first_line, message.lines)
                self._take(agent, Taken(message.job))
            case StepStarted():
                assignment.groups[message.step] = message.pid
                self._tell(execution, execution.start_step(job_id, message.step, moment(message.at)))
            case StepEnded(_, step, status, exit_code, error, at):
                assignment.groups.pop(step, None)
                told = execution.end_step(job_id, step, status, exit_code, error, moment(at))
                self._tell(execution, told)
            case JobEnded(_, status, error, at):
                self._end(assignment, status, error, moment(at))

    def ended(self, agent: AgentProcess) -> None:
        """An agent's process is gone; so are the jobs it had."""
        how = describe_exit(agent.exit_status or 0)
        for assignment in [each for each in self._busy.values() if each.agent is agent]:
            for group in assignment.groups.values():
                # Its steps have process groups of their own, and would live on.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
            error = f"agent {agent.agent_id} died in the middle of the job: its process {how}"
            self._end(assignment, "FAILED", error, self.clock())

    def _take_on(self, execution: Execution) -> None:
        self._runs[execution.order.run_id] = execution
        self.book.runs[execution.order.run_id] = execution.record()
        self.outbox.report(execution.report(self.clock()))

    def _next(self) -> tuple[Execution, str] | None:
        """The job that has waited longest."""
        for execution in self._runs.values():
            for job_id in execution.queued():
                return execution, job_id
        return None

    def _refuse_hopeless(self) -> None:
        """Jobs whose labels no agent here has, or ever will have."""
        labels = set(self.scaler.labels)
        for execution in list(self._runs.values()):
            for job_id in execution.queued():
                missing = [label for label in execution.definitions[job_id].runs_on if label not in labels]
                if missing:
                    error = f"no agent here has the label {missing[0]!r}"
                    self._tell(execution, execution.end_job(job_id, "FAILED", error, self.clock()))

    def _assign(self, execution: Execution, job_id: str, agent: AgentProcess) -> None:
        assignment = Assignment(execution, job_id, agent)
        definition = execution.definitions[job_id]
        environment = {
            "KICI_RUN_ID": execution.order.run_id,
            "KICI_WORKFLOW": execution.workflow.name,
            "KICI_JOB": job_id,
            **{variable(name): value for name, value in execution.order.inputs.items()},
        }
        steps = [{"name": step.name, "run": step.run} for step in definition.steps]
        self._busy[assignment.key] = assignment
        self._tell(execution, execution.start_job(job_id, agent.agent_id, self.clock()))
        # Written down before it begins: after a sudden end nothing is begun twice.
        self._write(execution)
        agent.post(Execute(assignment.key, steps, environment))

    def _end(self, assignment: Assignment, status: str, error: str, at: datetime) -> None:
        del self._busy[assignment.key]
        execution = assignment.execution
        self._tell(execution, execution.end_job(assignment.job_id, status, error, at))
        if not execution.ended:
            self._write(execution)
        self._idle.set()
        self.dispatch()

    def _tell(self, execution: Execution, report: Input) -> None:
        if not execution.ended:
            self.outbox.report(report)
            return
        run_id = execution.order.run_id
        if self._runs.pop(run_id, None) is not None:
            log.info("run %s of %s: %s", run_id, execution.workflow.name, execution.run.status)
            self._bequeath(run_id, report)
            self._save()

    def _bequeath(self, run_id: str, report: Input) -> None:
        """Tell the end of a run, and keep it in the book until the server knows it."""
        self.book.runs[run_id] = {"ended": report}
        self.outbox.report(report, partial(self._forget, run_id))

    def _forget(self, run_id: str) -> None:
        self.book.runs.pop(
            run_id, None
        )  # written with the next change; until then it would only be told again

    def _write(self, execution: Execution) -> None:
        self.book.runs[execution.order.run_id] = execution.record()
        self._save()

    def _save(self) -> None:
        try:
            self.book.save()
        except StateError as error:
            # The job goes on; only after a sudden end would something be missing.
            log.error("%s", error)

    def _take(self, agent: AgentProcess, taken: Taken) -> None:
        if self.outbox.is_full:
            self._untaken.append((agent, taken))
        else:
            agent.post(taken)

    def _have_room(self) -> None:
        while self._untaken and not self.outbox.is_full:
            agent, taken = self._untaken.popleft()
            agent.post(taken)
        self.dispatch()


def job_key(run_id: str, job_id: str) -> str:
    """What the job is called between orchestrator and agent."""
    return f"{run_id}/{job_id}"


def variable(name: str) -> str:
    """The environment variable in which a step finds an input."""
    return "INPUT_" + "".join(each if each.isalnum() and each.isascii() else "_" for each in name).upper()
