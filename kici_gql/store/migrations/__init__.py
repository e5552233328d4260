"""The schema's history, and how a database is brought up to date.

Alembic waits until there is something to change: a server that starts again has only to see that there is not.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0009"  # the newest revision in versions/
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


def config() -> "Config":
    """Alembic's configuration: also for making a new revision."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    return settings


def _upgrade(connection: Connection) -> None:
    if _is_at_head(connection):
        return
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def _is_at_head(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [HEAD]
