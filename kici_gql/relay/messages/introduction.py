"""How an orchestrator introduces itself: its token, its sources, what it can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kici_gql.relay.messages import values
from kici_gql.relay.messages.values import Body, Field, Fields
from kici_gql.rules.names import CLUSTER_NAME
from kici_gql.rules.settings_reports import WriteState, write_state

MAX_TOKEN = 512
MAX_SOURCES = 1000
MAX_REQUEST_TYPES = 500
MAX_OPERATIONS = 200

_ORG = re.compile(r"[a-z]+:(org_[A-Za-z0-9]+):")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one connection says it can do. `requests` is None when it said nothing: then it is asked and may refuse."""

    role: str | None = None
    requests: frozenset[str] | None = None
    writes: Mapping[str, WriteState] = field(default_factory=dict)
    can_open_sealed: bool = False
    extra: Body = field(default_factory=dict)

    def supports(self, request_type: str) -> bool:
        return self.requests is None or request_type in self.requests

    def write_state(self, operation: str) -> WriteState:
        """The state of an operation under either spelling; what the map doesn't name is allowed."""
        for spelling in (operation, operation.replace("contexts.", "environments.", 1)):
            if spelling in self.writes:
                return self.writes[spelling]
        return WriteState.ALLOWED


_KNOWN_CAPABILITIES = ("orchRole", "supportedDashboardRequests", "dashboardWrites", "dashboardEncryptionKey")


def read_capabilities(body: Body) -> Capabilities:
    requests = body.get("supportedDashboardRequests")
    read_requests = values.texts(MAX_REQUEST_TYPES, values.MAX_ID)
    return Capabilities(
        role=values.ident(body.get("orchRole")),
        requests=frozenset(read_requests(requests)) if isinstance(requests, list) else None,
        writes=_writes(values.mapping(body.get("dashboardWrites"))),
        can_open_sealed=bool(body.get("dashboardEncryptionKey")),
        extra=values.rest(body, {}, *_KNOWN_CAPABILITIES),
    )


def _writes(policy: Body) -> dict[str, WriteState]:
    """What is not simply allowed."""
    told = {
        operation[: values.MAX_ID]: write_state(state)
        for operation, state in list(policy.items())[:MAX_OPERATIONS]
    }
    return {operation: state for operation, state in told.items() if state is not WriteState.ALLOWED}


@dataclass(frozen=True, slots=True)
class AuthRequest:
    token: str = field(repr=False)
    protocol_version: int | None
    capabilities: Capabilities


def read_auth_request(body: Body) -> AuthRequest | None:
    token = body.get("token")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        return None
    capabilities = read_capabilities(values.mapping(body.get("capabilities")))
    return AuthRequest(token, values.number(body.get("protocolVersion")), capabilities)


@dataclass(frozen=True, slots=True)
class Source:
    routing_key: str
    provider: str | None = None
    name: str | None = None
    subtype: str | None = None


def org_of(routing_keys: tuple[str, ...]) -> str:
    """The orchestrator's own name for its org, which some requests want. It filters nothing and labels its audit log."""
    found = (_ORG.match(key) for key in routing_keys)
    return next((match[1] for match in found if match is not None), "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """`source.register`. `cluster_id` stays when the cluster is renamed; `instance_id` is new with each process."""

    message_id: str
    sources: tuple[Source, ...]
    instance_id: str | None = None
    cluster_name: str | None = None
    cluster_id: str | None = None
    address: str | None = None
    version: str | None = None
    mode: str | None = None
    scaler_backends: tuple[str, ...] | None = None
    queue_timeout_ms: int | None = None
    deployment: Body | None = None
    extra: Body = field(default_factory=dict)


def cluster_name(value: object) -> str | None:
    """A name that we can use. KiCI allows a hyphen at the end, a DNS label doesn't."""
    if not isinstance(value, str):
        return None
    shown = value[:63].rstrip("-")
    return shown if CLUSTER_NAME.fullmatch(shown) else None


REGISTER_FIELDS: Fields = {
    "instanceId": Field("instance_id", values.ident),
    "clusterName": Field("cluster_name", cluster_name),
    "clusterId": Field("cluster_id", values.ident),
    "address": Field("address", values.name),
    "version": Field("version", values.ident),
    "mode": Field("mode", values.ident),
    "scalerBackends": Field("scaler_backends", values.labels),
    "queueTimeoutMs": Field("queue_timeout_ms", values.number),
    "deployment": Field("deployment", values.extra),
}


def read_register(body: Body) -> Register | None:
    message_id = values.ident(body.get("messageId"))
    if message_id is None:
        return None
    sources = []
    for each in values.items(body.get("sources"), MAX_SOURCES):
        routing_key = values.name(each.get("routingKey"))
        if routing_key is not None:
            described = (values.name(each.get(key)) for key in ("provider", "name", "subtype"))
            sources.append(Source(routing_key, *described))
    known: dict[str, Any] = values.take(body, REGISTER_FIELDS)
    unknown = values.rest(body, REGISTER_FIELDS, "sources")
    return Register(message_id=message_id, sources=tuple(sources), extra=unknown, **known)


@dataclass(frozen=True, slots=True)
class Deregister:
    message_id: str
    routing_keys: tuple[str, ...]


def read_deregister(body: Body) -> Deregister | None:
    message_id = values.ident(body.get("messageId"))
    keys = values.texts(MAX_SOURCES)(body.get("routingKeys"))
    return Deregister(message_id, keys or ()) if message_id is not None else None


@dataclass(frozen=True, slots=True)
class CapabilitiesUpdate:
    """`orch.capabilities.update`: replaces what was known, merges nothing."""

    capabilities: Capabilities


def read_capabilities_update(body: Body) -> CapabilitiesUpdate | None:
    inner = body.get("capabilities")
    return CapabilitiesUpdate(read_capabilities(inner)) if isinstance(inner, dict) else None


@dataclass(frozen=True, slots=True)
class Membership:
    """`cluster.membership` (0.9): the workers that an orchestrator sees. A whole snapshot."""

    workers: tuple[str, ...]


def read_membership(body: Body) -> Membership:
    found = (values.ident(each.get("instanceId")) for each in values.items(body.get("workers"), 1000))
    return Membership(tuple(each for each in found if each))
