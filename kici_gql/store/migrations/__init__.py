"""The schema's history, and how a database is brought up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

_LOCK = 0x6B696369  # any number, as long as every kici_gql process takes the same


async def upgrade(database_url: str) -> None:
    """Bring the database's schema up to date; several processes may do so at once.

    Raises sqlalchemy.exc.SQLAlchemyError when the database can't be reached or changed.
    """
    engine = create_async_engine(database_url)
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def config() -> Config:
    """Alembic's configuration: also for making a new revision."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    return settings


def _upgrade(connection: Connection) -> None:
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
