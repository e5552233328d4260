"""A cluster's scoped surfaces: what its orchestrators alone hold, with the time it was true."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry

from kici_gql import tables
from kici_gql.actions.surfaces import Reported
from kici_gql.api.context import Info
from kici_gql.api.types.base import ConfigEntry, LaterCluster, Node
from kici_gql.rules import settings_reports as rules
from kici_gql.rules.settings_reports import WriteState
from kici_gql.tables import BackendHealth, Prefix

BackendRow = strawberry.Parent[tables.SecretBackend]

_REPORTED = "When it was so: reported, or asked for just now."


@strawberry.type(description="Whether a write is allowed from outside the cluster.")
class WritePermission:
    operation: str = strawberry.field(description="KiCI's name of the write, such as `registration.disable`.")
    allowed: bool = strawberry.field(description="Whether it is; also when it must be sealed.")
    state: WriteState = strawberry.field(description="Allowed, only with a sealed value, or forbidden.")
    command_line: str | None = strawberry.field(
        description="Line that does the same on an orchestrator's host; null when there is none."
    )


@strawberry.type(description="The cluster's security policy.")
class SecurityPolicy:
    reported_at: datetime = strawberry.field(description=_REPORTED)
    settings: list[ConfigEntry] = strawberry.field(description="The policy's settings, without secrets.")
    writes: list[WritePermission] = strawberry.field(
        description="Writes that the operator allows or forbids from outside; what is not named is allowed."
    )


@strawberry.type(description="A condition for using an environment.")
class ProtectionRule:
    type: str = strawberry.field(description="Kind of rule, such as `required_reviewers`.")
    description: str | None = strawberry.field(description="The rule in words.")


@strawberry.type(description="Where jobs may deploy to, and under which conditions.")
class Environment:
    name: str = strawberry.field(
        description="Name of the environment, or the pattern of names it stands for."
    )
    type: str = strawberry.field(description="`fixed`, or `glob` when it stands for many.")
    glob_pattern: str | None = strawberry.field(
        description="Pattern of the names it stands for; null when it stands for itself."
    )
    enabled: bool = strawberry.field(description="Whether jobs may use it.")
    protection_rules: list[ProtectionRule] | None = strawberry.field(
        description="Conditions for using it; null when they were not told."
    )
    variable_names: list[str] | None = strawberry.field(
        description="Names of its variables, without the values; null when they were not told."
    )
    secret_scopes: list[str] | None = strawberry.field(
        description="Scopes of the secrets that its jobs may read, or patterns of them; null when they were not told."
    )


@strawberry.type(description="The cluster's environments.")
class EnvironmentList:
    reported_at: datetime = strawberry.field(description=_REPORTED)
    nodes: list[Environment] = strawberry.field(description="All environments.")


@strawberry.type(description="Secrets that belong together. Values are never stored, logged or told.")
class SecretScope:
    name: str = strawberry.field(description="Name of the scope.")
    secret_names: list[str] = strawberry.field(description="Names of its secrets.")
    bindings: list[str] | None = strawberry.field(
        description="What may use it: environments, repositories, workflows. Null when that was not told: see the environments."
    )


@strawberry.type(description="The cluster's secret scopes.")
class SecretScopeList:
    reported_at: datetime = strawberry.field(description=_REPORTED)
    nodes: list[SecretScope] = strawberry.field(description="All scopes.")


@strawberry.type(description="An event that could not be delivered.")
class DeadLetter:
    id: strawberry.ID = strawberry.field(
        description="Id in its cluster, for `deadLetterRetry` and `deadLetterDiscard`."
    )
    event_name: str = strawberry.field(description="Name of the event.")
    source_repository: str | None = strawberry.field(description="Repository that it came from.")
    reason: str | None = strawberry.field(description="Why it was given up.")
    last_error: str | None = strawberry.field(description="What went wrong last.")
    attempts: int = strawberry.field(description="How often it was tried.")
    created_at: datetime | None = strawberry.field(description="When it was sent.")
    dead_at: datetime | None = strawberry.field(description="When it was given up.")


@strawberry.type(description="The cluster's dead-letter queue.")
class DeadLetterList:
    reported_at: datetime = strawberry.field(description=_REPORTED)
    nodes: list[DeadLetter] = strawberry.field(description="All dead letters that were told.")


@strawberry.type(description="Which repositories may have workflows that listen to the whole org.")
class GlobalWorkflows:
    reported_at: datetime = strawberry.field(description=_REPORTED)
    enabled: bool = strawberry.field(description="Whether there are any.")
    allowed_repositories: list[str] | None = strawberry.field(description="Only these; null: all.")
    denied_repositories: list[str] | None = strawberry.field(description="Not these; null: none.")
    elevated_repositories: list[str] | None = strawberry.field(description="These may do more; null: none.")


@strawberry.type(description="Where a cluster keeps its secrets.")
class SecretBackend(Node):
    PREFIX = Prefix.SECRET_BACKEND

    name: str = strawberry.field(description="Name, unique in its cluster.")
    type: str = strawberry.field(description="Kind of backend, such as `vault`, `pg` or `files`.")
    connected: bool = strawberry.field(description="Whether its orchestrator is connected to it.")
    health: BackendHealth = strawberry.field(description="How it is.")
    scopes: list[str] = strawberry.field(description="Secret scopes found in it.")
    last_sync_at: datetime | None = strawberry.field(description="When it was last read; null: never.")
    last_error: str | None = strawberry.field(description="What went wrong last; null: nothing.")
    reported_at: datetime = strawberry.field(
        description="When its orchestrator last told something new of it."
    )

    @strawberry.field(description="Cluster it belongs to.")
    async def cluster(root: BackendRow, info: Info) -> LaterCluster:
        return await info.context.load.one(tables.Cluster, root.cluster_id)


def security_policy(told: Reported) -> SecurityPolicy:
    writes: Mapping[str, Any] = told.document.get("dashboardWrites", {})
    return SecurityPolicy(
        reported_at=told.at,
        settings=[
            ConfigEntry(key=key, value=str(value))
            for key, value in sorted(told.document.get("settings", {}).items())
        ],
        writes=[
            WritePermission(
                operation=name,
                allowed=(state := rules.state_of(writes, name)) is not WriteState.DISABLED,
                state=state,
                command_line=rules.COMMAND_LINES.get(name),
            )
            for name in sorted({*writes, *rules.COMMAND_LINES})
        ],
    )


def environments(told: Reported) -> EnvironmentList:
    return EnvironmentList(
        reported_at=told.at,
        nodes=[
            Environment(
                name=each["name"],
                type=each.get("type", "fixed"),
                glob_pattern=each.get("globPattern"),
                enabled=each.get("enabled", True),
                protection_rules=rules_of(each.get("protectionRules")),
                variable_names=each.get("variableNames"),
                secret_scopes=each.get("secretScopes"),
            )
            for each in told.document["items"]
        ],
    )


def rules_of(told: Sequence[Mapping[str, Any]] | None) -> list[ProtectionRule] | None:
    if told is None:
        return None
    return [ProtectionRule(type=rule["type"], description=rule.get("description")) for rule in told]


def secret_scopes(told: Reported) -> SecretScopeList:
    return SecretScopeList(
        reported_at=told.at,
        nodes=[
            SecretScope(
                name=each["name"],
                secret_names=list(each.get("secretNames", ())),
                bindings=each.get("bindings"),
            )
            for each in told.document["items"]
        ],
    )


def dead_letters(told: Reported) -> DeadLetterList:
    return DeadLetterList(
        reported_at=told.at,
        nodes=[
            DeadLetter(
                id=each["id"],
                event_name=each["eventName"],
                source_repository=each.get("sourceRepository"),
                reason=each.get("reason"),
                last_error=each.get("lastError"),
                attempts=each.get("attempts", 0),
                created_at=each.get("createdAt"),
                dead_at=each.get("deadAt"),
            )
            for each in told.document["items"]
        ],
    )


def global_workflows(told: Reported) -> GlobalWorkflows:
    document = told.document
    return GlobalWorkflows(
        reported_at=told.at,
        enabled=bool(document.get("enabled")),
        allowed_repositories=document.get("allowedRepositories"),
        denied_repositories=document.get("deniedRepositories"),
        elevated_repositories=document.get("elevatedRepositories"),
    )
