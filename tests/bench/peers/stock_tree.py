"""The tree as one would serve it with Strawberry, its data loaders and SQLAlchemy by their manuals; rows in SQLite."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import strawberry
import uvicorn
from sqlalchemy import JSON, ForeignKey, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader

from tests.bench.fleet import AGENTS, CLUSTERS, LABELS, ORCHESTRATORS, SCALERS, TREE_HOSTNAME, agent_name

ENGINE = create_async_engine(f"sqlite+aiosqlite:///{Path(os.environ['BENCH_FOLDER']) / 'tree.db'}")
SESSIONS = async_sessionmaker(ENGINE, expire_on_commit=False)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Base(DeclarativeBase):
    type_annotation_map = {list[str]: JSON}  # noqa: RUF012 - SQLAlchemy's own way


class Row:
    """What every table has."""

    id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str]


class ClusterRow(Row, Base):
    __tablename__ = "cluster"
    parent_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    auto_named: Mapped[bool] = mapped_column(default=False)
    pending_name: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=NOW)
    revision: Mapped[int] = mapped_column(default=1)


class Host:
    """What orchestrators and agents have in common."""

    version: Mapped[str] = mapped_column(default="1.4.2")
    hostname: Mapped[str] = mapped_column(default=TREE_HOSTNAME)
    running_as: Mapped[str] = mapped_column(default="kici")
    platform: Mapped[str] = mapped_column(default="linux")
    arch: Mapped[str] = mapped_column(default="x86_64")
    cpu_count: Mapped[int] = mapped_column(default=16)
    memory_used_mb: Mapped[int] = mapped_column(default=1234)
    memory_total_mb: Mapped[int] = mapped_column(default=65536)
    uptime_seconds: Mapped[int] = mapped_column(default=30)
    last_heartbeat_at: Mapped[datetime] = mapped_column(default=NOW)
    liveness: Mapped[str] = mapped_column(default="ONLINE")
    liveness_reason: Mapped[str] = mapped_column(default="first heartbeat")
    liveness_since: Mapped[datetime] = mapped_column(default=NOW)


class OrchestratorRow(Row, Host, Base):
    __tablename__ = "orchestrator"
    parent_id: Mapped[str] = mapped_column(ForeignKey("cluster.id"), index=True)
    instance_id: Mapped[str]
    connection_id: Mapped[str]
    role: Mapped[str] = mapped_column(default="WORKER")
    mode: Mapped[str] = mapped_column(default="push")
    running_jobs: Mapped[int] = mapped_column(default=3)
    queued_jobs: Mapped[int] = mapped_column(default=0)
    connected_at: Mapped[datetime] = mapped_column(default=NOW)


class ScalerRow(Row, Base):
    __tablename__ = "scaler"
    parent_id: Mapped[str] = mapped_column(ForeignKey("orchestrator.id"), index=True)
    name: Mapped[str]
    type: Mapped[str] = mapped_column(default="CONTAINER")
    active_agents: Mapped[int] = mapped_column(default=10)
    max_agents: Mapped[int] = mapped_column(default=40)
    labels: Mapped[list[str]] = mapped_column(default=LABELS[:2])


class AgentRow(Row, Host, Base):
    __tablename__ = "agent"
    parent_id: Mapped[str] = mapped_column(ForeignKey("scaler.id"), index=True)
    agent_id: Mapped[str]
    active_jobs: Mapped[int] = mapped_column(default=1)
    max_concurrency: Mapped[int] = mapped_column(default=4)
    paused: Mapped[bool] = mapped_column(default=False)
    first_seen_at: Mapped[datetime] = mapped_column(default=NOW)


class Loaders:
    """One per request."""

    def __init__(self) -> None:
        self.clusters = DataLoader(children(ClusterRow))
        self.orchestrators = DataLoader(children(OrchestratorRow))
        self.scalers = DataLoader(children(ScalerRow))
        self.agents = DataLoader(children(AgentRow))


def children(row: Any) -> Callable[[list[str]], Awaitable[Sequence[list[Any]]]]:
    async def load(parents: list[str]) -> Sequence[list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        async with SESSIONS() as session:
            query = select(row).where(row.parent_id.in_(parents)).order_by(row.id)
            for each in await session.scalars(query):
                found[each.parent_id].append(each)
        return [found[parent] for parent in parents]

    return load


Info = strawberry.Info[Loaders, None]


@strawberry.type
class LivenessInfo:
    state: str
    reason: str
    since: datetime


@strawberry.type
class Label:
    name: str
    kind: str = "USER"


@strawberry.type
class Machine:
    id: strawberry.ID
    version: str
    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_used_mb: int
    memory_total_mb: int
    uptime_seconds: int
    last_heartbeat_at: datetime

    @strawberry.field
    def liveness(root: strawberry.Parent[Any]) -> LivenessInfo:
        return LivenessInfo(state=root.liveness, reason=root.liveness_reason, since=root.liveness_since)


@strawberry.type
class Agent(Machine):
    agent_id: str
    active_jobs: int
    max_concurrency: int
    paused: bool
    first_seen_at: datetime


@strawberry.type
class Scaler:
    id: strawberry.ID
    name: str
    type: str
    active_agents: int
    max_agents: int

    @strawberry.field
    def labels(root: strawberry.Parent[Any]) -> list[Label]:
        return [Label(name=name) for name in root.labels]

    @strawberry.field
    async def agents(root: strawberry.Parent[Any], info: Info) -> list[Agent]:
        return await info.context.agents.load(root.id)


@strawberry.type
class Orchestrator(Machine):
    instance_id: str
    connection_id: str
    role: str
    mode: str
    running_jobs: int
    queued_jobs: int
    connected_at: datetime

    @strawberry.field
    async def scalers(root: strawberry.Parent[Any], info: Info) -> list[Scaler]:
        return await info.context.scalers.load(root.id)


@strawberry.type
class Cluster:
    id: strawberry.ID
    name: str
    auto_named: bool
    pending_name: str | None
    created_at: datetime
    revision: int

    @strawberry.field
    async def orchestrators(root: strawberry.Parent[Any], info: Info) -> list[Orchestrator]:
        return await info.context.orchestrators.load(root.id)


@strawberry.type
class Org:
    id: strawberry.ID
    slug: str
    name: str

    @strawberry.field
    async def clusters(self, info: Info) -> list[Cluster]:
        return await info.context.clusters.load(self.id)


@strawberry.type
class Query:
    @strawberry.field
    def org(self) -> Org:
        return Org(id=strawberry.ID("org"), slug="default", name="Default")


class Endpoint(GraphQL[Loaders, None]):
    async def get_context(self, request: object, response: object) -> Loaders:
        return Loaders()


def rows() -> list[Base]:
    """The fleet of the other benchmarks; ids as long as ours."""
    made: list[Base] = [
        ClusterRow(id=_id("cls", n), parent_id="org", name=f"cluster-{n}") for n in range(CLUSTERS)
    ]
    for n in range(ORCHESTRATORS):
        orchestrator = OrchestratorRow(
            id=_id("orc", n), parent_id=_id("cls", n % CLUSTERS), instance_id=f"orchestrator-{n}",
            connection_id=_id("con", n),
        )  # fmt: skip
        scalers = [
            ScalerRow(id=_id("scl", n * SCALERS + m), parent_id=orchestrator.id, name=f"scaler-{m}")
            for m in range(SCALERS)
        ]
        made += [orchestrator, *scalers]
        made += [
            AgentRow(
                id=_id("agt", n * AGENTS + m), parent_id=scalers[m % SCALERS].id, agent_id=agent_name(n, m)
            )
            for m in range(AGENTS)
        ]
    return made


def _id(prefix: str, number: int) -> str:
    return f"{prefix}_019ab3f0c1d2{number:012}"


async def fill() -> None:
    async with ENGINE.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)
    async with SESSIONS() as session:
        session.add_all(rows())
        await session.commit()
    await ENGINE.dispose()


def main() -> None:
    asyncio.run(fill())
    endpoint = Endpoint(strawberry.Schema(Query), graphql_ide=None)
    app = Starlette(routes=[Route("/graphql", endpoint)])
    uvicorn.run(app, port=int(os.environ["BENCH_PORT"]), log_level="warning", timeout_keep_alive=75)


if __name__ == "__main__":
    main()
