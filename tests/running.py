"""What orchestrators send of workflows, runs and logs, and an orchestrator that has a workflow to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kici_gql.actions import commands, logs, runs, wishes, workflows
from kici_gql.actions.perform import Done
from kici_gql.api.mutations.run_inputs import (
    JobReportInput,
    LogPartInput,
    OrchestratorReportWorkflowsInput,
    RunReportInput,
    StepReportInput,
    TriggerInput,
    WorkflowInputInput,
    WorkflowReportInput,
)
from kici_gql.tables import Job, JobStatus, Run, RunStatus, StepStatus, Workflow
from tests.world import World

START = datetime(2026, 1, 31, 11, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run_of(run_id: str = "r1", status: RunStatus | None = None, **more: Any) -> RunReportInput:
    return RunReportInput(run_id=run_id, status=status, **more)


def job_of(job_id: str = "j1", status: JobStatus | None = None, **more: Any) -> JobReportInput:
    return JobReportInput(job_id=job_id, status=status, **more)


def step_of(number: int = 0, status: StepStatus | None = None, **more: Any) -> StepReportInput:
    return StepReportInput(number=number, status=status, **more)


def part_of(
    first_line: int, lines: Sequence[str], step: int = 0, run: str = "r1", job: str = "j1"
) -> LogPartInput:
    return LogPartInput(run_id=run, job_id=job, step=step, first_line=first_line, lines=list(lines))


def workflow_of(registration_id: str = "w1", **more: Any) -> WorkflowReportInput:
    values: dict[str, Any] = {"name": "build", "repository": "acme/app"}
    return WorkflowReportInput(registration_id=registration_id, **values | more)


def schedule(cron: str, timezone: str | None = None) -> TriggerInput:
    config: Any = {"cron": cron} | ({} if timezone is None else {"timezone": timezone})
    return TriggerInput(type="schedule", settings=config)


def declared(name: str, **more: Any) -> WorkflowInputInput:
    return WorkflowInputInput(name=name, **more)


@dataclass
class Cluster:
    """One connected orchestrator of one cluster."""

    world: World
    connection_id: str
    org: str = "default"

    async def report(self, *told: RunReportInput) -> list[str]:
        done = await runs.report(self.world.call("ORCHESTRATOR", self.org), self.connection_id, told)
        ids: list[str] = done.result["run_ids"]
        return ids

    async def log(self, *parts: LogPartInput) -> Done:
        return await logs.report(self.world.call("ORCHESTRATOR", self.org), self.connection_id, parts)

    async def workflows(self, *told: WorkflowReportInput, full: bool = False, **more: Any) -> Done:
        report = OrchestratorReportWorkflowsInput(
            connection_id=self.connection_id, workflows=list(told), full=full, **more
        )
        return await workflows.report(self.world.call("ORCHESTRATOR", self.org), report)

    async def answer(
        self, command_id: str, succeeded: bool = True, message: str | None = None, **result: Any
    ) -> Done:
        call = self.world.call("ORCHESTRATOR", self.org)
        return await commands.complete(call, self.connection_id, command_id, succeeded, message, result)

    async def workflow(self, **more: Any) -> Any:
        """A workflow of the cluster, reported."""
        wanted = workflow_of(**more)
        await self.workflows(wanted)
        [row] = await self.world.rows(Workflow, external_id=wanted.registration_id)
        return row

    async def run_now(self, workflow: Any, key: str | None = None, **inputs: str) -> Done:
        return await wishes.run_now(
            self.world.call("OPERATOR", self.org), workflow.id, list(inputs.items()), key
        )

    async def running(self, run: str = "r1", job: str = "j1") -> tuple[Any, Any]:
        """A run with one job, both running."""
        await self.report(run_of(run, RunStatus.RUNNING, jobs=[job_of(job, JobStatus.RUNNING)]))
        [run_row] = await self.world.rows(Run, external_id=run)
        [job_row] = await self.world.rows(Job, run_id=run_row.id, external_id=job)
        return run_row, job_row


async def cluster(world: World, name: str = "prod", instance: str = "one", org: str = "default") -> Cluster:
    return Cluster(world, await world.connect(name, instance, org), org)
