"""Runs, jobs, steps and their logs."""

from datetime import datetime
from typing import Annotated

import strawberry
from sqlalchemy import Connection

from kici_gql import tables
from kici_gql.api.context import Info
from kici_gql.api.ordering import OrderInput, RunOrderField
from kici_gql.api.types.base import ConfigEntry, LaterCluster, LaterWorkflow, Node
from kici_gql.api.where import RunWhere
from kici_gql.errors import InvalidInput
from kici_gql.store import logs, runs
from kici_gql.store.logs import Stretch, Wanted
from kici_gql.tables import JobStatus, Prefix, RunStatus, StepStatus

RunRow = strawberry.Parent[tables.Run]
JobRow = strawberry.Parent[tables.Job]
StepRow = strawberry.Parent[tables.Step]
RunOrder = Annotated[
    OrderInput[RunOrderField] | None, strawberry.argument(description="Default: oldest first.")
]
RunFilter = Annotated[RunWhere | None, strawberry.argument(description="Only runs that fulfil this.")]

MAX_LOG_LINES = 1000
MAX_LOG_CHARS = 1_000_000


@strawberry.type(description="One line of a log.")
class LogLine:
    number: int = strawberry.field(description="Number of the line in its step, from 0.")
    text: str = strawberry.field(description="The line, without its end. At most 65536 characters.")


@strawberry.type(description="Lines that are missing: not reported, or not kept.")
class LogGap:
    from_line: int = strawberry.field(description="Number of the first missing line.")
    to_line: int = strawberry.field(description="Number of the last missing line.")


@strawberry.type(description="A stretch of a step's log, in order.")
class LogPage:
    lines: list[LogLine] = strawberry.field(description="The lines that are there.")
    gaps: list[LogGap] = strawberry.field(
        description=(
            "Where lines are missing between them, and between them and where the page begins to read. "
            "On the last page in the direction read, also what is missing behind them."
        )
    )
    total_lines: int = strawberry.field(description="Number behind the last line there is so far.")
    has_more: bool = strawberry.field(
        description="Whether there are more lines in the direction that was read."
    )


def as_lines(found: Stretch) -> list[LogLine]:
    return [LogLine(number=number, text=text) for number, text in found.lines]


def as_gaps(found: Stretch) -> list[LogGap]:
    return [LogGap(from_line=first, to_line=last) for first, last in found.gaps]


def _page(connection: Connection, job_id: str, step: int, wanted: Wanted) -> LogPage:
    found = logs.read(connection, job_id, step, wanted)
    total = logs.total_lines(connection, job_id, step)
    return LogPage(lines=as_lines(found), gaps=as_gaps(found), total_lines=total, has_more=found.more)


@strawberry.type(description="A part of a job.")
class Step(Node):
    PREFIX = Prefix.STEP

    number: int = strawberry.field(
        description="Place in its job, from 0; -1 is what happened before the first."
    )
    name: str = strawberry.field(description="Name of the step.")
    status: StepStatus = strawberry.field(description="How it is going.")
    error_message: str | None = strawberry.field(description="Why it failed; null while it has not.")
    exit_code: int | None = strawberry.field(description="Exit code of its process; null when there is none.")
    started_at: datetime | None = strawberry.field(description="When it started; null before.")
    completed_at: datetime | None = strawberry.field(description="When it ended; null before.")
    duration_ms: int | None = strawberry.field(description="How long it took, in ms; null before it ended.")
    job_id: strawberry.ID = strawberry.field(description="Global id of its job.")
    run_id: strawberry.ID = strawberry.field(description="Global id of its run.")


