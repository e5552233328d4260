"""The answers about an orchestrator's workflow registry and secret backends, in our shapes.

A registration has the shape of `rules.run_reports.Workflow`. The list has no order of its own and is that of the
whole database behind the orchestrator; it is sorted, so that two lists of the same registrations are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kici_gql.relay.messages import values
from kici_gql.relay.messages.redaction import redact_all
from kici_gql.relay.messages.values import Body
from kici_gql.rules import run_reports, schedules

MAX_BACKENDS = 500
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Trigger:
    type: str
    config: dict[str, Any]


@dataclass(slots=True)
class Workflow:
    """KiCI declares no inputs on the wire, so `inputs` is always empty."""

    registration_id: str
    name: str
    repository: str
    source_repos: list[str]
    source_file: str | None
    commit_sha: str | None
    enabled: bool
    registered_at: datetime | None
    last_triggered_at: datetime | None
    next_fire_at: datetime | None
    triggers: list[Trigger]
    inputs: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Registry:
    """`registry_version` counts the changes of the registry."""

    registry_version: str | None
    workflows: list[Workflow]


def read_registry(body: Body) -> Registry:
    found: dict[str, Workflow] = {}
    for each in values.items(body.get("registrations"), run_reports.MAX_WORKFLOWS):
        workflow = _workflow(each)
        if workflow is not None:
            found[workflow.registration_id] = workflow
    version = body.get("registryVersion")
    shown = str(version) if isinstance(version, int) else values.ident(version)
    return Registry(shown, [found[key] for key in sorted(found)])


def _workflow(body: Body) -> Workflow | None:
    registration_id, name = values.ident(body.get("id")), values.name(body.get("workflowName"))
    if registration_id is None or name is None:
        return None
    return Workflow(
        registration_id=registration_id,
        name=name,
        repository=values.name(body.get("repoIdentifier")) or "unknown",
        source_repos=list(values.labels(body.get("sourceRepos")) or ()),
        source_file=values.message(body.get("sourceFile")),
        commit_sha=values.ident(body.get("commitSha")),
        enabled=body.get("disabled") is not True,
        registered_at=values.moment(body.get("createdAt")),
        last_triggered_at=values.moment(body.get("lastTriggeredAt")),
        next_fire_at=values.moment(body.get("nextFireAt")),
        triggers=_triggers(body),
    )


def _triggers(body: Body) -> list[Trigger]:
    """Each trigger's configuration under its type; a type without a configuration is kept all the same."""
    found = []
    for each in values.items(body.get("triggers"), run_reports.MAX_TRIGGERS):
        type_ = values.ident(each.get("_type"))
        config = redact_all({key: value for key, value in each.items() if key not in {"_type", "type"}})
        if type_ is not None and len(str(config)) <= run_reports.MAX_TRIGGER_BYTES:
            found.append(Trigger(type_, _readable(type_, config)))
    configured = {trigger.type for trigger in found}
    types: Sequence[str] = values.labels(body.get("triggerTypes")) or ()
    bare = [Trigger(type_, {}) for type_ in types if type_ not in configured]
    return [*found, *bare][: run_reports.MAX_TRIGGERS]


def _readable(type_: str, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration; an expression that we can't read must not cost the whole list, so it moves aside."""
    configured = config | {"type": type_}
    cron = schedules.cron_of(configured)
    try:
        if cron is not None:
            schedules.next_fire(cron, schedules.zone_of(configured), _SOME_TIME)
    except schedules.BadSchedule as error:
        kept = {key: value for key, value in config.items() if key not in {"cron", "cronExpression"}}
        return kept | {"unreadableCron": cron, "problem": str(error)}
    return config


@dataclass(slots=True)
class SecretBackend:
    """Where an orchestrator finds secrets. Health is the orchestrator's own verdict, renewed every minute."""

    external_id: str
    name: str
    type: str
    enabled: bool
    health: str
    scope_count: int
    scope_filter: str | None
    sync_interval_ms: int | None
    last_sync_at: datetime | None
    last_sync_error: str | None
    last_health_check_at: datetime | None


def read_backends(body: Body) -> list[SecretBackend]:
    found = {}
    for each in values.items(body.get("backends"), MAX_BACKENDS):
        name = values.name(each.get("name"))
        if name is not None:
            found[name] = _backend(each, name)
    return [found[name] for name in sorted(found)]


def _backend(body: Body, name: str) -> SecretBackend:
    return SecretBackend(
        external_id=values.ident(body.get("id")) or name,
        name=name,
        type=values.ident(body.get("backendType")) or "unknown",
        enabled=body.get("enabled") is not False,
        health=values.ident(body.get("healthStatus")) or "unknown",
        scope_count=values.number(body.get("scopeCount")) or 0,
        scope_filter=values.name(body.get("scopeFilter")),
        sync_interval_ms=values.number(body.get("syncIntervalMs")),
        last_sync_at=values.moment(body.get("lastSyncAt")),
        last_sync_error=values.message(body.get("lastSyncError")),
        last_health_check_at=values.moment(body.get("lastHealthCheckAt")),
    )
