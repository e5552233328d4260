"""The protocol graphql-transport-ws as a table: messages and the time go in, effects come out. No I/O.

    WAITING ── connection_init ──▶ AUTHENTICATING ── accepted() ──▶ READY
       │ init_seconds pass: 4408        │ rejected(): its own code     │ subscribe / complete / ping / pong
       └────────────────────────────────┴──────────────────────────────┴──▶ CLOSED

Whatever is no message of the protocol closes the socket with 4400 and a reason; whatever is wrong with one
operation ends that operation with an `error` message, and its siblings live on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

import orjson

from kici_gql.api.engine import faults
from kici_gql.api.engine.faults import FormattedError
from kici_gql.api.engine.requests import GraphQLRequest, MalformedRequest, read_request
from kici_gql.api.transport.options import TransportOptions
from kici_gql.api.transport.quotas import TokenBucket
from kici_gql.errors import ErrorCode

SUBPROTOCOL = "graphql-transport-ws"
_MAX_ID_CHARS = 256
_MAX_REASON_BYTES = 123  # RFC 6455: a close frame carries 125 bytes, two of them the code


class Close(IntEnum):
    """Every way in which we end a socket."""

    TOO_BIG = 1009
    """A message is longer than `max_message_bytes`."""
    RESTARTING = 1012
    """The server shuts down; connect again and resume with the last cursor."""
    TRY_AGAIN_LATER = 1013
    """Something we need is away for the moment; connect again."""
    BAD_REQUEST = 4400
    """A frame is no message of the protocol; the reason says which part."""
    UNAUTHORIZED = 4401
    """An operation came before `connection_ack`."""
    FORBIDDEN = 4403
    """The token is missing or not valid."""
    INIT_TIMEOUT = 4408
    """`connection_init`, or the judgement on its token, took too long."""
    ID_IN_USE = 4409
    """An operation with this id is running."""
    TOKEN_REVOKED = 4410
    """The token was revoked while the socket was open."""
    TOKEN_EXPIRED = 4411
    """The token expired while the socket was open."""
    TOO_MANY_CONNECTIONS = 4412
    """The token has as many sockets open as it may."""
    TOO_MANY_INITS = 4429
    """A second `connection_init`."""
    INTERNAL = 4500
    """Our fault; the log knows more."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write this text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Shut:
    """Close the socket; nothing follows."""

    code: Close
    reason: str


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who this is, then call `accepted` or `rejected`."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """Run this operation, then call `finished`."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Stop:
    """The client lost interest in this operation."""

    id: str


Effect = Send | Shut | Authenticate | Start | Stop


class State(Enum):
    WAITING = "waiting for connection_init"
    AUTHENTICATING = "authenticating"
    READY = "ready"
    CLOSED = "closed"


