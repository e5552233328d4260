"""Readers: they come and go, and leave nothing behind."""

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, Engine, event, select, text, update

from kici_gql.errors import Internal, Unavailable
from kici_gql.settings import Settings
from kici_gql.store import Store
from kici_gql.tables import Org, table_of
from tests.world import Clock, World


def one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def endless(connection: Connection) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    connection.execute(text(query))


def still_running(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that have come since and don't end."""
    new = set(threading.enumerate()) - before
    for thread in new:
        thread.join(10)
    return [thread for thread in new if thread.is_alive()]


async def test_many_readers_at_once(database_url: str, clock: Clock) -> None:
    before, store = set(threading.enumerate()), Store(Settings(database_url=database_url), clock)
    await store.open()
    assert await asyncio.gather(*(store.read(one) for _ in range(50))) == [1] * 50
    await store.close()
    assert not still_running(before)


async def test_a_reader_that_leaves_while_its_connection_is_opened(sqlite_url: str, clock: Clock) -> None:
    begun, go_on = threading.Event(), threading.Event()
    store = Store(Settings(database_url=sqlite_url), clock)
    await store.open()

    def hold(_connection: object, _record: object) -> None:
        begun.set()
        go_on.wait()

    event.listen(Engine, "connect", hold)
    try:
        reading = asyncio.create_task(store.read(one))
        await asyncio.to_thread(begun.wait)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0.05)
        assert not closing.done(), "the thread would answer to a loop that is closed"
    finally:
        go_on.set()
        event.remove(Engine, "connect", hold)
    await closing


async def test_a_query_that_nobody_waits_for_is_stopped(sqlite_url: str, clock: Clock) -> None:
    store = Store(Settings(database_url=sqlite_url), clock)
    await store.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await store.read(endless)
    assert await store.read(one) == 1, "its connection is as good as before"
    await store.close()


async def test_a_closed_store_says_so(database_url: str, clock: Clock) -> None:
    store = Store(Settings(database_url=database_url), clock)
    await store.open()
    await store.close()
    with pytest.raises(Unavailable, match="stopping"):
        await store.read(one)
    with pytest.raises(Unavailable, match="stopping"):
        await store.transaction(None, lambda tx: None)


def test_a_process_that_dies_with_an_open_store_ends(sqlite_url: str) -> None:
    program = f"""
import asyncio
from kici_gql.app.prepare import utc_now
from kici_gql.settings import Settings
from kici_gql.store import Store
from kici_gql.tables import Org, table_of

async def main():
    store = Store(Settings(database_url={sqlite_url!r}), utc_now)
    await store.open()
    await store.read(lambda connection: None)
    await store.transaction(None, lambda tx: None)
    raise SystemExit(3)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 3


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 26, 1, 2, 3, 456, UTC),
        datetime(2026, 11, 26, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5, minutes=30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
)
async def test_a_time_comes_back_as_it_went_in(any_world: World, moment: datetime) -> None:
    org = table_of(Org)
    await any_world.store.transaction(
        None, lambda tx: tx.connection.execute(update(org).values(created_at=moment)).rowcount
    )
    back = await any_world.store.read(lambda connection: connection.scalars(select(org.c.created_at)).first())
    assert back is not None
    assert back == moment
    assert back.utcoffset() == timedelta()


async def test_a_time_without_an_offset_is_refused(any_world: World) -> None:
    org = table_of(Org)
    naive = datetime(2026, 11, 26)  # noqa: DTZ001 - on purpose
    with pytest.raises(Internal):
        await any_world.store.transaction(
            None, lambda tx: tx.connection.execute(update(org).values(created_at=naive)).rowcount
        )
