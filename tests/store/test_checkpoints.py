"""What was committed comes from SQLite's log into the database, and the log does not grow for ever."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, sqlite
from kici_gql.tables import Org, table_of
from tests.world import Clock


def renaming(name: str) -> Callable[[Tx], None]:
    def work(tx: Tx) -> None:
        tx.connection.execute(update(table_of(Org)).values(name=name))

    return work


@pytest.fixture
async def store(sqlite_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """One that does it at once."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_SECONDS", 0.0)
    store = Store(Settings(database_url=sqlite_url), clock)
    await store.open()
    yield store
    await store.close()


async def test_what_was_committed_is_soon_in_the_database_itself(store: Store, tmp_path: Path) -> None:
    await store.transaction(None, renaming("Renamed"))
    async with asyncio.timeout(30):
        while name_without_log(tmp_path) != "Renamed":  # noqa: ASYNC110 - another program does it, as it were
            await asyncio.sleep(0.01)


def name_without_log(folder: Path) -> str:
    copy = shutil.copy(folder / "test.db", folder / "copy.db")
    connection = sqlite3.connect(copy)
    [name] = connection.execute("SELECT name FROM org").fetchone()
    connection.close()
    return str(name)


async def test_the_log_begins_at_its_front_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_MOST_FRAMES", 50)
    log = tmp_path / "test.db-wal"
    before, size = -1, 0
    async with asyncio.timeout(60):
        while size > before:  # until commits no longer make the file longer
            for number in range(100):
                await store.transaction(None, renaming(str(number)))
            before, size = size, log.stat().st_size
