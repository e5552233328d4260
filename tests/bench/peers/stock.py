"""What one would write with Strawberry, uvicorn and SQLAlchemy by their manuals.

`BENCH_DATABASE=yes` commits each push in a transaction of its own; without it the fleet is in memory.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import strawberry
import uvicorn
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, bindparam, event, update
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from kici_gql.api import enums  # noqa: F401 - describes the enums
from kici_gql.api.mutations.inputs import OrchestratorHeartbeatInput
from kici_gql.api.types.base import Label, labels_of
from kici_gql.tables import Liveness
from tests.bench.fleet import AGENTS, HOSTNAME, LABELS, ORCHESTRATORS, agent_name

DURABLE = os.environ.get("BENCH_DATABASE") == "yes"
AGENT = Table(
    "agent",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("memory_used_mb", Integer),
    Column("uptime_seconds", Integer),
    Column("active_jobs", Integer),
    Column("last_heartbeat_at", DateTime),
)
ENGINE = create_async_engine(f"sqlite+aiosqlite:///{Path(os.environ['BENCH_FOLDER']) / 'stock.db'}")
WRITING = asyncio.Lock()
BEAT = (
    update(AGENT)
    .where(AGENT.c.id == bindparam("_id"))
    .values({name: bindparam(name) for name in AGENT.c.keys() if name != "id"})  # noqa: SIM118
)
queues: set[asyncio.Queue["AgentHeartbeat"]] = set()


@event.listens_for(ENGINE.sync_engine, "connect")
def _wal(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")


@strawberry.type
class AgentHeartbeat:
    id: strawberry.ID
    agent_id: str
    hostname: str
    version: str
    liveness: Liveness
    cpu_count: int
    memory_used_mb: int
    memory_total_mb: int
    uptime_seconds: int
    active_jobs: int
    last_heartbeat_at: datetime

    @strawberry.field
    def labels(self) -> list[Label]:
        return labels_of(LABELS)


@strawberry.type
class OrchestratorHeartbeatSuccess:
    accepted_agents: int
    unknown_agents: list[str]


@strawberry.type
class Error:
    code: str
    message: str


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def orchestrator_heartbeat(
        self,
        input: OrchestratorHeartbeatInput,  # noqa: A002
    ) -> OrchestratorHeartbeatSuccess | Error:
        now = datetime.now(UTC)
        if DURABLE:
            rows = [
                {"_id": beat.agent_id, "memory_used_mb": beat.memory_used_mb,
                 "uptime_seconds": beat.uptime_seconds, "active_jobs": beat.active_jobs, "last_heartbeat_at": now}
                for beat in input.agents
            ]  # fmt: skip
            async with WRITING, ENGINE.begin() as connection:
                await connection.execute(BEAT, rows)
        for beat in input.agents:
            heartbeat = AgentHeartbeat(
                id=strawberry.ID(f"agt_019ab3f0c1d2{beat.agent_id}-0123456789"),
                agent_id=beat.agent_id,
                hostname=HOSTNAME,
                version="1.4.2",
                liveness=Liveness.ONLINE,
                cpu_count=16,
                memory_used_mb=beat.memory_used_mb,
                memory_total_mb=65536,
                uptime_seconds=beat.uptime_seconds,
                active_jobs=beat.active_jobs,
                last_heartbeat_at=now,
            )
            for queue in queues:
                queue.put_nowait(heartbeat)
        return OrchestratorHeartbeatSuccess(accepted_agents=len(input.agents), unknown_agents=[])


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def heartbeats(self) -> AsyncGenerator[AgentHeartbeat, None]:
        queue: asyncio.Queue[AgentHeartbeat] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
    async with ENGINE.begin() as connection:
        await connection.run_sync(AGENT.metadata.create_all)
        names = [agent_name(n, m) for n in range(ORCHESTRATORS) for m in range(AGENTS)]
        await connection.execute(AGENT.insert(), [{"id": name} for name in names])
    yield
    await ENGINE.dispose()


def main() -> None:
    schema = strawberry.Schema(Query, Mutation, Subscription)
    graphql = GraphQL[None, None](
        schema, graphql_ide=None, subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,)
    )
    app = Starlette(
        routes=[Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)], lifespan=lifespan
    )
    uvicorn.run(
        app,
        port=int(os.environ["BENCH_PORT"]),
        log_level="warning",
        ws_ping_interval=None,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
