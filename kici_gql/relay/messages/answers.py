"""What came of a request: an answer, or one of the ways in which there is none.

Orchestrators refuse in several dialects (an envelope with `code`, an envelope with `operation`, a plain text, a bare
`success: false`, or silence); here they become one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kici_gql.relay.messages import values
from kici_gql.relay.messages.introduction import Capabilities
from kici_gql.relay.messages.requests import JsonType, Kind, Request, spelling
from kici_gql.relay.messages.values import Body


class Refusal(StrEnum):
    """Why there is no answer."""

    UNSUPPORTED = "UNSUPPORTED"
    """The orchestrator is too old for the request; it was not even asked when its manifest says so."""
    DENIED = "DENIED"
    """Its write policy forbids it."""
    NOT_FOUND = "NOT_FOUND"
    """It knows nothing of that id or name."""
    FAILED = "FAILED"
    """It tried, or looked, and says why not."""
    MALFORMED = "MALFORMED"
    """It answered something that is no answer to this."""
    TIMED_OUT = "TIMED_OUT"
    """It did not answer in time. A change may have been made all the same."""
    DISCONNECTED = "DISCONNECTED"
    """The link ended first. A change may have been made all the same."""
    BUSY = "BUSY"
    """Too many requests wait for this orchestrator already; it was not asked."""


@dataclass(frozen=True, slots=True)
class Answered:
    body: Body = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """`message` is for people. `perhaps_done`: a change may have been made, so look before asking again."""

    why: Refusal
    message: str
    hint: str | None = None
    perhaps_done: bool = False


Outcome = Answered | Refused

_RENAMED = {"environments": "contexts", "environment": "context", "environmentId": "contextId"}


def before_asking(request: Request, capabilities: Capabilities, version: str | None) -> Refused | None:
    """The refusal that is certain already: by the manifest or by the policy that the orchestrator announced."""
    type_ = spelling(request.kind.type, capabilities)
    if not capabilities.supports(type_):
        return unsupported(type_, version)
    operation = request.kind.operation
    if operation is not None and capabilities.write_state(operation) == "DISABLED":
        return Refused(
            Refusal.DENIED,
            f"the orchestrator's policy forbids {operation}",
            "Use kici-admin on its host, or change the policy there.",
        )
    return None


def unsupported(type_: str, version: str | None) -> Refused:
    return Refused(
        Refusal.UNSUPPORTED,
        f"the orchestrator does not support {type_}",
        f"Upgrade the orchestrator: connected v{version or '?'}.",
    )


def timed_out(request: Request) -> Refused:
    seconds = f"{request.kind.seconds:g}"
    return Refused(
        Refusal.TIMED_OUT,
        f"the orchestrator did not answer {request.kind.type} within {seconds} s",
        "It may have been done: look before you ask again." if request.kind.changes else "Try again.",
        request.kind.changes,
    )


def disconnected(request: Request, sent: bool) -> Refused:
    perhaps = sent and request.kind.changes
    return Refused(
        Refusal.DISCONNECTED,
        "the connection to the orchestrator ended first",
        "It may have been done: look before you ask again." if perhaps else "Try again when it is back.",
        perhaps,
    )


BUSY = Refused(Refusal.BUSY, "too many requests wait for this orchestrator", "Try again in a moment.")


def judge(kind: Kind, body: Body, version: str | None) -> Outcome:
    """What the answer to a request of this kind says. `ok: false` of a backend's test is an answer, not a refusal."""
    error = values.message(body.get("error"))
    if error == "operation_disabled":
        return Refused(
            Refusal.DENIED,
            values.message(body.get("message")) or "the orchestrator's policy forbids it",
            _cli_hint(body),
        )
    if body.get("code") == "unsupported_request_type":
        return unsupported(kind.type, values.ident(body.get("orchVersion")) or version)
    told = _renamed(body)
    complete = all(_is(told.get(key), type_) for key, type_ in kind.carries.items())
    if error is not None and not ("ok" in kind.carries and complete):
        why = Refusal.NOT_FOUND if error.lower().endswith("not found") else Refusal.FAILED
        return Refused(why, error)
    if not complete:
        return Refused(Refusal.MALFORMED, f"the orchestrator's answer to {kind.type} can't be read")
    if body.get("success") is False or told.get("synced") is False:
        return Refused(Refusal.NOT_FOUND, "the orchestrator knows nothing of that name or id")
    return Answered(told)


def _is(value: object, type_: JsonType) -> bool:
    return isinstance(value, type_) and (type_ is bool or not isinstance(value, bool))


def _cli_hint(body: Body) -> str | None:
    line = values.name(body.get("cliEquivalent"))
    return f"Use `{line}` on the orchestrator's host." if line is not None else None


def _renamed(body: Body) -> Mapping[str, Any]:
    """The answer's own keys by their newest names; what lies deeper is read by `either`."""
    return {_RENAMED.get(key, key): value for key, value in body.items()}


def either(body: Body, newer: str, older: str) -> Any:
    """A value under the newer name, else under the older one."""
    found = body.get(newer)
    return body.get(older) if found is None else found
