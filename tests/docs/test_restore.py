"""The restore of operations.md: with the epochs renewed a client from before starts over."""

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kici_gql.cli import app
from kici_gql.events import Cursor, Event, EventType
from kici_gql.settings import Settings
from tests.docs.markdown import DOCS, blocks
from tests.world import Clock, world_of

(BACKUP,) = [block for block in blocks(DOCS / "operations.md", "sh") if "VACUUM" in block.text]
(RENEW,) = [block for block in blocks(DOCS / "operations.md", "sh") if "renew-epochs" in block.text]

HEARTBEATS = "subscription ($after: Cursor) { heartbeats(after: $after) { kind reason } }"
EVENT = Event(EventType.TOKEN_REVOKED, {"id": "tok_none"})


async def renew(database_url: str) -> str:
    command = RENEW.text.split()
    assert command[0] == "kici-gql"
    arguments = [*command[1:], "--database-url", database_url]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


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
    assert "Renewed 2 log epochs" in await renew(restored)
    async with world_of(Settings(database_url=restored), clock) as world:
        await world.append(EVENT, EVENT, EVENT)  # the restored log passes the old cursor
        assert (await world.head()).seq > before.seq
        frame = await anext(aiter(world.frames(HEARTBEATS, after=str(before))))
        assert frame == {"kind": "RESYNC", "reason": "the cursor belongs to another log"}


async def test_every_org_gets_an_epoch_of_its_own_and_keeps_its_events(
    database_url: str, clock: Clock
) -> None:
    async def heads() -> list[Cursor]:
        async with world_of(Settings(database_url=database_url), clock) as world:
            return [Cursor.parse(str(await world.head(org))) for org in ("default", "other")]

    before = await heads()
    await renew(database_url)
    after = await heads()
    assert len({each.epoch for each in (*before, *after)}) == 4
    assert all(re.fullmatch("[0-9a-f]{8}", each.epoch) for each in after)
    assert [each.seq for each in after] == [each.seq for each in before]
