"""The program without a transport: a database, its feed, people of every scope, and a clock that tests turn by hand."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
from sqlalchemy import Connection, FromClause, MetaData, Table, select
from sqlmodel import SQLModel

from kici_gql.actions import orchestrators, presence, tokens
from kici_gql.actions.listeners import Listeners
from kici_gql.actions.perform import Call, Done
from kici_gql.actions.surfaces import Surfaces
from kici_gql.api.context import Context, Services
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.api.mutations.inputs import (
    AgentBeatInput,
    AgentInput,
    HostInput,
    OrchestratorConnectInput,
    OrchestratorHeartbeatInput,
    ScalerInput,
)
from kici_gql.api.schema import schema
from kici_gql.api.slices import KeptSlices
from kici_gql.auth import Viewer, hash_of, viewer_of
from kici_gql.events import Cursor, Entry, Event, Topic
from kici_gql.feed import Feed
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, log, orgs
from kici_gql.tables import ScalerType, TokenScope, table_of

ORGS = ("default", "other")


def secret_of(scope: TokenScope | str, org: str = "default") -> str:
    """The token that every test database holds for this scope in this org."""
    return f"kgq_{org}-{scope}-0123456789abcdef"


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, moment: datetime = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> datetime:
        self.moment += timedelta(seconds=seconds)
        return self.moment


def populate(tx: Tx) -> None:
    """Two orgs with a token of every scope each."""
    for slug in ORGS:
        org = orgs.org_by_slug(tx.connection, slug)
        if org is None:
            org, _ = tokens.add_org(tx, slug, slug.title(), f"kgq_{slug}-first-0123456789abcdef")
        for scope in TokenScope:
            tokens.add_token(tx, org.id, tokens.TokenWish(scope.lower(), scope), secret_of(scope, slug), None)


@dataclass
class World:
    """One process without a transport."""

    store: Store
    feed: Feed
    settings: Settings
    clock: Callable[[], datetime]
    viewers: dict[str, Viewer] = field(default_factory=dict)
    serving_since: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    process_id: str = "test"

    def __post_init__(self) -> None:
        surfaces = Surfaces(self.store, self.feed)
        self.listeners = Listeners(self.store, self.settings, self.process_id)
        self.slices = KeptSlices()
        services = Services(
            self.store, self.feed, self.settings, surfaces, self.listeners, self.process_id, self.slices
        )
        self.operations = Operations(schema, lambda viewer, request_id: Context(services, viewer, request_id))

    def viewer(self, scope: TokenScope | str = TokenScope.ADMIN, org: str = "default") -> Viewer:
        return self.viewers[secret_of(scope, org)]

    def call(self, scope: TokenScope | str = TokenScope.ADMIN, org: str = "default") -> Call:
        return Call(self.store, self.settings, self.viewer(scope, org), secrets.token_hex(4))

    @property
    def org_id(self) -> str:
        return self.viewer().org_id

    async def bound_secret(self, cluster: str) -> str:
        """A new token of scope ORCHESTRATOR that is bound to this cluster."""
        secret = f"kgq_bound-{cluster}-0123456789abcdef"
        wish = tokens.TokenWish(f"bound-{cluster}", TokenScope.ORCHESTRATOR, cluster)
        await self.store.transaction(
            self.org_id, lambda tx: tokens.add_token(tx, tx.org_id, wish, secret, None)
        )
        return secret

    # ── Actions ──

    async def connect(
        self, cluster: str | None = "prod", instance: str | None = "one", org: str = "default", **more: Any
    ) -> str:
        """Introduce an orchestrator; answers its connection id."""
        done = await orchestrators.connect(
            self.call("ORCHESTRATOR", org), connecting(cluster, instance, **more), more.get("idempotency_key")
        )
        connection_id: str = done.result["connection_id"]
        return connection_id

    async def beat(
        self,
        connection_id: str,
        agents: Sequence[str | AgentBeatInput] = (),
        org: str = "default",
        **more: Any,
    ) -> Done:
        return await orchestrators.heartbeat(
            self.call("ORCHESTRATOR", org), beating(connection_id, agents, **more)
        )

    async def sweep(self) -> datetime | None:
        return await presence.sweep(self.store, self.settings, self.store.now(), self.serving_since)

    async def append(self, *events: Event, org_id: str | None = None) -> int:
        """Append events straight to a log; answers the sequence number of the last."""

        def work(tx: Tx) -> int:
            for event in events:
                tx.append(event)
            return tx.seq

        return await self.store.transaction(org_id or self.org_id, work)

    # ── What is there ──

    async def rows(self, model: type[SQLModel], **equal: Any) -> list[Any]:
        """All rows of a table, or all agents with their figures, in order of their keys."""
        rows = [SimpleNamespace(**row) for row in await self.store.read(_rows, table_of(model))]
        return [row for row in rows if all(getattr(row, name) == value for name, value in equal.items())]

    async def dump(self, *without: str) -> dict[str, list[dict[str, Any]]]:
        """The whole database, except some tables."""
        return await self.store.read(_dump, without)

    async def log(self, org: str = "default") -> list[Entry]:
        org_id = self.viewer(org=org).org_id
        return await self.store.read(log.entries_after, org_id, 0, tuple(Topic), 1_000_000)

    async def events(self, org: str = "default") -> list[tuple[int, Event]]:
        """Every event of an org with its number."""
        return [
            (seq, event)
            for entry in await self.log(org)
            for seq, event in enumerate(entry.events, start=entry.first_seq)
        ]

    async def head(self, org: str = "default") -> Cursor:
        return await self.store.read(log.head, self.viewer(org=org).org_id)

    # ── GraphQL ──

    async def run(self, query: str, /, by: Viewer | None = None, **variables: Any) -> dict[str, Any]:
        """The whole answer of a query or mutation."""
        prepared = self.operations.prepare(GraphQLRequest(query, None, variables))
        result = await self.operations.run(prepared, by or self.viewer())
        answer: dict[str, Any] = orjson.loads(result.body)
        return answer

    async def data(self, query: str, /, by: Viewer | None = None, **variables: Any) -> dict[str, Any]:
        """The data of a query or mutation that has no errors."""
        answer = await self.run(query, by, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def frames(
        self, query: str, /, by: Viewer | None = None, **variables: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The frames of a subscription with one field."""
        prepared = self.operations.prepare(GraphQLRequest(query, None, variables))
        subscription = await self.operations.subscribe(prepared, by or self.viewer())
        async with aclosing(subscription.pages()) as pages:
            async for page in pages:
                answer = orjson.loads(page.payload)
                assert "errors" not in answer, answer["errors"]
                yield next(iter(answer["data"].values()))


