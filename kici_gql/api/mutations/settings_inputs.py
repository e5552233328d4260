"""What orchestrators tell of their settings. Names and rules only: never send the value of a secret."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case

from kici_gql.events import iso
from kici_gql.tables import BackendHealth, Surface

_SILENT = "Left out: this report does not speak of it."


@strawberry.input(description="One setting.")
class SettingInput:
    key: str = strawberry.field(description="Name of the setting.")
    value: str = strawberry.field(description="Its value; never a secret.")


@strawberry.input(description="Whether a write is allowed from outside.")
class WritePermissionInput:
    operation: str = strawberry.field(description="KiCI's name of the write, such as `registration.disable`.")
    allowed: bool = strawberry.field(description="Whether it is.")


@strawberry.input(description="The cluster's security policy.")
class SecurityPolicyInput:
    settings: list[SettingInput] = strawberry.field(
        default_factory=list, description="The policy's settings."
    )
    writes: list[WritePermissionInput] = strawberry.field(
        default_factory=list,
        description="Writes that are allowed or forbidden from outside; others are allowed.",
    )


@strawberry.input(description="A condition for using an environment.")
class ProtectionRuleInput:
    type: str = strawberry.field(description="Kind of rule, such as `required_reviewers`.")
    description: str | None = strawberry.field(default=None, description="The rule in words.")


@strawberry.input(description="An environment.")
class EnvironmentInput:
    name: str = strawberry.field(description="Name, or the pattern of names it stands for.")
    type: str = strawberry.field(default="fixed", description="`fixed` or `glob`.")
    enabled: bool = strawberry.field(default=True, description="Whether jobs may use it.")
    protection_rules: list[ProtectionRuleInput] = strawberry.field(
        default_factory=list, description="Conditions for using it."
    )
    variable_names: list[str] = strawberry.field(default_factory=list, description="Names of its variables.")
    glob_pattern: str | None = strawberry.field(
        default=None, description="Pattern of the names it stands for, unless it stands for itself."
    )
    secret_scopes: list[str] | None = strawberry.field(
        default=None, description="Scopes of the secrets that its jobs may read, or patterns of them."
    )


@strawberry.input(description="Secrets that belong together, by name.")
class SecretScopeInput:
    name: str = strawberry.field(description="Name of the scope.")
    secret_names: list[str] = strawberry.field(default_factory=list, description="Names of its secrets.")
    bindings: list[str] = strawberry.field(default_factory=list, description="What may use it.")


@strawberry.input(description="An event that could not be delivered.")
class DeadLetterInput:
    id: str = strawberry.field(description="Id, unique in the cluster.")
    event_name: str = strawberry.field(description="Name of the event.")
    source_repository: str | None = strawberry.field(
        default=None, description="Repository that it came from."
    )
    reason: str | None = strawberry.field(default=None, description="Why it was given up.")
    last_error: str | None = strawberry.field(default=None, description="What went wrong last.")
    attempts: int = strawberry.field(default=0, description="How often it was tried.")
    created_at: datetime | None = strawberry.field(default=None, description="When it was sent.")
    dead_at: datetime | None = strawberry.field(default=None, description="When it was given up.")


@strawberry.input(description="Which repositories may have workflows that listen to the whole org.")
class GlobalWorkflowsInput:
    enabled: bool = strawberry.field(description="Whether there are any.")
    allowed_repositories: list[str] | None = strawberry.field(
        default=None, description="Only these; null: all."
    )
    denied_repositories: list[str] | None = strawberry.field(
        default=None, description="Not these; null: none."
    )
    elevated_repositories: list[str] | None = strawberry.field(default=None, description="These may do more.")


@strawberry.input(description="A secret backend.")
class SecretBackendInput:
    name: str = strawberry.field(description="Name, unique in the cluster.")
    type: str = strawberry.field(description="Kind of backend, such as `vault`.")
    connected: bool = strawberry.field(description="Whether the orchestrator is connected to it.")
    health: BackendHealth = strawberry.field(default=BackendHealth.UNKNOWN, description="How it is.")
    scopes: list[str] = strawberry.field(default_factory=list, description="Secret scopes found in it.")
    last_sync_at: datetime | None = strawberry.field(default=None, description="When it was last read.")
    last_error: str | None = strawberry.field(default=None, description="What went wrong last.")


@strawberry.input(
    description="Settings of a cluster. Each part that is given replaces what was told of it before."
)
class OrchestratorReportSettingsInput:
    connection_id: str = strawberry.field(description="As `orchestratorConnect` answered it.")
    security_policy: SecurityPolicyInput | None = strawberry.field(default=None, description=_SILENT)
    environments: list[EnvironmentInput] | None = strawberry.field(default=None, description=_SILENT)
    secret_scopes: list[SecretScopeInput] | None = strawberry.field(default=None, description=_SILENT)
    dead_letters: list[DeadLetterInput] | None = strawberry.field(default=None, description=_SILENT)
    global_workflows: GlobalWorkflowsInput | None = strawberry.field(default=None, description=_SILENT)
    secret_backends: list[SecretBackendInput] | None = strawberry.field(
        default=None, description=f"All of them. {_SILENT}"
    )


@dataclass(frozen=True, slots=True)
class Told:
    """The parts of a report, each as the document that the surface is."""

    surfaces: dict[Surface, dict[str, Any]]
    backends: list[SecretBackendInput] | None


def told_by(report: OrchestratorReportSettingsInput) -> Told:
    """The report as documents. Nothing is judged here: a refusal belongs into the action, which leaves an audit row."""
    found: dict[Surface, dict[str, Any]] = {}
    if report.security_policy is not None:
        found[Surface.SECURITY_POLICY] = {
            "settings": {each.key: each.value for each in report.security_policy.settings},
            "dashboardWrites": {each.operation: each.allowed for each in report.security_policy.writes},
        }
    lists: tuple[tuple[Surface, list[Any] | None], ...] = (
        (Surface.ENVIRONMENTS, report.environments),
        (Surface.SECRET_SCOPES, report.secret_scopes),
        (Surface.DEAD_LETTERS, report.dead_letters),
    )
    for surface, items in lists:
        if items is not None:
            found[surface] = {"items": [_document(each) for each in items]}
    if report.global_workflows is not None:
        found[Surface.GLOBAL_WORKFLOWS] = _document(report.global_workflows)
    return Told(found, report.secret_backends)


def _document(item: Any) -> Any:
    """An input as JSON, its names as in GraphQL."""
    if isinstance(item, list):
        return [_document(each) for each in item]
    if isinstance(item, datetime):
        return iso(item)
    if not hasattr(item, "__strawberry_definition__"):
        return item
    return {to_camel_case(name): _document(value) for name, value in vars(item).items()}
