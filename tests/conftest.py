"""Databases, buses, clocks and worlds. Of each kind of database one is prepared once; every test finds it as it was then."""

import asyncio
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from pydantic import SecretStr
from sqlmodel import SQLModel

from kici_gql.app import prepare
from kici_gql.settings import Settings
from kici_gql.store import Store
from tests.world import Clock, World, populate, secret_of, world_of

T = TypeVar("T")

POSTGRES = "postgres@127.0.0.1:5432"
REDIS = "redis://127.0.0.1:6379"


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from synchronous code, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _template(database_url: str) -> None:
    settings = Settings(
        database_url=database_url, bootstrap_token=SecretStr(f"kgq_default-first-{secrets.token_hex(16)}")
    )
    await prepare(settings)
    store = Store(settings, Clock())
    await store.open()
    await store.transaction(None, populate)
    await store.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def postgres(*statements: str, database: str = "postgres") -> None:
    """Run statements one by one, as the superuser."""

    async def run() -> None:
        connection = await asyncpg.connect(f"postgresql://{POSTGRES}/{database}")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    in_thread(run())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    in_thread(_template(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """Name of a prepared database, to be copied."""
    if not _listens(5432):
        pytest.skip("needs PostgreSQL on 127.0.0.1:5432")
    name = f"kgq_test_{secrets.token_hex(4)}"
    postgres(f"CREATE DATABASE {name}")
    in_thread(_template(f"postgresql+asyncpg://{POSTGRES}/{name}"))
    yield name
    postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = Path(shutil.copy(sqlite_template, tmp_path / "test.db"))
    return f"sqlite+aiosqlite:///{path}"


# Copying a template takes PostgreSQL half a second, emptying and refilling the tables some milliseconds. Readers of the
# test before must be gone; foreign keys sleep meanwhile; nothing here has to survive a loss of power.
_KEEP = "; ".join(
    (
        "CREATE SCHEMA kept",
        *(
            f"CREATE TABLE kept.{table.name} AS TABLE {table.name}"
            for table in SQLModel.metadata.sorted_tables
        ),
    )
)
_RESTORE = "; ".join(
    (
        "SET session_replication_role = replica",
        *(
            f"DELETE FROM {table.name}; INSERT INTO {table.name} SELECT * FROM kept.{table.name}"
            for table in SQLModel.metadata.sorted_tables
        ),
    )
)
_ALONE = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.fixture(scope="session")
def postgres_database(postgres_template: str) -> Iterator[str]:
    """Name of the database that the tests have one after the other."""
    name = f"{postgres_template}_tests"
    postgres(
        f"CREATE DATABASE {name} TEMPLATE {postgres_template}",
        f"ALTER DATABASE {name} SET synchronous_commit = off",
    )
    postgres(_KEEP, database=name)
    yield name
    postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    postgres(_ALONE, _RESTORE, database=postgres_database)
    return f"postgresql+asyncpg://{POSTGRES}/{postgres_database}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of the test's own, of either kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    name = f"{request.getfixturevalue('postgres_template')}_empty"
    postgres(f"CREATE DATABASE {name}")
    yield f"postgresql+asyncpg://{POSTGRES}/{name}"
    postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url() -> str:
    if not _listens(6379):
        pytest.skip("needs Redis on 127.0.0.1:6379")
    return REDIS


@pytest.fixture(params=["memory", "redis"])
def broadcast_url(request: pytest.FixtureRequest) -> str:
    """A bus of either kind."""
    url: str = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(sqlite_url: str, clock: Clock) -> AsyncIterator[World]:
    """A process on SQLite: for what no database treats differently."""
    async with world_of(Settings(database_url=sqlite_url), clock) as opened:
        yield opened


@pytest.fixture
async def any_world(database_url: str, clock: Clock) -> AsyncIterator[World]:
    """A process on either database: for what a database may treat differently."""
    async with world_of(Settings(database_url=database_url), clock) as opened:
        yield opened


@pytest.fixture
def admin() -> str:
    """The token of the default org's admin."""
    return secret_of("ADMIN")
