"""Reading a frame that came from an orchestrator.

Parsing is lenient and knows its direction: an unknown type is let pass (a newer orchestrator may speak it), a type
that only we may send is out of place, and so is what is no JSON object or lacks what it is about.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from kici_gql.relay.messages import introduction, notices, telemetry
from kici_gql.relay.messages.introduction import (
    AuthRequest,
    CapabilitiesUpdate,
    Deregister,
    Membership,
    Register,
)
from kici_gql.relay.messages.notices import (
    Answer,
    Delivery,
    Heartbeat,
    JobContext,
    Metrics,
    Nack,
    Noted,
    RegistrationToggled,
    RunEvent,
)
from kici_gql.relay.messages.telemetry import Lines, Replay, Run
from kici_gql.relay.messages.values import MAX_ID, Body, ident


@dataclass(frozen=True, slots=True)
class Misplaced:
    """No message of the protocol in this direction; `why` is for the log and names no content."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type we have never heard of. It is dropped without an answer, and the link stays up."""

    type: str


Inbound = (
    AuthRequest
    | Register
    | Deregister
    | CapabilitiesUpdate
    | Membership
    | Heartbeat
    | Run
    | Lines
    | Replay
    | Delivery
    | JobContext
    | RunEvent
    | Metrics
    | RegistrationToggled
    | Nack
    | Answer
    | Noted
    | Unknown
    | Misplaced
)
Reader = Callable[[Body], Inbound | None]

READERS: Mapping[str, Reader] = {
    "auth.request": introduction.read_auth_request,
    "source.register": introduction.read_register,
    "source.deregister": introduction.read_deregister,
    "orch.capabilities.update": introduction.read_capabilities_update,
    "cluster.membership": introduction.read_membership,
    "heartbeat": notices.read_heartbeat,
    "execution.status": telemetry.read_execution_status,
    "job.status.forward": telemetry.read_job_status,
    "step.status.forward": telemetry.read_step_status,
    "log.chunk": telemetry.read_log_chunk,
    "state.replay": telemetry.read_replay,
    "execution.event": notices.read_execution_event,
    "job.context": notices.read_job_context,
    "run.event": notices.read_run_event,
    "orch.metrics": notices.read_metrics,
    "registration.disabled": notices.read_registration_toggled,
    "registration.enabled": notices.read_registration_toggled,
    "nack": notices.read_nack,
}
"""Every frame that an orchestrator sends by itself and that we read."""

NOTED = frozenset({"cache.stats", "orch-log.chunk", "webhook.ack", "join.request", "peer.discover"})
"""Frames that are known, and say nothing we keep."""

OURS = frozenset(
    {"auth.success", "auth.failure", "source.register.ack", "source.deregister.ack", "platform.capabilities"}
    | {"plan.headroom", "peer.update", "trust_policy.update", "stale.checkrun.cleanup"}
    | {"webhook.relay.start", "webhook.relay.chunk", "log.request"}
)
"""Frames that only the Platform sends."""

_ANSWERS = (".response", ".result", ".chunk")


def parse(data: str | bytes) -> Inbound:
    """What the frame says. Never raises, whatever the frame is."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Misplaced("a frame is no JSON")
    if not isinstance(body, dict):
        return Misplaced("a frame is no JSON object")
    type_ = body.get("type")
    if not isinstance(type_, str) or not 0 < len(type_) <= MAX_ID:
        return Misplaced("a frame has no type")
    return _read(type_, body)


def _read(type_: str, body: Body) -> Inbound:
    reader = READERS.get(type_)
    if reader is not None:
        read = reader(body)
        if read is None and type_ == "execution.event" and ident(body.get("event")) is not None:
            return Noted(type_)
        return Misplaced(f"a {type_} lacks what it is about") if read is None else read
    if type_ in OURS or (type_.startswith(("dashboard.", "run.")) and not type_.endswith(_ANSWERS)):
        return Misplaced(f"a {type_} came from the wrong side")
    if type_.endswith(_ANSWERS):
        return _answer(type_, body)
    return Noted(type_) if type_ in NOTED else Unknown(type_)


def _answer(type_: str, body: Body) -> Inbound:
    """Answers name the request in `requestId`, those to `log.request` in `messageId`."""
    reference = ident(body.get("requestId")) or ident(body.get("messageId"))
    return Misplaced(f"a {type_} answers nothing") if reference is None else Answer(type_, reference, body)
