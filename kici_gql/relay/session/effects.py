"""What a session wants done. Effects are carried out in their order, each one before the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kici_gql.relay.messages.answers import Outcome
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.messages.diagnostics import AgentFigures, Diagnostics, Figures, Inventory
from kici_gql.relay.messages.introduction import Capabilities, Register
from kici_gql.relay.messages.registrations import Registry, SecretBackend
from kici_gql.relay.messages.requests import Request
from kici_gql.relay.messages.telemetry import Lines, Run


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Shut:
    """Close the socket. The last effect of a session."""

    code: Close
    reason: str


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Look the token up, then call `accepted` or `rejected`."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Introduce:
    """Enter the orchestrator with all that is known of it, then call `introduced`.

    `diagnostics` is None when it could not be asked in time; an `Inventory` follows as soon as it can.
    """

    register: Register
    capabilities: Capabilities
    routing_keys: tuple[str, ...]
    diagnostics: Diagnostics | None


@dataclass(frozen=True, slots=True)
class Amend:
    """Its routing keys or its capabilities are others now."""

    routing_keys: tuple[str, ...]
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Beat:
    """It is alive. `agents` are those that were heard again since the last beat."""

    sent_at: datetime | None
    figures: Figures
    agents: Sequence[AgentFigures]


@dataclass(frozen=True, slots=True)
class Refit:
    """Its scalers, agents or host are others now: the whole inventory."""

    inventory: Inventory


@dataclass(frozen=True, slots=True)
class Tell:
    """A report of runs. In the order they came."""

    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class Print:
    """Log lines of one step."""

    lines: Lines


@dataclass(frozen=True, slots=True)
class Restore:
    """All log lines of one step that has ended."""

    lines: Lines


@dataclass(frozen=True, slots=True)
class Registrations:
    """Its workflow registry is another one now: all of it."""

    registry: Registry


@dataclass(frozen=True, slots=True)
class Backends:
    """Its secret backends are others now: all of them."""

    backends: Sequence[SecretBackend]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """So many events are in its dead-letter queue now."""

    total: int


@dataclass(frozen=True, slots=True)
class Settle:
    """What came of a request that somebody asked under this key."""

    key: str
    request: Request
    outcome: Outcome


Effect = (
    Send
    | Shut
    | Authenticate
    | Introduce
    | Amend
    | Beat
    | Refit
    | Tell
    | Print
    | Restore
    | Registrations
    | Backends
    | DeadLetters
    | Settle
)
