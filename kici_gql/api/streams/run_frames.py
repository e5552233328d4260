"""Frames and events of workflows, runs, logs, metrics and commands."""

from typing import Annotated

import strawberry

from kici_gql.api.streams.frames import COALESCED, LOSSLESS, Frame
from kici_gql.api.types.command import Command
from kici_gql.api.types.metrics import ExecutionMetrics
from kici_gql.api.types.run import Job, LogGap, LogLine, Run, Step
from kici_gql.api.types.workflow import Workflow, WorkflowRegistry

_SNAPSHOT = "The state at `cursor`, in a SNAPSHOT or RESYNC; else null."
_EVENTS = "What happened, oldest first; empty unless `kind` is EVENTS."


@strawberry.type(description="A workflow is new or changed.", directives=LOSSLESS)
class WorkflowChanged:
    workflow: Workflow = strawberry.field(description="The workflow at this position.")


@strawberry.type(
    description="A workflow is gone, or no longer fulfils `where`. May name one that the view never showed.",
    directives=LOSSLESS,
)
class WorkflowRemoved:
    id: strawberry.ID = strawberry.field(description="Global id it had.")


@strawberry.type(description="A cluster's workflow registry changed.", directives=LOSSLESS)
class RegistryChanged:
    registry: WorkflowRegistry = strawberry.field(description="Its health at this position.")


@strawberry.type(description="A run is new or changed.", directives=LOSSLESS)
class RunChanged:
    run: Run = strawberry.field(description="The run at this position.")


@strawberry.type(
    description="A run no longer fulfils `where`. May name one that the view never showed.",
    directives=LOSSLESS,
)
class RunRemoved:
    id: strawberry.ID = strawberry.field(description="Global id of the run.")


@strawberry.type(description="A job is new or changed.", directives=LOSSLESS)
class JobChanged:
    job: Job = strawberry.field(description="The job at this position.")


@strawberry.type(description="A step is new or changed.", directives=LOSSLESS)
class StepChanged:
    step: Step = strawberry.field(description="The step at this position.")


@strawberry.type(description="More lines of the log, in order.", directives=LOSSLESS)
class LogLines:
    lines: list[LogLine] = strawberry.field(description="The lines. At most 1000 in one frame.")
    gaps: list[LogGap] = strawberry.field(description="Where lines are missing before or between them.")


@strawberry.type(
    description="The job has ended and all its lines that are there were sent.", directives=LOSSLESS
)
class LogEnd:
    total_lines: int = strawberry.field(description="Number behind the last line.")


@strawberry.type(description="The figures changed.", directives=COALESCED)
class ExecutionMetricsChanged:
    metrics: ExecutionMetrics = strawberry.field(description="The figures now.")
    folded: int = strawberry.field(description="How many changes of runs and jobs they stand for.")


@strawberry.type(description="A command is new, or went on in its life.", directives=LOSSLESS)
class CommandChanged:
    command: Command = strawberry.field(description="The command at this position.")


WorkflowEvent = Annotated[
    WorkflowChanged | WorkflowRemoved | RegistryChanged,
    strawberry.union("WorkflowEvent", description="Something about workflows changed."),
]
RunEvent = Annotated[
    RunChanged | RunRemoved | JobChanged | StepChanged,
    strawberry.union("RunEvent", description="Something about runs changed."),
]
RunLogEvent = Annotated[
    LogLines | LogEnd, strawberry.union("RunLogEvent", description="Something about a log changed.")
]


@strawberry.type(description="The workflows in the view.")
class WorkflowSnapshot:
    workflows: list[Workflow] = strawberry.field(description="All workflows that fulfil `where`.")
    registries: list[WorkflowRegistry] = strawberry.field(description="Health of the registries.")


@strawberry.type(description="The runs in the view, as far as a reader needs them to begin with.")
class RunSnapshot:
    runs: list[Run] = strawberry.field(
        description="The newest 100 runs that fulfil `where`, newest first; older ones are in `Org.runs`."
    )


@strawberry.type(description="Where the log stands.")
class RunLogSnapshot:
    lines: list[LogLine] = strawberry.field(description="The first lines behind `afterLine`. At most 1000.")
    gaps: list[LogGap] = strawberry.field(description="Where lines are missing before or between them.")
    total_lines: int = strawberry.field(description="Number behind the last line there is so far.")


@strawberry.type(description="The commands in the view.")
class CommandSnapshot:
    commands: list[Command] = strawberry.field(
        description="""Oldest first. With `connectionId`: all that it has not answered; do each one once, by its id. Else the newest
100 that fulfil `where`; without it, of those that were not answered yet."""
    )


@strawberry.type(description="One message of `workflows`.")
class WorkflowFrame(Frame):
    snapshot: WorkflowSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[WorkflowEvent] = strawberry.field(description=_EVENTS)


@strawberry.type(description="One message of `runs`.")
class RunFrame(Frame):
    snapshot: RunSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[RunEvent] = strawberry.field(description=_EVENTS)


@strawberry.type(
    description="One message of `runLog`. Resume it with `afterLine`, the number of the last line you have."
)
class RunLogFrame(Frame):
    snapshot: RunLogSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[RunLogEvent] = strawberry.field(description=_EVENTS)


@strawberry.type(description="One message of `executionMetrics`.")
class ExecutionMetricsFrame(Frame):
    snapshot: ExecutionMetrics | None = strawberry.field(description=_SNAPSHOT)
    events: list[ExecutionMetricsChanged] = strawberry.field(description=_EVENTS)


@strawberry.type(description="One message of `commands`.")
class CommandFrame(Frame):
    snapshot: CommandSnapshot | None = strawberry.field(description=_SNAPSHOT)
    events: list[CommandChanged] = strawberry.field(description=_EVENTS)
