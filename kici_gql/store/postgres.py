"""PostgreSQL through asyncpg: readers and writer share one pool."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import orjson
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kici_gql.store.records import dumps
from kici_gql.store.transaction import Job, Memory, Outcome, run_batch

T = TypeVar("T")


CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
"""How long a database may be silent. A network that swallows everything would otherwise hold whoever writes for a
quarter of an hour, which is when TCP gives up."""


def postgres_engine(url: str) -> AsyncEngine:
    """Raises TimeoutError out of whatever takes too long; the connection is given up with it."""
    return create_async_engine(
        url,
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS},
        json_serializer=dumps,
        json_deserializer=orjson.loads,
        pool_pre_ping=True,
        hide_parameters=True,
    )


class PostgresReaders:
    """Each query sees one snapshot."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def run(self, query: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection, connection.begin():
            return await connection.run_sync(query)

    async def close(self) -> None:
        await self._engine.dispose()


class PostgresWriter:
    """The batch locks the heads of its orgs' logs, so commit order is sequence order."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._memories: defaultdict[str | None, Memory] = defaultdict(Memory)

    async def run(self, jobs: Sequence[Job], now: datetime) -> list[Outcome]:
        async with self._engine.connect() as connection:
            return await connection.run_sync(run_batch, jobs, now, self._memories)

    async def close(self) -> None:
        """The engine is disposed of with the readers, who share its pool."""