@strawberry.type(description="A part of a run, executed by one agent.")
class Job(Node):
    PREFIX = Prefix.JOB

    name: str = strawberry.field(description="Name of the job.")
    status: JobStatus = strawberry.field(description="How it is going.")
    agent_id: str | None = strawberry.field(
        description="Name of the agent that executes it; null before one does."
    )
    runs_on: list[str] = strawberry.field(description="Labels that its agent must have.")
    error_message: str | None = strawberry.field(description="Why it failed; null while it has not.")
    started_at: datetime | None = strawberry.field(description="When it started; null before.")
    completed_at: datetime | None = strawberry.field(description="When it ended; null before.")
    duration_ms: int | None = strawberry.field(description="How long it took, in ms; null before it ended.")
    run_id: strawberry.ID = strawberry.field(description="Global id of its run.")

    @strawberry.field(description="Id by which its orchestrator knows it.")
    def external_id(root: JobRow) -> str:
        return root.external_id

    @strawberry.field(description="Its steps, in order.")
    async def steps(root: JobRow, info: Info) -> list[Step]:
        return await info.context.load.steps(root.id)

    @strawberry.field(
        description=(
            "Lines of one step's log: `first` behind `after`, or the `last` ones before `before`. "
            f"At most {MAX_LOG_LINES}, and fewer when they are long: a page ends at about {MAX_LOG_CHARS} characters."
        )
    )
    async def log(
        root: JobRow,
        info: Info,
        step: Annotated[
            int, strawberry.argument(description="Number of the step; -1: before the first.")
        ] = 0,
        first: Annotated[
            int | None, strawberry.argument(description="Lines from there on; default 100.")
        ] = None,
        after: Annotated[int, strawberry.argument(description="Only lines behind this number.")] = -1,
        last: Annotated[int | None, strawberry.argument(description="Lines up to there.")] = None,
        before: Annotated[
            int | None, strawberry.argument(description="Only lines before this number.")
        ] = None,
    ) -> LogPage:
        if first is not None and last is not None:
            raise InvalidInput("first and last exclude each other", hint="Send one of them.", path=["last"])
        wanted = last if last is not None else (100 if first is None else first)
        if not 0 <= wanted <= MAX_LOG_LINES:
            raise InvalidInput(f"{wanted} lines", hint=f"Ask for 0 to {MAX_LOG_LINES}.", path=["first"])
        asked = Wanted(wanted, MAX_LOG_CHARS, max(-1, after), before, backward=last is not None)
        return await info.context.read(_page, root.id, step, asked)

    @strawberry.field(description="Numbers of the steps that have log lines.")
    async def steps_with_logs(root: JobRow, info: Info) -> list[int]:
        return await info.context.read(logs.steps_with_logs, root.id)


@strawberry.type(description="One execution of a workflow.")
class Run(Node):
    PREFIX = Prefix.RUN

    workflow_name: str = strawberry.field(description="Name of the workflow; it outlives the workflow.")
    status: RunStatus = strawberry.field(description="How it is going.")
    repository: str | None = strawberry.field(description="Repository it is about.")
    branch: str | None = strawberry.field(description="Branch or tag it is about.")
    commit_sha: str | None = strawberry.field(description="Commit it is about.")
    commit_message: str | None = strawberry.field(description="First line of the commit's message.")
    trigger_type: str | None = strawberry.field(
        description="What triggered it, such as `push` or `schedule`."
    )
    triggered_by: str | None = strawberry.field(description="Who triggered it.")
    cancelled_by: str | None = strawberry.field(description="Who cancelled it; null when nobody did.")
    failure_reason: str | None = strawberry.field(description="Why it failed; null while it has not.")
    queued_at: datetime = strawberry.field(description="When it was queued.")
    started_at: datetime | None = strawberry.field(description="When it started; null before.")
    completed_at: datetime | None = strawberry.field(description="When it ended; null before.")
    duration_ms: int | None = strawberry.field(description="How long it took, in ms; null before it ended.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(
        description="Id by which its orchestrator knows it; `Org.run` and addresses accept it too."
    )
    def external_id(root: RunRow) -> str:
        return root.external_id

    @strawberry.field(description="Inputs it was started with.")
    def inputs(root: RunRow) -> list[ConfigEntry]:
        return [ConfigEntry(key=key, value=value) for key, value in root.inputs.items()]

    @strawberry.field(description="Characters of log kept of it, one for the end of each line included.")
    def log_bytes(root: RunRow) -> float:
        return float(root.log_bytes)

    @strawberry.field(description="Its workflow; null when that is gone.")
    async def workflow(root: RunRow, info: Info) -> LaterWorkflow | None:
        return (
            None
            if root.workflow_id is None
            else await info.context.load.one(tables.Workflow, root.workflow_id)
        )

    @strawberry.field(description="Cluster that runs it.")
    async def cluster(root: RunRow, info: Info) -> LaterCluster:
        return await info.context.load.one(tables.Cluster, root.cluster_id)

    @strawberry.field(description="Its jobs, in the order they were first reported.")
    async def jobs(root: RunRow, info: Info) -> list[Job]:
        return await info.context.load.jobs(root.id)

    @strawberry.field(description="The run that this one repeats; null when it repeats none.")
    async def parent(root: RunRow, info: Info) -> "Run | None":
        if root.parent_run is None:
            return None
        return await info.context.read(runs.by_external_id, info.context.viewer.org_id, root.parent_run)

    @strawberry.field(description="The first of the runs that were repeated; null when it repeats none.")
    async def original(root: RunRow, info: Info) -> "Run | None":
        if root.original_run is None:
            return None
        return await info.context.read(runs.by_external_id, info.context.viewer.org_id, root.original_run)
