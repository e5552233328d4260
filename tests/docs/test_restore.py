"""The restore of operations.md: with the epochs renewed a client from before starts over, and without it would not know."""

import sqlite3
from pathlib import Path

import pytest

from kici_gql.events import Cursor, Event, EventType
from kici_gql.settings import Settings
from tests.conftest import in_thread
from tests.docs.markdown import DOCS, blocks
from tests.world import Clock, world_of

(BACKUP,) = [block for block in blocks(DOCS / "operations.md", "sh") if "VACUUM" in block.text]
RENEW_SQLITE, RENEW_POSTGRES = (block.text for block in blocks(DOCS / "operations.md", "sql"))

HEARTBEATS = "subscription ($after: Cursor) { heartbeats(after: $after) { kind reason } }"
EVENT = Event(EventType.TOKEN_REVOKED, {"id": "tok_none"})


async def test_after_a_restore_an_old_cursor_leads_to_a_resync(
    sqlite_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(sqlite_url.partition("///")[2])
    statement = BACKUP.text.split('"')[1]
    async with world_of(Settings(database_url=sqlite_url), clock) as world:
        await world.append(EVENT)
        with sqlite3.connect(path) as connection:  # while the server runs
            connection.execute(statement)
        connection.close()
        await world.append(EVENT, EVENT)
        before = await world.head()
    restored = f"sqlite+aiosqlite:///{tmp_path}/backup.db"
    with sqlite3.connect(tmp_path / "backup.db") as connection:
        connection.execute(RENEW_SQLITE)
    connection.close()
    async with world_of(Settings(database_url=restored), clock) as world:
        await world.append(EVENT, EVENT, EVENT)  # the restored log passes the old cursor
        assert (await world.head()).seq > before.seq
        frame = await anext(aiter(world.frames(HEARTBEATS, after=str(before))))
        assert frame == {"kind": "RESYNC", "reason": "the cursor belongs to another log"}


def test_the_statement_for_postgresql_gives_every_org_an_epoch_of_its_own(postgres_url: str) -> None:
    import asyncpg

    async def epochs() -> list[str]:
        connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
        try:
            before = await connection.fetch("SELECT log_epoch FROM org ORDER BY id")
            await connection.execute(RENEW_POSTGRES)
            after = await connection.fetch("SELECT log_epoch FROM org ORDER BY id")
        finally:
            await connection.close()
        return [row["log_epoch"] for row in (*before, *after)]

    found = in_thread(epochs())
    assert len(found) == len(set(found)) == 4
    for epoch in found:
        assert Cursor.parse(str(Cursor(epoch, 7))) == Cursor(epoch, 7)
