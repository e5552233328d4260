"""What orchestrators tell of workflows, runs and logs. Bounds are checked in `rules.run_reports`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import strawberry
from strawberry.scalars import JSON

from kici_gql.rules import run_reports as rules
from kici_gql.rules.reports import MAX_TEXT
from kici_gql.rules.workflows import InputType
from kici_gql.tables import JobStatus, RunStatus, StepStatus

_TEXT = f"At most {MAX_TEXT} characters."
_SILENT = "Left out: this report does not speak of it."
_CONNECTION = "As `orchestratorConnect` answered it."


@strawberry.input(description="A trigger of a workflow.")
class TriggerInput:
    type: str = strawberry.field(description=f"Kind, as KiCI names it, such as `push`. {_TEXT}")
    settings: JSON | None = strawberry.field(
        name="config",
        default=None,
        description=f"Whole configuration, an object. At most {rules.MAX_TRIGGER_BYTES} characters.",
    )

    @property
    def config(self) -> Mapping[str, Any]:
        return {} if self.settings is None else rules.as_config(cast(Any, self.settings))


@strawberry.input(description="An input that a workflow declares.")
class WorkflowInputInput:
    name: str = strawberry.field(description=f"Name of the input. {_TEXT}")
    type: InputType = strawberry.field(default=InputType.STRING, description="What values it takes.")
    required: bool = strawberry.field(default=False, description="Whether a run needs it.")
    default: str | None = strawberry.field(default=None, description="Value when none is sent.")
    options: list[str] = strawberry.field(default_factory=list, description="Values of a CHOICE.")
    description: str | None = strawberry.field(default=None, description="What it is for.")


@strawberry.input(description="A registered workflow.")
class WorkflowReportInput:
    registration_id: str = strawberry.field(
        description=f"Id of the registration, unique in the cluster. {_TEXT}"
    )
    name: str = strawberry.field(description=f"Name of the workflow. {_TEXT}")
    repository: str = strawberry.field(description=f"Repository that it comes from. {_TEXT}")
    triggers: list[TriggerInput] = strawberry.field(
        default_factory=list, description=f"Its triggers. At most {rules.MAX_TRIGGERS}."
    )
    inputs: list[WorkflowInputInput] = strawberry.field(
        default_factory=list, description=f"Inputs it declares. At most {rules.MAX_INPUTS}."
    )
    source_repos: list[str] = strawberry.field(
        default_factory=list, description="Repositories whose events it listens to besides its own."
    )
    source_file: str | None = strawberry.field(default=None, description="File that defines it.")
    commit_sha: str | None = strawberry.field(default=None, description="Commit that it was registered from.")
    enabled: bool = strawberry.field(default=True, description="Whether its triggers count.")
    registered_at: datetime | None = strawberry.field(default=None, description="When it was registered.")
    last_triggered_at: datetime | None = strawberry.field(
        default=None, description="When a run was last queued."
    )
    next_fire_at: datetime | None = strawberry.field(
        default=None, description="Next time a schedule fires; left out: the server works it out."
    )


@strawberry.input(description="An orchestrator's workflows: all of them, or only what changed.")
class OrchestratorReportWorkflowsInput:
    connection_id: str = strawberry.field(description=_CONNECTION)
    full: bool = strawberry.field(default=False, description="True: whatever is not listed is gone.")
    registry_version: str | None = strawberry.field(
        default=None, description="Version of the registry reported."
    )
    registry_error: str | None = strawberry.field(
        default=None, description="Why the registry could not be read."
    )
    workflows: list[WorkflowReportInput] = strawberry.field(
        default_factory=list, description=f"New and changed workflows. At most {rules.MAX_WORKFLOWS}."
    )
    removed: list[str] = strawberry.field(default_factory=list, description="Registration ids that are gone.")


@strawberry.input(description="A step, as far as this report speaks of it.")
class StepReportInput:
    number: int = strawberry.field(description="Place in its job, from 0; -1: before the first.")
    name: str | None = strawberry.field(default=None, description=f"Name. {_SILENT}")
    status: StepStatus | None = strawberry.field(default=None, description=f"How it is going. {_SILENT}")
    error_message: str | None = strawberry.field(default=None, description=f"Why it failed. {_SILENT}")
    exit_code: int | None = strawberry.field(default=None, description=f"Exit code of its process. {_SILENT}")
    started_at: datetime | None = strawberry.field(default=None, description=f"When it started. {_SILENT}")
    completed_at: datetime | None = strawberry.field(default=None, description=f"When it ended. {_SILENT}")
    duration_ms: int | None = strawberry.field(
        default=None, description=f"How long it took, in ms. {_SILENT}"
    )


@strawberry.input(description="A job, as far as this report speaks of it.")
class JobReportInput:
    job_id: str = strawberry.field(description=f"Id of the job, unique in its run. {_TEXT}")
    name: str | None = strawberry.field(default=None, description=f"Name. {_SILENT}")
    status: JobStatus | None = strawberry.field(default=None, description=f"How it is going. {_SILENT}")
    agent_id: str | None = strawberry.field(default=None, description=f"Agent that executes it. {_SILENT}")
    runs_on: list[str] | None = strawberry.field(
        default=None, description=f"Labels its agent must have. {_SILENT}"
    )
    error_message: str | None = strawberry.field(default=None, description=f"Why it failed. {_SILENT}")
    started_at: datetime | None = strawberry.field(default=None, description=f"When it started. {_SILENT}")
    completed_at: datetime | None = strawberry.field(default=None, description=f"When it ended. {_SILENT}")
    duration_ms: int | None = strawberry.field(
        default=None, description=f"How long it took, in ms. {_SILENT}"
    )
    steps: list[StepReportInput] = strawberry.field(
        default_factory=list, description=f"Its steps. At most {rules.MAX_STEPS}."
    )


@strawberry.input(description="A run, as far as this report speaks of it. Order and repeats do not matter.")
class RunReportInput:
    run_id: str = strawberry.field(
        description="Id of the run, unique in the cluster. At most 128 characters."
    )
    at: datetime | None = strawberry.field(
        default=None,
        description="The orchestrator's clock when this was so; of two reports the later one counts.",
    )
    workflow_name: str | None = strawberry.field(default=None, description=f"Name of the workflow. {_SILENT}")
    registration_id: str | None = strawberry.field(
        default=None, description=f"Registration it is of. {_SILENT}"
    )
    status: RunStatus | None = strawberry.field(default=None, description=f"How it is going. {_SILENT}")
    repository: str | None = strawberry.field(default=None, description=f"Repository it is about. {_SILENT}")
    branch: str | None = strawberry.field(default=None, description=f"Branch or tag. {_SILENT}")
    commit_sha: str | None = strawberry.field(default=None, description=f"Commit. {_SILENT}")
    commit_message: str | None = strawberry.field(
        default=None, description=f"First line of its message. {_SILENT}"
    )
    trigger_type: str | None = strawberry.field(default=None, description=f"What triggered it. {_SILENT}")
    triggered_by: str | None = strawberry.field(default=None, description=f"Who triggered it. {_SILENT}")
    cancelled_by: str | None = strawberry.field(default=None, description=f"Who cancelled it. {_SILENT}")
    failure_reason: str | None = strawberry.field(default=None, description=f"Why it failed. {_SILENT}")
    parent_run_id: str | None = strawberry.field(default=None, description=f"Run that it repeats. {_SILENT}")
    original_run_id: str | None = strawberry.field(default=None, description=f"First run of those. {_SILENT}")
    queued_at: datetime | None = strawberry.field(
        default=None, description="When it was queued; counts once."
    )
    started_at: datetime | None = strawberry.field(default=None, description=f"When it started. {_SILENT}")
    completed_at: datetime | None = strawberry.field(default=None, description=f"When it ended. {_SILENT}")
    duration_ms: int | None = strawberry.field(
        default=None, description=f"How long it took, in ms. {_SILENT}"
    )
    job_count: int | None = strawberry.field(
        default=None,
        description=(
            "How many jobs it has by now. A later status that comes with more jobs than the end came with continues the run."
        ),
    )
    jobs: list[JobReportInput] = strawberry.field(
        default_factory=list, description=f"Its jobs. At most {rules.MAX_JOBS}."
    )


@strawberry.input(description="Runs, jobs and steps.")
class OrchestratorReportRunsInput:
    connection_id: str = strawberry.field(description=_CONNECTION)
    runs: list[RunReportInput] = strawberry.field(description=f"At most {rules.MAX_RUNS}.")


@strawberry.input(description="Consecutive lines of one step's log. Sending them again is harmless.")
class LogPartInput:
    run_id: str = strawberry.field(description="Id of the run, as reported.")
    job_id: str = strawberry.field(description="Id of the job, as reported.")
    step: int = strawberry.field(description="Number of the step; -1: before the first.")
    first_line: int = strawberry.field(description="Number of the first line here, from 0.")
    lines: list[str] = strawberry.field(description=f"The lines, each at most {rules.MAX_LINE} characters.")


@strawberry.input(description="Log lines.")
class OrchestratorReportLogsInput:
    connection_id: str = strawberry.field(description=_CONNECTION)
    parts: list[LogPartInput] = strawberry.field(
        description=f"At most {rules.MAX_LOG_PARTS}, with at most {rules.MAX_LOG_LINES} lines in all."
    )


@strawberry.input(description="The answer to a command.")
class OrchestratorCompleteCommandInput:
    connection_id: str = strawberry.field(description=_CONNECTION)
    command_id: strawberry.ID = strawberry.field(description="Id of the command.")
    succeeded: bool = strawberry.field(description="Whether it was done.")
    message: str | None = strawberry.field(
        default=None, description="Why not, in words. At most 2000 characters."
    )
    result: JSON | None = strawberry.field(default=None, description="What else there is to say, an object.")