class _ProtocolError(Exception):
    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Session:
    """One socket's conversation. `now` is a monotonic clock's seconds, always given by the caller."""

    def __init__(self, options: TransportOptions, now: float) -> None:
        self.state = State.WAITING
        self.running: set[str] = set()
        self._options = options
        self._bucket = TokenBucket(options.operations_per_second, options.operations_burst, now)
        self._deadline = now + options.init_seconds

    @property
    def deadline(self) -> float:
        """When `tick` wants to be called next."""
        return self._deadline

    def tick(self, now: float) -> list[Effect]:
        """Do what time alone demands: give up on a silent newcomer, or ping."""
        if now < self._deadline or self.state is State.CLOSED:
            return []
        if self.state is State.READY:
            self._deadline = now + self._options.ping_seconds
            return [Send('{"type":"ping"}')]
        return self._shut(Close.INIT_TIMEOUT, "Connection initialisation timeout")

    def receive(self, data: str | bytes, now: float) -> list[Effect]:
        """Take one frame of the client."""
        if self.state is State.CLOSED:
            return []
        try:
            return self._message(_parsed(data, self._options.max_message_bytes), now)
        except _ProtocolError as error:
            return self._shut(error.code, str(error))

    def accepted(self, now: float) -> list[Effect]:
        """The token is good."""
        self.state = State.READY
        self._deadline = now + self._options.ping_seconds
        return [Send('{"type":"connection_ack"}')]

    def rejected(self, code: Close, reason: str) -> list[Effect]:
        """The token is not."""
        return self._shut(code, reason)

    def finished(self, id: str) -> None:  # noqa: A002 - the protocol's own word
        """The operation ended on our side; its id may be used again."""
        self.running.discard(id)

    def _shut(self, code: Close, reason: str) -> list[Effect]:
        self.state = State.CLOSED
        return [Shut(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))]

    def _message(self, message: Mapping[str, Any], now: float) -> list[Effect]:
        match message.get("type"):
            case "connection_init":
                return self._init(message)
            case "ping":
                return [_pong(_optional_object(message, "payload"))]
            case "pong":
                _optional_object(message, "payload")
                return []
            case "subscribe":
                return self._subscribe(message, now)
            case "complete":
                return self._complete(_id(message))
            case str() as unknown:
                raise _ProtocolError(Close.BAD_REQUEST, f"Invalid message: unknown type {unknown[:40]!r}")
        raise _ProtocolError(Close.BAD_REQUEST, 'Invalid message: "type" must be a string')

    def _init(self, message: Mapping[str, Any]) -> list[Effect]:
        payload = _optional_object(message, "payload")
        if self.state is not State.WAITING:
            raise _ProtocolError(Close.TOO_MANY_INITS, "Too many initialisation requests")
        self.state = State.AUTHENTICATING
        return [Authenticate(payload or {})]

    def _subscribe(self, message: Mapping[str, Any], now: float) -> list[Effect]:
        id_ = _id(message)
        try:
            request = read_request(message.get("payload"))
        except MalformedRequest as error:
            raise _ProtocolError(Close.BAD_REQUEST, f"Invalid message: {error}") from None
        if self.state is not State.READY:
            raise _ProtocolError(Close.UNAUTHORIZED, "Unauthorized")
        if id_ in self.running:
            raise _ProtocolError(Close.ID_IN_USE, f"Subscriber for {id_} already exists")
        if refusal := self._refusal(now):
            return [Send(error_message(id_, [refusal]))]
        self.running.add(id_)
        return [Start(id_, request)]

    def _refusal(self, now: float) -> FormattedError | None:
        options = self._options
        limit = options.max_subscriptions_per_connection
        if len(self.running) >= limit:
            message = (
                f"Too many operations on this socket: the limit is max_subscriptions_per_connection={limit}."
            )
        elif not self._bucket.take(now):
            message = f"Too many operations per second: the limit is operations_per_second={options.operations_per_second:g}."
        else:
            return None
        return faults.problem(message, ErrorCode.LIMIT_EXCEEDED, retryable=True)

    def _complete(self, id_: str) -> list[Effect]:
        if id_ not in self.running:
            return []  # it crossed our own `complete` on the way
        self.running.discard(id_)
        return [Stop(id_)]


def _pong(payload: Mapping[str, Any] | None) -> Send:
    try:
        return Send(_encoded({"type": "pong"} if payload is None else {"type": "pong", "payload": payload}))
    except TypeError:  # JSON is read to a greater depth than it is written
        raise _ProtocolError(Close.BAD_REQUEST, "Invalid message: the payload is nested too deeply") from None


def next_message(id_: str, payload: bytes) -> str:
    """The `next` message around an encoded answer, which is never decoded and encoded again."""
    return f'{{"id":{_encoded(id_)},"type":"next","payload":{payload.decode()}}}'


def next_head(id_: str) -> bytes:
    """What stands in front of an encoded answer; behind it stands one `}`."""
    return f'{{"id":{_encoded(id_)},"type":"next","payload":'.encode()


def error_message(id_: str, errors: Sequence[FormattedError]) -> str:
    return _encoded({"id": id_, "type": "error", "payload": list(errors)})


def complete_message(id_: str) -> str:
    return _encoded({"id": id_, "type": "complete"})


def _encoded(value: object) -> str:
    return orjson.dumps(value).decode()


def _parsed(data: str | bytes, max_bytes: int) -> Mapping[str, Any]:
    if isinstance(data, bytes):
        raise _ProtocolError(Close.BAD_REQUEST, "Invalid message: binary frames are not part of the protocol")
    # A character has at most four bytes, so most frames need no encoding to be found short enough.
    if len(data) * 4 > max_bytes and len(data.encode(errors="replace")) > max_bytes:
        raise _ProtocolError(Close.TOO_BIG, f"Message too big: the limit is max_message_bytes={max_bytes}")
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _ProtocolError(Close.BAD_REQUEST, "Invalid message: not JSON") from None
    if not isinstance(message, dict):
        raise _ProtocolError(Close.BAD_REQUEST, "Invalid message: must be a JSON object")
    return message


def _id(message: Mapping[str, Any]) -> str:
    value = message.get("id")
    if not isinstance(value, str) or not value or len(value) > _MAX_ID_CHARS:
        reason = f'Invalid message: "id" must be a string of 1 to {_MAX_ID_CHARS} characters'
        raise _ProtocolError(Close.BAD_REQUEST, reason)
    return value


def _optional_object(message: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = message.get(name)
    if value is not None and not isinstance(value, dict):
        raise _ProtocolError(Close.BAD_REQUEST, f'Invalid message: "{name}" must be an object')
    return value
