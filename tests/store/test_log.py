import lz4.frame
import orjson
import pytest
from sqlalchemy import Connection, text

from kici_gql.events import Event, EventType, Topic
from kici_gql.settings import Settings
from kici_gql.store import Tx, log
from tests.world import Clock, World, world_of


async def fill(world: World, clock: Clock, count: int) -> None:
    """One event a minute."""
    for number in range(count):
        await world.append(Event(EventType.ALERT_CHANGED, {"id": "a", "n": number}))
        clock.advance(60)


async def trim(world: World, seconds: float, keep: int, limit: int = 1000) -> int:
    from datetime import timedelta

    def work(tx: Tx) -> int:
        return log.trim(tx.connection, tx.org_id, tx.now - timedelta(seconds=seconds), keep, limit)

    return await world.store.transaction(world.org_id, work)


async def numbers(world: World) -> list[int]:
    return [seq for seq, _ in await world.events()]


async def bounds(world: World) -> tuple[int, int]:
    return (await world.store.read(log.bounds, world.org_id))[1:]


async def test_trimming_by_age(any_world: World, clock: Clock) -> None:
    await fill(any_world, clock, 10)
    assert await trim(any_world, seconds=240, keep=1000) == 6
    assert await numbers(any_world) == [7, 8, 9, 10]
    assert await bounds(any_world) == (7, 10)


async def test_trimming_by_count(any_world: World, clock: Clock) -> None:
    await fill(any_world, clock, 10)
    assert await trim(any_world, seconds=1e6, keep=3) == 7
    assert await numbers(any_world) == [8, 9, 10]


async def test_trimming_all_leaves_the_position(any_world: World, clock: Clock) -> None:
    await fill(any_world, clock, 3)
    assert await trim(any_world, seconds=0, keep=0) == 3
    assert await bounds(any_world) == (4, 3)
    assert (await any_world.head()).seq == 3
    await fill(any_world, clock, 1)
    assert await numbers(any_world) == [4]


async def test_trimming_goes_in_steps_and_never_leaves_holes(any_world: World, clock: Clock) -> None:
    await fill(any_world, clock, 10)
    assert await trim(any_world, seconds=0, keep=2, limit=3) == 3
    assert await numbers(any_world) == list(range(4, 11))
    assert await trim(any_world, seconds=1e6, keep=1000) == 0


async def test_trimming_one_org_leaves_the_other(any_world: World, clock: Clock) -> None:
    other = any_world.viewer(org="other").org_id
    await any_world.append(Event(EventType.ALERT_CHANGED, {"id": "b"}), org_id=other)
    await fill(any_world, clock, 2)
    await trim(any_world, seconds=0, keep=0)
    assert len(await any_world.events("other")) == 1


async def test_entries_of_some_topics(any_world: World) -> None:
    types = [EventType.ALERT_CHANGED, EventType.AGENT_BEAT, EventType.AGENT_CHANGED, EventType.AGENT_BEAT]
    for type_ in types:
        await any_world.append(Event(type_, {"id": "x", "cluster_id": "y"}))
    read = any_world.store.read
    found = await read(log.entries_after, any_world.org_id, 1, (Topic.HEARTBEATS, Topic.ALERTS), 100)
    assert [entry.seq for entry in found] == [2, 4]
    found = await read(log.entries_after, any_world.org_id, 0, tuple(Topic), 2)
    assert [entry.seq for entry in found] == [1, 2]


async def test_the_head_is_what_the_database_says_whoever_commits(
    database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_url=database_url)
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        seq = 0
        for world in (one, two, two, one):
            seq = await world.append(Event(EventType.ALERT_CHANGED, {"n": 1}))
            assert (await one.store.head(one.org_id)).seq == (await two.store.head(one.org_id)).seq == seq
        other = one.viewer(org="other").org_id
        assert (await one.store.head(other)).seq < seq
        if settings.is_sqlite:
            monkeypatch.setattr(one.store, "read", None)
            assert (await one.store.head(one.org_id)).seq == seq, "known without being read"
            assert (await one.store.head(other)).seq < seq


async def stored_body(world: World, seq: int) -> bytes:
    def query(connection: Connection) -> bytes:
        row = connection.execute(text("SELECT body FROM event_log WHERE seq = :seq"), {"seq": seq}).one()
        return bytes(row.body)

    return await world.store.read(query)


async def test_what_repeats_itself_is_stored_as_an_lz4_frame(any_world: World) -> None:
    beats = [
        Event(EventType.AGENT_BEAT, {"id": f"a{n}", "cluster_id": "c", "host": "x" * 50}) for n in range(20)
    ]
    seq = await any_world.append(*beats)
    body = await stored_body(any_world, seq)
    [entry] = await any_world.store.read(log.entries_after, any_world.org_id, 0, tuple(Topic), 10)
    assert lz4.frame.decompress(body) == entry.body
    assert len(body) < len(entry.body) / 4
    assert list(entry.events) == beats


async def test_what_is_short_or_from_before_is_stored_as_it_is(any_world: World) -> None:
    seq = await any_world.append(Event(EventType.ALERT_CHANGED, {"id": "a"}))
    assert await stored_body(any_world, seq) == b'[["alert.changed",{"id":"a"}]]'

    long = orjson.dumps([(EventType.ALERT_CHANGED, {"id": "b" * 1000})])

    def as_before(tx: Tx) -> None:
        tx.connection.execute(text("UPDATE event_log SET body = :body"), {"body": long})

    await any_world.store.transaction(any_world.org_id, as_before)
    assert await any_world.events() == [(seq, Event(EventType.ALERT_CHANGED, {"id": "b" * 1000}))]
