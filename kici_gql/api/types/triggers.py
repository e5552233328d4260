"""Triggers: one type for each kind that KiCI knows; an unknown kind keeps its raw configuration and is never dropped."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import strawberry
from graphql import GraphQLResolveInfo
from strawberry.scalars import JSON

from kici_gql.api.context import Info
from kici_gql.rules import schedules

Raw = strawberry.Parent[Any]
"""A trigger's configuration as it was reported: a mapping with its kind under `type`."""


@strawberry.interface(description="What makes a workflow run.")
class Trigger:
    KIND: ClassVar[str]

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        """A configuration stands for the trigger; its kind says for which."""
        return bool(_KINDS.get(value["type"], GenericTrigger) is cls)

    @strawberry.field(description="Kind of trigger, as KiCI names it.")
    def type(root: Raw) -> str:
        return root["type"]

    @strawberry.field(description="The whole configuration, as it was reported.")
    def config(root: Raw) -> JSON:
        return JSON({name: value for name, value in root.items() if name != "type"})


def _texts(*names: str) -> Callable[[Mapping[str, Any]], list[str]]:
    """Reads a list of texts or patterns under the first of these names that is there."""

    def read(root: Mapping[str, Any]) -> list[str]:
        found: Any = next((root[name] for name in names if root.get(name) is not None), [])
        return [_text(each) for each in (found if isinstance(found, list) else [found])]

    return read


def _text(value: Any) -> str:
    """A pattern may be a text, or an object that says what kind of pattern it is."""
    if isinstance(value, dict) and isinstance(value.get("pattern"), str):
        return value["pattern"]
    return value if isinstance(value, str) else str(value)


def _list(description: str, *names: str) -> Any:
    read = _texts(*names)

    def resolve(root: Raw) -> list[str]:
        return read(root)

    return strawberry.field(resolver=resolve, description=description)


_BRANCHES = "Patterns of branches; empty: all."
_PATHS = "Patterns of changed files; empty: all."
_ACTIONS = "Actions that count, such as `opened`; empty: all."


@strawberry.type(description="A push.")
class PushTrigger(Trigger):
    KIND = "push"
    branches: list[str] = _list(_BRANCHES, "branches")
    paths: list[str] = _list(_PATHS, "paths")


@strawberry.type(description="A pull request.")
class PullRequestTrigger(Trigger):
    KIND = "pr"
    branches: list[str] = _list("Patterns of target branches; empty: all.", "branches", "targetBranches")
    paths: list[str] = _list(_PATHS, "paths")
    actions: list[str] = _list(_ACTIONS, "actions", "events")


@strawberry.type(description="A tag was pushed.")
class TagTrigger(Trigger):
    KIND = "tag"
    patterns: list[str] = _list("Patterns of tags; empty: all.", "patterns", "tags")


@strawberry.type(description="A time, by a cron expression.")
class ScheduleTrigger(Trigger):
    KIND = "schedule"

    @strawberry.field(description="Cron expression of five fields; null when it was reported without one.")
    def cron(root: Raw) -> str | None:
        return schedules.cron_of(root)

    @strawberry.field(description="Time zone of the IANA database that the expression is read in.")
    def timezone(root: Raw) -> str:
        return schedules.zone_of(root) or "UTC"

    @strawberry.field(description="What it is for.")
    def description(root: Raw) -> str | None:
        value = root.get("description")
        return value if isinstance(value, str) else None

    @strawberry.field(
        description="Next time it fires, as computed here; null when the expression is malformed."
    )
    def next_fire_at(root: Raw, info: Info) -> datetime | None:
        return schedules.next_fire_of([root], info.context.services.store.now())


@strawberry.type(description="A webhook of a known provider.")
class WebhookTrigger(Trigger):
    KIND = "webhook"
    events: list[str] = _list("Names of events; empty: all.", "events", "event")
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="A webhook of any sender.")
class GenericWebhookTrigger(Trigger):
    KIND = "generic_webhook"
    sources: list[str] = _list("Names of sources; empty: all.", "sources", "source")
    events: list[str] = _list("Names of events; empty: all.", "events", "event")


@strawberry.type(description="An event that a workflow sent.")
class KiciEventTrigger(Trigger):
    KIND = "kici_event"
    events: list[str] = _list("Names of events.", "events", "eventNames", "name", "event")


@strawberry.type(description="An orchestrator starts or stops, an agent comes or goes.")
class LifecycleTrigger(Trigger):
    KIND = "lifecycle"
    events: list[str] = _list("Names of events; empty: all.", "events", "event")