def _dump(connection: Connection, without: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    metadata: MetaData = SQLModel.metadata
    return {
        table.name: _rows(connection, table) for table in metadata.sorted_tables if table.name not in without
    }


def _rows(connection: Connection, table: FromClause) -> list[dict[str, Any]]:
    keys = table.primary_key.columns if isinstance(table, Table) else [table.c.id]
    return [dict(row) for row in connection.execute(select(table).order_by(*keys)).mappings()]


def _viewers(connection: Connection) -> dict[str, Viewer]:
    """Who comes with each token. One snapshot for all: nearly every test waits for this."""
    found = {}
    for secret in (secret_of(scope, slug) for slug in ORGS for scope in TokenScope):
        row = orgs.token_by_hash(connection, hash_of(secret))
        assert row is not None
        found[secret] = viewer_of(*row)
    return found


@asynccontextmanager
async def world_of(settings: Settings, clock: Callable[[], datetime]) -> AsyncIterator[World]:
    """Open a prepared database as one process would."""
    store = Store(settings, clock)
    feed = Feed(store, settings.broadcast_url, settings.tail_events)
    store.on_commit = feed.announce
    await store.open()
    await feed.open()
    world = World(store, feed, settings, clock)
    try:
        world.viewers = await store.read(_viewers)
        yield world
    finally:
        await feed.close()
        await store.close()


async def nothing_more(frames: AsyncIterator[Any], seconds: float = 0.05) -> bool:
    """Whether the stream stays silent for a moment. The stream can't be used after that."""
    try:
        async with asyncio.timeout(seconds):
            await anext(frames)
    except TimeoutError:
        return True
    return False


# ── What orchestrators send ──


def host(name: str = "host-1", **more: Any) -> HostInput:
    values: dict[str, Any] = {"running_as": "ci", "platform": "linux", "arch": "x86_64", "cpu_count": 4}
    return HostInput(**{"hostname": name, "memory_total_mb": 8192, **values, **more})


def scaler(name: str = "metal", max_agents: int = 10, **more: Any) -> ScalerInput:
    values: dict[str, Any] = {"name": name, "type": ScalerType.BARE_METAL, "max_agents": max_agents}
    return ScalerInput(**values | more)


def agent(name: str = "a1", scaler: str | None = "metal", **more: Any) -> AgentInput:
    values: dict[str, Any] = {"agent_id": name, "scaler": scaler, "host": host(), "version": "1.0"}
    return AgentInput(**values | more)


def connecting(
    cluster: str | None = "prod", instance: str | None = "one", **more: Any
) -> OrchestratorConnectInput:
    values: dict[str, Any] = {"cluster_name": cluster, "instance_id": instance}
    return OrchestratorConnectInput(**{"version": "1.0", "host": host(), **values, **more})


def beat_of(name: str, **more: Any) -> AgentBeatInput:
    values: dict[str, Any] = {"agent_id": name, "memory_used_mb": 10, "uptime_seconds": 5}
    return AgentBeatInput(**values | more)


def beating(
    connection_id: str, agents: Sequence[str | AgentBeatInput] = (), **more: Any
) -> OrchestratorHeartbeatInput:
    beats = [each if isinstance(each, AgentBeatInput) else beat_of(each) for each in agents]
    values: dict[str, Any] = {"connection_id": connection_id, "memory_used_mb": 100, "uptime_seconds": 60}
    return OrchestratorHeartbeatInput(**{**values, "agents": beats, **more})
