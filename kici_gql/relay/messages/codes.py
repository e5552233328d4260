"""How we end a connection, and what a frame may weigh."""

from enum import IntEnum


class Close(IntEnum):
    """Every close code of the protocol. The orchestrator comes back after any of them."""

    GOING_AWAY = 1001
    """The server shuts down, or the connection is no longer wanted here; connect again."""
    UNAUTHORIZED = 4001
    """The token is unknown, of another scope or cluster, revoked or expired."""
    AUTH_TIMEOUT = 4002
    """No `auth.request` came in time."""
    INVALID_MESSAGE = 4003
    """The first frame is no `auth.request`, or far too many frames are no message of the protocol."""
    HEARTBEAT_TIMEOUT = 4004
    """No heartbeat for a long time: the link or the process is dead."""
    PROTOCOL_ERROR = 4005
    """Authenticated, but never registered."""
    INTERNAL_ERROR = 4006
    """Our fault; the log knows more."""
    CLUSTER_NAME_CONFLICT = 4011
    """Reserved by the protocol; never sent."""
    PLAN_LIMIT = 4020
    """The token has as many connections as it may."""


MAX_FRAME_BYTES = 32 * 1024 * 1024
"""KiCI's own bound is 25 MiB, but an orchestrator was seen to answer with 27.4 MB."""
MAX_REASON_BYTES = 123  # RFC 6455: a close frame carries 125 bytes, two of them the code


def reason_of(text: str) -> str:
    """The text, cut to what a close frame can carry."""
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
