"""One settings object. Each field is an environment variable `KICI_GQL_<NAME>` and most are flags of `kici-gql serve`."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once at start. Durations are seconds, sizes bytes, unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="KICI_GQL_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Loopback only unless you change it.")
    port: int = Field(
        8080, ge=0, le=65535, description="TCP port to listen on; 0 lets the system choose one."
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Server processes. More than 1 needs PostgreSQL and a shared broadcast URL.",
    )
    database_url: str = Field(
        "sqlite+aiosqlite:///kici_gql.db",
        description="SQLAlchemy URL: `sqlite+aiosqlite:///file.db` or `postgresql+asyncpg://user@host/db`.",
    )
    broadcast_url: str = Field(
        "memory://",
        description="Doorbell between processes: `memory://` (one process) or `redis://host:6379`.",
    )
    bootstrap_token: SecretStr | None = Field(
        None,
        description="Admin token to create at the first start of an empty database, instead of a random one. "
        "Must start with `kgq_` and have at least 20 characters.",
    )
    demo: bool = Field(
        False, description="Demo mode: introspection and playground without a token; loopback only."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severe log level shown."
    )
    log_format: str = Field(
        "text", pattern="^(text|json)$", description="`text` for people, `json` one object a line."
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        description="Origins besides our own that browsers may connect from, such as `https://ci.example`.",
    )

    heartbeat_interval_seconds: int = Field(
        30, ge=1, le=3600, description="How often orchestrators are asked to send a heartbeat."
    )
    late_after_missed_beats: int = Field(
        2, ge=1, le=100, description="Beats missed before somebody counts as LATE."
    )
    lost_after_seconds: int = Field(
        180, ge=2, le=86400, description="Silence after which somebody counts as LOST."
    )
    bookmark_seconds: float = Field(
        15.0, gt=0, le=15, description="A silent stream sends a BOOKMARK this often."
    )

    orchestrator_retention_days: int = Field(
        7,
        ge=1,
        description="Orchestrators that have been away for longer are removed, with their scalers, agents and commands.",
    )
    log_retention_hours: int = Field(
        24 * 7, ge=1, description="Events older than this may be removed from the log."
    )
    log_retention_events: int = Field(1_000_000, ge=1000, description="Events kept per org, newest first.")
    run_retention_days: int = Field(
        365,
        ge=31,
        description="Runs and commands that ended longer ago are removed, runs with their jobs and steps.",
    )
    run_log_retention_days: int = Field(
        30, ge=1, description="Log lines of runs older than this are removed."
    )
    max_run_log_bytes: int = Field(
        256 * 1024 * 1024, ge=1024, description="Log text kept of one run; what comes after shows as a gap."
    )
    command_seconds: int = Field(
        60,
        ge=1,
        le=3600,
        description="A command that its orchestrator does not answer for this long expires.",
    )
    audit_retention_days: int = Field(365, ge=1, description="Audit rows older than this are removed.")
    idempotency_hours: int = Field(24, ge=1, description="How long an idempotency key is remembered.")
    tail_events: int = Field(
        20_000, ge=100, description="Newest events per org kept in memory for live readers."
    )
    page_events: int = Field(1000, ge=1, le=10_000, description="Most events one frame may carry.")

    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest HTTP request body accepted.")
    max_message_bytes: int = Field(
        131_072, ge=1024, description="Largest WebSocket message accepted on /graphql."
    )
    websocket_compression: bool = Field(
        False,
        description="Compress the sockets of /graphql, a page once for all its readers, where the client offers it.",
    )
    max_depth: int = Field(15, ge=1, description="Deepest nesting of a GraphQL operation.")
    max_aliases: int = Field(50, ge=0, description="Most aliases in one GraphQL operation.")
    max_fields: int = Field(
        500, ge=1, description="Most field selections in one GraphQL operation, fragments expanded."
    )
    max_tokens: int = Field(3000, ge=10, description="Most lexical tokens in one GraphQL document.")
    max_subscriptions_per_connection: int = Field(
        50, ge=1, description="Open subscriptions on one WebSocket."
    )
    max_subscriptions_per_token: int = Field(
        2000, ge=1, description="Open subscriptions of one token, per process."
    )
    max_connections_per_token: int = Field(
        1000, ge=1, description="Open WebSockets of one token, per process."
    )
    max_connections: int = Field(10_000, ge=1, description="Open WebSockets in all, per process.")
    stalled_reader_seconds: float = Field(
        20, gt=0, description="A peer that reads nothing for this long is cut off."
    )
    shutdown_seconds: float = Field(10, gt=0, description="Longest time a graceful shutdown may take.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.workers > 1 and self.is_sqlite:
            raise ValueError(
                "workers above 1 need a database that several processes can write: "
                "set KICI_GQL_DATABASE_URL=postgresql+asyncpg://… and KICI_GQL_BROADCAST_URL=redis://…"
            )
        if self.workers > 1 and self.broadcast_url.startswith("memory:"):
            raise ValueError(
                "workers above 1 need a shared bus: set KICI_GQL_BROADCAST_URL=redis://host:6379"
            )
        if self.demo and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("demo mode lets everybody look at the schema: it listens on 127.0.0.1 only")
        if not self.database_url.startswith(("sqlite+aiosqlite:", "postgresql+asyncpg:")):
            raise ValueError("database_url must start with sqlite+aiosqlite: or postgresql+asyncpg:")
        if not self.broadcast_url.startswith(("memory:", "redis:", "rediss:")):
            raise ValueError("broadcast_url must start with memory:, redis: or rediss:")
        if self.late_after_seconds >= self.lost_after_seconds:
            raise ValueError(
                f"lost_after_seconds ({self.lost_after_seconds}) must be more than heartbeat_interval_seconds x "
                f"late_after_missed_beats ({self.late_after_seconds})"
            )
        return self

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def late_after_seconds(self) -> int:
        """Silence after which somebody counts as LATE."""
        return self.heartbeat_interval_seconds * self.late_after_missed_beats
