"""A database that lets nobody in, for a while: that is told in a line, and whoever asked may ask again."""

import asyncio
import secrets
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoneFree

from kici_gql.errors import Unavailable
from kici_gql.events import Event, EventType
from kici_gql.settings import Settings
from kici_gql.store import Store, Tx, log
from kici_gql.store import postgres as postgresql
from kici_gql.store.faults import is_away
from tests.conftest import POSTGRES, postgres
from tests.world import Clock, World, world_of


class Refusal(Exception):
    """What asyncpg raises."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def refused(sqlstate: str | None) -> DBAPIError:
    return DBAPIError(None, None, Refusal(sqlstate))


@pytest.fixture
def crowded_url(postgres_url: str) -> Iterator[str]:
    """A database that has no connection left for who comes with this address."""
    role = f"kici_{secrets.token_hex(4)}"
    postgres(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    yield postgres_url.replace(POSTGRES, f"{role}@{POSTGRES.partition('@')[2]}")
    postgres(f"DROP ROLE {role}")


async def test_a_database_without_a_free_connection_is_unavailable(
    crowded_url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(Settings(database_url=crowded_url), clock)
    await store.open()
    with pytest.raises(Unavailable):
        await store.read(log.head, "org_1")
    with pytest.raises(Unavailable):
        await store.transaction("org_1", lambda tx: tx.seq)
    await store.close()
    assert "can't be reached" in caplog.text
    assert "could not commit: DBAPIError" in caplog.text
    assert "Traceback" not in caplog.text


class Hole:
    """A way to PostgreSQL that can swallow everything, as a network does whose cable was pulled."""

    def __init__(self) -> None:
        self.passes = asyncio.Event()
        self.passes.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = POSTGRES.partition("@")[2].split(":")
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self.passes.wait()
            writer.write(data)
        writer.close()


async def test_a_silent_network_is_given_up_in_time_and_found_again(
    postgres_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 0.3)
    hole = Hole()
    server = await asyncio.start_server(hole.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = POSTGRES.partition("@")[2]
    async with world_of(
        Settings(database_url=postgres_url.replace(address, f"127.0.0.1:{port}")), clock
    ) as world:
        await world.append(Event(EventType.ALERT_CHANGED, {"n": 1}))
        hole.passes.clear()
        async with asyncio.timeout(20):
            for _ in range(2):  # over the connections there were, and over new ones
                with pytest.raises(Unavailable):
                    await world.append(Event(EventType.ALERT_CHANGED, {"n": 2}))
                with pytest.raises(Unavailable):
                    await world.head()
        hole.passes.set()
        await world.append(Event(EventType.ALERT_CHANGED, {"n": 3}))
        assert [event.data["n"] for _, event in await world.events()] == [1, 3]
    server.close()


async def test_a_full_disk_refuses_writes_alone_and_is_over_when_there_is_room(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def room(tx: Tx, pages: int) -> None:
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def fill(tx: Tx) -> None:
        tx.append(Event(EventType.ALERT_CHANGED, {"noise": secrets.token_hex(500_000)}))

    await world.store.transaction(None, partial(room, pages=1))  # no fewer than there are
    for _ in range(2):
        with pytest.raises(Unavailable):
            await world.store.transaction(world.org_id, fill)
        assert not world.store.writes
    assert world.store.counts.failed == 2
    assert await world.events() == []
    assert "could not commit: OperationalError: database or disk is full" in caplog.text
    assert "Traceback" not in caplog.text
    await world.store.transaction(None, partial(room, pages=1_000_000))
    await world.store.transaction(world.org_id, fill)
    assert world.store.writes
    assert len(await world.events()) == 1


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (refused("57P01"), True),  # admin_shutdown
        (refused("57P03"), True),  # cannot_connect_now: it is starting up
        (refused("53300"), True),  # too_many_connections
        (refused("08006"), True),  # connection_failure
        (refused("28P01"), True),  # invalid_password
        (refused("3D000"), True),  # invalid_catalog_name: the database is gone
        (DBAPIError(None, None, Refusal(None), connection_invalidated=True), True),
        (ConnectionRefusedError(), True),
        (PendingRollbackError(), True),
        (NoneFree(), True),
        (refused("57014"), False),  # query_canceled
        (refused("23505"), False),  # unique_violation
        (refused(None), False),
        (ValueError(), False),
    ],
)
def test_what_says_that_it_is_away(error: Exception, away: bool) -> None:
    assert is_away(error) is away
