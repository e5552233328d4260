"""What must be so before the first request: a schema, and somebody who may come in."""

from datetime import UTC, datetime

from kici_gql.actions import tokens
from kici_gql.settings import Settings
from kici_gql.store import Store, migrations


def utc_now() -> datetime:
    return datetime.now(UTC)


async def prepare(settings: Settings) -> str | None:
    """Bring the database up to date; give an empty one its first org and admin token.

    Returns that token, to be shown once, or None when there was an org already.
    Raises InvalidInput for an unfit bootstrap token, sqlalchemy.exc.SQLAlchemyError when the database is not there.
    """
    await migrations.upgrade(settings.database_url)
    store = Store(settings, utc_now)
    await store.open()
    try:
        wanted = settings.bootstrap_token
        return await tokens.bootstrap(store, wanted.get_secret_value() if wanted else None)
    finally:
        await store.close()
