"""Filters: the same inputs for connections and for subscriptions."""

from collections.abc import Callable
from copy import copy
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry
from sqlmodel import SQLModel
from strawberry.utils.str_converters import to_camel_case

from kici_gql.api.context import Context
from kici_gql.api.ordering import order_of, window_of
from kici_gql.errors import ErrorCode, InvalidInput, LimitExceeded
from kici_gql.rules.workflows import STALE_AFTER
from kici_gql.store.filters import Condition
from kici_gql.store.paging import Listing
from kici_gql.tables import (
    AlertKind,
    AlertSeverity,
    AlertState,
    AuditOutcome,
    CommandKind,
    CommandState,
    Liveness,
    OrchestratorRole,
    RunStatus,
    ScalerType,
)

MAX_VALUES = 100

_MAX = f"At most {MAX_VALUES}."


@strawberry.input(description="Conditions on a text; all given ones must hold.")
class StringFilter:
    eq: str | None = strawberry.field(default=None, description="Equals this text.")
    one_of: list[str] | None = strawberry.field(
        default=None, description=f"Equals one of these texts. {_MAX}"
    )
    contains: str | None = strawberry.field(
        default=None, description="Has this text somewhere; A to Z in any case."
    )


@strawberry.input(description="Conditions on a list of texts; all given ones must hold.")
class ListFilter:
    has: str | None = strawberry.field(default=None, description="Has this item.")
    has_any: list[str] | None = strawberry.field(default=None, description=f"Has one of these items. {_MAX}")


@strawberry.input(description="Conditions on liveness; all given ones must hold.")
class LivenessFilter:
    eq: Liveness | None = strawberry.field(default=None, description="Is this.")
    one_of: list[Liveness] | None = strawberry.field(default=None, description="Is one of these.")


@strawberry.input(description="Conditions on a time; all given ones must hold.")
class TimeFilter:
    since: datetime | None = strawberry.field(default=None, description="At this time or later.")
    until: datetime | None = strawberry.field(default=None, description="Before this time.")


@strawberry.input(description="Conditions on clusters; all given ones must hold.")
class ClusterWhere:
    name: StringFilter | None = strawberry.field(default=None, description="Cluster name.")
    auto_named: bool | None = strawberry.field(default=None, description="Whether the server chose the name.")


@strawberry.input(description="Conditions on orchestrators; all given ones must hold.")
class OrchestratorWhere:
    instance_id: StringFilter | None = strawberry.field(default=None, description="Instance id.")
    hostname: StringFilter | None = strawberry.field(default=None, description="Name of the host.")
    version: StringFilter | None = strawberry.field(default=None, description="Version of the program.")
    role: OrchestratorRole | None = strawberry.field(default=None, description="Role in its cluster.")
    liveness: LivenessFilter | None = strawberry.field(default=None, description="Liveness state.")


@strawberry.input(description="Conditions on scalers; all given ones must hold.")
class ScalerWhere:
    name: StringFilter | None = strawberry.field(default=None, description="Name of the scaler.")
    type: ScalerType | None = strawberry.field(default=None, description="How it provisions agents.")
    labels: ListFilter | None = strawberry.field(default=None, description="Labels.")


@strawberry.input(description="Conditions on agents; all given ones must hold.")
class AgentWhere:
    agent_id: StringFilter | None = strawberry.field(
        default=None, description="Agent id, as its orchestrator names it."
    )
    hostname: StringFilter | None = strawberry.field(default=None, description="Name of the host.")
    version: StringFilter | None = strawberry.field(default=None, description="Version of the agent.")
    labels: ListFilter | None = strawberry.field(default=None, description="Labels.")
    paused: bool | None = strawberry.field(default=None, description="Whether it takes no new jobs.")
    liveness: LivenessFilter | None = strawberry.field(default=None, description="Liveness state.")


@strawberry.input(description="Conditions on alerts; all given ones must hold.")
class AlertWhere:
    state: list[AlertState] | None = strawberry.field(default=None, description="Is in one of these states.")
    severity: list[AlertSeverity] | None = strawberry.field(
        default=None, description="Has one of these severities."
    )
    kind: list[AlertKind] | None = strawberry.field(default=None, description="Is of one of these kinds.")
    message: StringFilter | None = strawberry.field(default=None, description="Text of the alert.")
    cluster_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of the cluster it is about."
    )
    subject_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of what exactly it is about."
    )
    opened_at: TimeFilter | None = strawberry.field(default=None, description="When it was last opened.")


@strawberry.input(description="Conditions on audit entries; all given ones must hold.")
class AuditWhere:
    action: StringFilter | None = strawberry.field(default=None, description="Name of the mutation.")
    outcome: AuditOutcome | None = strawberry.field(default=None, description="How it ended.")
    at: TimeFilter | None = strawberry.field(default=None, description="When it was tried.")
    error_code: list[ErrorCode] | None = strawberry.field(
        default=None, description=f"Was refused for one of these reasons. {_MAX}"
    )
    token_id: strawberry.ID | None = strawberry.field(default=None, description="Global id of the token.")
    token_name: StringFilter | None = strawberry.field(default=None, description="Name of the token.")
    object_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of what it was about."
    )
    request_id: str | None = strawberry.field(default=None, description="Id of the request.")