@strawberry.type(description="Another workflow has ended.")
class WorkflowCompleteTrigger(Trigger):
    KIND = "workflow_complete"
    workflows: list[str] = _list("Names of workflows; empty: all.", "workflows", "workflow")
    statuses: list[str] = _list("How they ended; empty: any way.", "statuses", "status", "conclusions")


@strawberry.type(description="A job of another workflow has ended.")
class JobCompleteTrigger(Trigger):
    KIND = "job_complete"
    workflows: list[str] = _list("Names of workflows; empty: all.", "workflows", "workflow")
    jobs: list[str] = _list("Names of jobs; empty: all.", "jobs", "job")
    statuses: list[str] = _list("How they ended; empty: any way.", "statuses", "status", "conclusions")


@strawberry.type(description="A comment.")
class CommentTrigger(Trigger):
    KIND = "comment"
    patterns: list[str] = _list("Patterns of the text; empty: any.", "patterns", "pattern", "commands")
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="A review of a pull request.")
class ReviewTrigger(Trigger):
    KIND = "review"
    states: list[str] = _list("Verdicts, such as `approved`; empty: all.", "states", "state")
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="A comment in a review.")
class ReviewCommentTrigger(Trigger):
    KIND = "review_comment"
    patterns: list[str] = _list("Patterns of the text; empty: any.", "patterns", "pattern")
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="A release.")
class ReleaseTrigger(Trigger):
    KIND = "release"
    patterns: list[str] = _list("Patterns of tags; empty: all.", "patterns", "tags")
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="A dispatch event sent through the provider's API.")
class DispatchTrigger(Trigger):
    KIND = "dispatch"
    events: list[str] = _list("Names of events; empty: all.", "events", "types", "event")


@strawberry.type(description="A branch or tag was created.")
class CreateTrigger(Trigger):
    KIND = "create"
    ref_types: list[str] = _list("`branch`, `tag`; empty: both.", "refTypes", "refType")
    patterns: list[str] = _list("Patterns of names; empty: all.", "patterns", "branches")


@strawberry.type(description="A branch or tag was deleted.")
class DeleteTrigger(Trigger):
    KIND = "delete"
    ref_types: list[str] = _list("`branch`, `tag`; empty: both.", "refTypes", "refType")
    patterns: list[str] = _list("Patterns of names; empty: all.", "patterns", "branches")


@strawberry.type(description="A commit status was set.")
class StatusTrigger(Trigger):
    KIND = "status"
    contexts: list[str] = _list("Names of statuses; empty: all.", "contexts", "context")
    states: list[str] = _list("States; empty: all.", "states", "state")


@strawberry.type(description="A workflow of the provider's own CI ran.")
class WorkflowRunTrigger(Trigger):
    KIND = "workflow_run"
    workflows: list[str] = _list("Names of workflows; empty: all.", "workflows", "workflow")
    branches: list[str] = _list(_BRANCHES, "branches")
    conclusions: list[str] = _list("How they ended; empty: any way.", "conclusions", "conclusion")


@strawberry.type(description="The repository was forked.")
class ForkTrigger(Trigger):
    KIND = "fork"


@strawberry.type(description="The repository was starred.")
class StarTrigger(Trigger):
    KIND = "star"
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(description="Somebody watches the repository.")
class WatchTrigger(Trigger):
    KIND = "watch"
    actions: list[str] = _list(_ACTIONS, "actions")


@strawberry.type(
    description="A kind of trigger that this server does not know; its configuration is kept as it is."
)
class GenericTrigger(Trigger):
    KIND = ""


TRIGGERS: tuple[type[Trigger], ...] = (
    PushTrigger,
    PullRequestTrigger,
    TagTrigger,
    ScheduleTrigger,
    WebhookTrigger,
    GenericWebhookTrigger,
    KiciEventTrigger,
    LifecycleTrigger,
    WorkflowCompleteTrigger,
    JobCompleteTrigger,
    CommentTrigger,
    ReviewTrigger,
    ReviewCommentTrigger,
    ReleaseTrigger,
    DispatchTrigger,
    CreateTrigger,
    DeleteTrigger,
    StatusTrigger,
    WorkflowRunTrigger,
    ForkTrigger,
    StarTrigger,
    WatchTrigger,
    GenericTrigger,
)
_KINDS = {each.KIND: each for each in TRIGGERS if each.KIND}
