import asyncio
import sqlite3

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from kici_gql import tables  # noqa: F401 - declares what SQLModel.metadata holds
from kici_gql.store import migrations
from tests.conftest import POSTGRES, postgres


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_migrations_make_what_the_models_say(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_check_constraints_are_there_too(sqlite_url: str) -> None:
    """compare_metadata does not look at CHECK."""
    wanted = sum(
        type(each).__name__ == "CheckConstraint"
        for table in SQLModel.metadata.sorted_tables
        for each in table.constraints
    )
    with sqlite3.connect(sqlite_url.partition("///")[2]) as connection:
        [(made,)] = connection.execute("SELECT group_concat(sql, ' ') FROM sqlite_master")
    connection.close()
    assert made.count("CHECK") >= wanted


async def test_upgrading_again_is_harmless(database_url: str) -> None:
    await migrations.upgrade(database_url)
    await migrations.upgrade(database_url)


async def test_several_processes_may_upgrade_at_once(postgres_template: str) -> None:
    name = f"{postgres_template}_upgrade"
    postgres(f"CREATE DATABASE {name}")
    try:
        url = f"postgresql+asyncpg://{POSTGRES}/{name}"
        await asyncio.gather(*(migrations.upgrade(url) for _ in range(4)))
    finally:
        postgres(f"DROP DATABASE {name} WITH (FORCE)")
