"""Every request that we may send to an orchestrator, as a table, and the only way to build one.

A malformed id is not refused by an orchestrator, it stops the process. So nothing leaves that the table doesn't name,
and no id leaves that is no UUID.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kici_gql.errors import InvalidInput
from kici_gql.relay.messages.introduction import Capabilities
from kici_gql.relay.messages.values import MAX_ID, MAX_NAME, is_uuid

Rule = Callable[[object], bool]
JsonType = type[dict[str, Any]] | type[list[Any]] | type[str] | type[int] | type[bool]


def _uuid(value: object) -> bool:
    return is_uuid(value)


def _text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _limit(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000


def _step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= 100_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One request. `carries` are the keys that its answer must have, by type, to be taken for one."""

    type: str
    required: Mapping[str, Rule] = field(default_factory=dict)
    optional: Mapping[str, Rule] = field(default_factory=dict)
    carries: Mapping[str, JsonType] = field(default_factory=dict)
    operation: str | None = None
    """Its name in the orchestrator's write policy; None for reads and for what no policy governs."""
    changes: bool = False
    """Whether an answer that never comes leaves open what was done."""
    seconds: float = 10.0

    @property
    def silent_when_wrong(self) -> bool:
        """`run.*` is not answered at all when it is unknown or malformed."""
        return self.type.startswith("run.")


def _write(type_: str, operation: str | None = None, **how: Any) -> Kind:
    return Kind(type_, operation=operation, changes=True, seconds=how.pop("seconds", 15.0), **how)


_ID = {"registrationId": _uuid}
_RUN = {"runId": _uuid}
_NAME = {"name": _text}
_CONTEXT = {"contextId": _uuid}
_DEAD_LETTER = {"orgId": _text, "eventId": _uuid}

KINDS: Mapping[str, Kind] = {
    kind.type: kind
    for kind in (
        Kind(
            "dashboard.diagnostics",
            optional={"includeAgents": _flag},
            carries={"orchestrator": dict},
            seconds=5.0,
        ),
        Kind(
            "dashboard.registrations.list",
            optional={"triggerType": _text, "repoIdentifier": _text},
            carries={"registrations": list},
        ),
        _write("dashboard.registration.disable", "registration.disable", required=_ID | {"disabled": _flag}),
        _write(
            "dashboard.registration.delete",
            "registration.delete",
            required=_ID,
            optional={"cancelActiveRuns": _flag},
        ),
        _write("run.manual_schedule.request", required=_ID, carries={"newRunId": str}),
        _write(
            "run.cancel.request", required=_RUN, optional={"force": _flag}, carries={"cancelledJobs": int}
        ),
        _write("run.rerun.request", required=_RUN, optional={"routingKey": _text}, carries={"newRunId": str}),
        Kind("dashboard.run.detail", required=_RUN, carries={"jobs": list}),
        Kind(
            "dashboard.step.logs",
            required=_RUN | {"jobId": _text, "stepIndex": _step},
            carries={"lines": list},
            seconds=30.0,
        ),
        Kind("dashboard.backends.list", carries={"backends": list}),
        _write("dashboard.backends.sync", "backends.sync", carries={"results": list}, seconds=60.0),
        _write(
            "dashboard.backends.sync.one",
            "backends.sync_one",
            required=_NAME,
            carries={"synced": bool},
            seconds=30.0,
        ),
        _write("dashboard.backends.test", "backends.test", required=_NAME, carries={"ok": bool}),
        Kind(
            "dashboard.contexts.list",
            optional={"includeSecrets": _flag, "orgId": _text},
            carries={"contexts": list},
        ),
        Kind("dashboard.contexts.get", required=_CONTEXT, carries={"context": dict}, seconds=2.0),
        Kind(
            "dashboard.contexts.variables.list", required=_CONTEXT, carries={"variables": list}, seconds=2.0
        ),
        Kind("dashboard.contexts.bindings.list", required=_CONTEXT, carries={"bindings": list}, seconds=2.0),
        Kind("dashboard.contexts.secrets.list", carries={"secrets": list}),
        Kind(
            "dashboard.event-dlq.list",
            required={"orgId": _text},
            optional={"limit": _limit, "before": _text},
            carries={"items": list},
        ),
        Kind("dashboard.event-dlq.count", required={"orgId": _text}, carries={"total": int}),
        _write(
            "dashboard.event-dlq.retry", "event_dlq.retry", required=_DEAD_LETTER, carries={"retried": bool}
        ),
        _write(
            "dashboard.event-dlq.discard",
            "event_dlq.discard",
            required=_DEAD_LETTER,
            carries={"discarded": bool},
        ),
        Kind("dashboard.global-workflows.get", carries={"settings": dict}),
    )
}
"""By the newest spelling. 0.1 calls contexts `environments`; `spelling` says which one a connection knows."""


def spelling(type_: str, capabilities: Capabilities) -> str:
    """The type as this orchestrator spells it."""
    if not type_.startswith("dashboard.contexts."):
        return type_
    older = type_.replace("dashboard.contexts.", "dashboard.environments.", 1)
    requests = capabilities.requests
    return older if requests is None or "dashboard.contexts.list" not in requests else type_


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: one of our tokens by its name, or the server itself."""

    token_name: str | None = None

    def body(self) -> Mapping[str, str]:
        if self.token_name is None:
            return {"type": "system", "component": "kici_gql"}
        return {"type": "service_account", "id": self.token_name[:MAX_ID] or "unnamed"}


@dataclass(frozen=True, slots=True)
class Request:
    """A checked request. Build it with `request`."""

    kind: Kind
    arguments: Mapping[str, Any]
    actor: Actor
    asked_at: datetime | None = None

    def frame(self, request_id: str, capabilities: Capabilities) -> Mapping[str, Any]:
        type_ = spelling(self.kind.type, capabilities)
        older = type_ != self.kind.type
        return {
            "type": type_,
            "requestId": request_id,
            "actor": self.actor.body(),
            **{
                "environmentId" if older and name == "contextId" else name: value
                for name, value in self.arguments.items()
            },
        }


def request(type_: str, actor: Actor = Actor(), **arguments: Any) -> Request:
    """A request that may leave. Raises InvalidInput, naming the first argument that must not."""
    kind = KINDS.get(type_)
    if kind is None:
        raise InvalidInput(f"{type_[:80]!r} is no request that may be sent", path=["type"])
    given = {name: value for name, value in arguments.items() if name in kind.required or value is not None}
    for name in kind.required:
        if name not in given:
            raise InvalidInput(f"{type_} needs {name}", path=[name])
    for name, value in given.items():
        rule = kind.required.get(name) or kind.optional.get(name)
        if rule is None or not rule(value):
            raise InvalidInput(
                f"{str(value)[:80]!r} must not be sent as {name}",
                hint="Ids have to be UUIDs." if rule is _uuid else None,
                path=[name],
            )
    return Request(kind, given, actor)