@strawberry.input(description="Conditions on workflows; all given ones must hold.")
class WorkflowWhere:
    name: StringFilter | None = strawberry.field(default=None, description="Name.")
    repository: StringFilter | None = strawberry.field(default=None, description="Repository.")
    trigger_types: ListFilter | None = strawberry.field(default=None, description="Kinds of its triggers.")
    enabled: bool | None = strawberry.field(default=None, description="Whether it is enabled.")
    stale: bool | None = strawberry.field(
        default=None, description="Whether it is enabled and was never triggered, or not in the last 30 days."
    )
    cluster_name: str | None = strawberry.field(default=None, description="Name of its cluster.")


@strawberry.input(description="Conditions on runs; all given ones must hold.")
class RunWhere:
    status: list[RunStatus] | None = strawberry.field(default=None, description="Has one of these statuses.")
    workflow_name: StringFilter | None = strawberry.field(default=None, description="Name of the workflow.")
    workflow_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of the workflow."
    )
    branch: StringFilter | None = strawberry.field(default=None, description="Branch.")
    repository: StringFilter | None = strawberry.field(default=None, description="Repository.")
    trigger_type: StringFilter | None = strawberry.field(default=None, description="What triggered it.")
    cluster_name: str | None = strawberry.field(default=None, description="Name of its cluster.")


@strawberry.input(description="Conditions on commands; all given ones must hold.")
class CommandWhere:
    kind: list[CommandKind] | None = strawberry.field(default=None, description="Is of one of these kinds.")
    state: list[CommandState] | None = strawberry.field(
        default=None, description="Is in one of these states."
    )


def listing(
    model: type[SQLModel],
    parent: str,
    where: Any,
    order_by: Any,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Listing:
    """The list that a connection field's arguments ask for. Raises InvalidInput or LimitExceeded."""
    return Listing(
        model, parent, conditions_of(where), order_of(order_by), window_of(first, after, last, before)
    )


def conditions_of(where: Any) -> tuple[Condition, ...]:
    """What a `where` input asks for. Raises LimitExceeded for a list that is too long, InvalidInput for an empty one."""
    if where is None:
        return ()
    found: list[Condition] = []
    for each in fields(where):
        value = getattr(where, each.name)
        if value is not None:
            found.extend(_conditions(each.name, value))
    return tuple(found)


async def narrowed(context: Context, where: Any, *, live: bool = False) -> tuple[Condition, ...]:
    """As `conditions_of`, for filters that name a cluster or ask for what is stale.

    A cluster that there is not has nothing to list. A stream (`live`) would stay silent for ever, even if the cluster
    came: NotFound or Renamed is raised instead.
    """
    if where is None:
        return ()
    more: list[Condition] = []
    plain = copy(where)
    if where.cluster_name is not None:
        cluster = await (context.known_cluster if live else context.cluster)(
            where.cluster_name, "clusterName"
        )
        more.append(Condition("cluster_id", "in", (cluster.id if cluster is not None else "",)))
        plain.cluster_name = None
    if getattr(where, "stale", None) is not None:
        # To the hour, so that readers who ask within one hour are one group.
        now = context.services.store.now().replace(minute=0, second=0, microsecond=0)
        more.append(Condition("last_triggered_at", "stale", (where.stale, now - STALE_AFTER)))
        plain.stale = None
    return (*conditions_of(plain), *more)


def _conditions(column: str, value: Any) -> list[Condition]:
    if isinstance(value, list):
        return [Condition(column, "in", _several(column, value))]
    if isinstance(value, StrEnum) or not hasattr(value, "__strawberry_definition__"):
        return [Condition(column, "in", (value,))]
    found: list[Condition] = []
    readers: dict[str, Callable[[Any], Condition]] = {
        "eq": lambda given: Condition(column, "in", (given,)),
        "one_of": lambda given: Condition(column, "in", _several(column, given)),
        "contains": lambda given: Condition(column, "contains", (given,)),
        "has": lambda given: Condition(column, "has", (given,)),
        "has_any": lambda given: Condition(column, "has", _several(column, given)),
        "since": lambda given: Condition(column, "since", (given,)),
        "until": lambda given: Condition(column, "until", (given,)),
    }
    for each in fields(value):
        given = getattr(value, each.name)
        if given is not None:
            found.append(readers[each.name](given))
    return found


def _several(column: str, values: list[Any]) -> tuple[Any, ...]:
    path = ["where", to_camel_case(column)]
    if len(values) > MAX_VALUES:
        raise LimitExceeded(f"{len(values)} values are too many", hint=_MAX, path=path)
    if not values:
        raise InvalidInput("a list of values is empty", hint="Leave it out, or name values.", path=path)
    return tuple(values)
