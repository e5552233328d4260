"""The doorbell between processes, and what is left when it breaks."""

import asyncio
import gc
import secrets
from collections.abc import Callable

import pytest
import redis.asyncio

from kici_gql.events import Cursor, Event, EventType, Topic
from kici_gql.feed import bus as bus_module
from kici_gql.feed.bus import Bus
from kici_gql.settings import Settings
from tests.world import Clock, World, world_of

Rings = list[tuple[str, int]]


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "RING_SECONDS", 0.1)
    monkeypatch.setattr(bus_module, "_CHANNEL", f"kici_gql_{secrets.token_hex(4)}")


@pytest.fixture
def named_redis_url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Connections that can be told from those of others on the same Redis, to be cut; that they were is noticed soon."""
    monkeypatch.setattr(bus_module, "SILENCE_SECONDS", 0.5)
    return f"{redis_url}?client_name=kgq-{secrets.token_hex(4)}"


async def test_a_ring_is_heard(broadcast_url: str) -> None:
    rings: Rings = []
    bus = Bus(broadcast_url, lambda *ring: rings.append(ring))
    await bus.open()
    await asyncio.wait_for(bus.connected.wait(), 60)
    bus.ring("org_1", 7)
    bus.ring("org_2", 1)
    await until(lambda: len(rings) == 2)
    assert sorted(rings) == [("org_1", 7), ("org_2", 1)]
    await bus.close()


async def test_many_rings_become_few(broadcast_url: str) -> None:
    rings: Rings = []
    bus = Bus(broadcast_url, lambda *ring: rings.append(ring))
    await bus.open()
    await asyncio.wait_for(bus.connected.wait(), 60)
    for number in range(1000):
        bus.ring("org_1", number)
    await until(lambda: rings)
    assert rings[-1] == ("org_1", 999)
    assert len(rings) < 5
    await bus.close()


async def test_two_processes_hear_each_other(redis_url: str) -> None:
    heard: tuple[Rings, Rings] = ([], [])
    buses = [Bus(redis_url, lambda *ring, into=into: into.append(ring)) for into in heard]
    for bus in buses:
        await bus.open()
    for bus in buses:
        await asyncio.wait_for(bus.connected.wait(), 60)
    for number, bus in enumerate(buses):
        bus.ring(f"org_{number}", 1)
    await until(lambda: all(len(set(each)) == 2 for each in heard))
    for bus in buses:
        await bus.close()


async def test_a_bus_that_is_not_there_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "_RETRY_SECONDS", (0.01,))
    bus = Bus("redis://127.0.0.1:1", lambda *_: None)
    await bus.open()
    bus.ring("org_1", 1)
    await until(lambda: bus.restarts > 2)
    assert not bus.connected.is_set()
    async with asyncio.timeout(bus_module.SILENCE_SECONDS):
        await bus.close()


async def test_a_bus_that_breaks_is_connected_anew(
    named_redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    rings: Rings = []
    bus = Bus(named_redis_url, lambda *ring: rings.append(ring))
    await bus.open()
    await asyncio.wait_for(bus.connected.wait(), 60)
    for seq in (10, 11):
        before = bus.restarts
        await kill_all(named_redis_url)
        await until(lambda: bus.restarts > before)  # noqa: B023
        while ("org_1", seq) not in rings:
            bus.ring(
                "org_1", seq
            )  # again and again: a busy machine may take longer than the bus has patience
            await asyncio.sleep(0.01)
    await bus.close()
    assert "bus lost" in caplog.text
    assert "ExceptionGroup" not in caplog.text, "it says what was wrong"


async def kill_all(named_url: str) -> None:
    """Cut every connection of that name."""
    url, _, name = named_url.partition("?client_name=")
    client = redis.asyncio.Redis.from_url(url)
    for each in await client.client_list():
        if each["name"] == name:
            await client.client_kill_filter(_id=each["id"])
    await client.aclose()


async def listen(world: World, cursor: Cursor, until_seq: int) -> list[int]:
    found: list[int] = []
    while cursor.seq < until_seq:
        page = await world.feed.after(world.org_id, cursor, tuple(Topic), 100)
        found += [seq for entry in page.entries for seq in range(entry.first_seq, entry.seq + 1)]
        if page.cursor == cursor:
            await world.feed.moved(world.org_id, cursor)
        cursor = page.cursor
    return found


async def test_two_processes_see_each_others_events_by_the_bell(
    postgres_url: str, redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kici_gql.feed.feed.LOOK_SECONDS", 600)
    settings = Settings(database_url=postgres_url, broadcast_url=redis_url)
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        for world in (one, two):
            await asyncio.wait_for(world.feed.bus.connected.wait(), 60)
        start = await two.feed.head(two.org_id)
        readers = [asyncio.create_task(listen(world, start, 40)) for world in (one, two)]
        pushes = [(one, two)[n % 2].append(Event(EventType.ALERT_CHANGED, {"n": n})) for n in range(40)]
        await asyncio.gather(*pushes)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*readers) == [list(range(1, 41))] * 2


async def test_who_reads_heartbeats_is_noticed_in_every_process(
    sqlite_url: str, broadcast_url: str, clock: Clock
) -> None:
    settings = Settings(database_url=sqlite_url, broadcast_url=broadcast_url)
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        for world in (one, two):
            await asyncio.wait_for(world.feed.bus.connected.wait(), 60)
        head = await one.feed.head(one.org_id)
        await one.feed.after(one.org_id, head, (Topic.ALERTS, Topic.COMMANDS), 10)
        assert not one.feed.watched(one.org_id)
        await one.feed.after(one.org_id, head, (Topic.HEARTBEATS,), 10)
        assert one.feed.watched(one.org_id)
        assert not one.feed.watched(one.viewer(org="other").org_id)
        if broadcast_url.startswith("redis"):
            await until(lambda: two.feed.watched(two.org_id))


async def test_a_bus_that_breaks_mid_stream_leaves_no_gap(
    postgres_url: str, named_redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kici_gql.feed.feed.LOOK_SECONDS", 0.3)
    settings = Settings(database_url=postgres_url, broadcast_url=named_redis_url)
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        for world in (one, two):
            await asyncio.wait_for(world.feed.bus.connected.wait(), 60)
        start = await two.feed.head(two.org_id)
        reader = asyncio.create_task(listen(two, start, 60))
        for n in range(60):
            await one.append(Event(EventType.ALERT_CHANGED, {"n": n}))
            if n % 20 == 10:
                await kill_all(named_redis_url)
        assert await asyncio.wait_for(reader, 60) == list(range(1, 61))
        for world in (one, two):
            await until(lambda: world.feed.bus.restarts > 0)  # noqa: B023


async def test_nothing_is_left_of_a_bus_that_could_not_connect(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus("redis://127.0.0.1:1", lambda *_: None)
    await bus.open()
    await until(lambda: bus.restarts >= 2)
    await bus.close()
    gc.collect()
    assert not any("pending" in record.message for record in caplog.records)
    assert all("broadcaster" not in repr(task) for task in asyncio.all_tasks())
