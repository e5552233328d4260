"""What the transports allow. Durations are seconds, sizes bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Every limit has an answer: a status before the socket is open, a close code or a typed error after."""

    max_body_bytes: int = 1_048_576
    body_seconds: float = 30.0
    max_message_bytes: int = 131_072
    max_connections: int = 10_000
    max_connections_per_token: int = 1000
    max_subscriptions_per_connection: int = 50
    max_subscriptions_per_token: int = 2000
    operations_per_second: float = 50.0
    operations_burst: int = 200
    init_seconds: float = 5.0
    authenticate_seconds: float = 5.0
    ping_seconds: float = 20.0
    keep_alive_seconds: float = 12.0
    abort_seconds: float = 0.5
    allowed_origins: tuple[str, ...] = ()
    session_cookie: str = "kici_session"
