"""Following a log: from memory, from the database, across a trim, and with the bell out of order."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.events import Cursor, Entry, Event, EventType, Topic
from kici_gql.feed import Expired, Feed
from kici_gql.settings import Settings
from kici_gql.store import Tx, log
from tests.world import Clock, World, world_of

ALL = frozenset(Topic)
TYPES = {
    Topic.ALERTS: EventType.ALERT_CHANGED,
    Topic.HEARTBEATS: EventType.AGENT_BEAT,
    Topic.INFRASTRUCTURE: EventType.AGENT_CHANGED,
}


def event(number: int, topic: Topic = Topic.ALERTS) -> Event:
    return Event(TYPES[topic], {"id": "x", "cluster_id": "y", "n": number})


async def trim(world: World, keep: int) -> None:
    def work(tx: Tx) -> None:
        log.trim(tx.connection, tx.org_id, tx.now - timedelta(days=1000), keep, 100_000)

    await world.store.transaction(world.org_id, work)


async def read(
    world: World, cursor: Cursor, until: int, topics: frozenset[Topic] = ALL, max_events: int = 7
) -> list[int]:
    """Follow until event number `until`; answers the numbers that came, in order."""
    found: list[int] = []
    while cursor.seq < until:
        page = await world.feed.after(world.org_id, cursor, topics, max_events)
        assert page.cursor.seq >= cursor.seq
        for entry in page.entries:
            found += [
                seq
                for seq in range(entry.first_seq, entry.seq + 1)
                if seq > cursor.seq and entry.topic in topics
            ]
        if page.cursor == cursor:
            await world.feed.moved(world.org_id, cursor)
        cursor = page.cursor
    return found


async def test_live_readers_and_late_ones_see_the_same(any_world: World) -> None:
    start = await any_world.feed.head(any_world.org_id)
    live = [asyncio.create_task(read(any_world, start, 60)) for _ in range(3)]
    await asyncio.gather(*(any_world.append(event(n), event(n)) for n in range(30)))
    everything = list(range(1, 61))
    assert await asyncio.gather(*live) == [everything] * 3
    assert await read(any_world, start, 60) == everything
    assert await read(any_world, Cursor(start.epoch, 41), 60) == everything[41:], (
        "from the middle of an entry"
    )


@pytest.mark.parametrize("tail_events", [100, 1000])
async def test_any_reader_of_any_topics_at_any_pace_misses_nothing(
    database_url: str, clock: Clock, tail_events: int
) -> None:
    """A tail that is far too short for the readers sends them to the log and back."""
    rng = random.Random(tail_events)
    settings = Settings(database_url=database_url, tail_events=tail_events)
    async with world_of(settings, clock) as world:
        start = await world.feed.head(world.org_id)
        wanted = [frozenset(rng.sample(list(TYPES), rng.randrange(1, 4))) for _ in range(6)]
        total = 0

        async def follow(topics: frozenset[Topic], slowness: float) -> list[int]:
            cursor, found = start, []
            while not (finished.is_set() and cursor.seq >= total):
                page = await world.feed.after(world.org_id, cursor, topics, rng.randrange(1, 50))
                for entry in page.entries:
                    found += [seq for seq in range(entry.first_seq, entry.seq + 1) if seq > cursor.seq]
                if page.cursor == cursor:
                    await asyncio.sleep(0.001)
                cursor = page.cursor
                await asyncio.sleep(rng.random() * slowness)
            return found

        finished = asyncio.Event()
        readers = [asyncio.create_task(follow(topics, 0.01 * n)) for n, topics in enumerate(wanted)]
        for _ in range(60):
            batch = [event(1, rng.choice(list(TYPES))) for _ in range(rng.randrange(1, 20))]
            total = await world.append(*batch)
            if rng.random() < 0.2:
                await asyncio.sleep(0.01)
        finished.set()
        stored = await world.log()
        for topics, found in zip(wanted, await asyncio.gather(*readers), strict=True):
            assert found == [
                seq
                for entry in stored
                if entry.topic in topics
                for seq in range(entry.first_seq, entry.seq + 1)
            ]


async def test_a_page_is_bounded_but_never_empty_for_want_of_room(any_world: World) -> None:
    start = await any_world.feed.head(any_world.org_id)
    await any_world.append(*[event(n) for n in range(50)])
    await any_world.append(event(51))
    for _ in range(2):
        page = await any_world.feed.after(any_world.org_id, start, ALL, 10)
        assert [entry.seq for entry in page.entries] == [50], "an entry is never cut"
        any_world.feed._tails.clear()  # noqa: SLF001 - the second time from the log


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (Cursor("00000000", 1), "another log"),
        (Cursor("", 10**17), "ahead"),
        (Cursor("", 0), "no longer reaches back"),
        (Cursor("", 5), "no longer reaches back"),
    ],
)
async def test_positions_that_can_not_be_followed(any_world: World, cursor: Cursor, reason: str) -> None:
    for n in range(10):
        await any_world.append(event(n))
    await trim(any_world, keep=3)
    epoch = (await any_world.head()).epoch
    with pytest.raises(Expired, match=reason):
        await any_world.feed.check(any_world.org_id, Cursor(cursor.epoch or epoch, cursor.seq))


async def test_a_reader_at_the_very_edge_of_the_log_goes_on(any_world: World) -> None:
    for n in range(10):
        await any_world.append(event(n))
    await trim(any_world, keep=3)
    epoch = (await any_world.head()).epoch
    assert await read(any_world, Cursor(epoch, 7), 10) == [8, 9, 10]
    with pytest.raises(Expired):
        await any_world.feed.after(any_world.org_id, Cursor(epoch, 6), ALL, 10)


async def test_a_trim_between_two_reads_is_no_gap(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is trimmed just after a lagging reader was told that it may go on."""
    for n in range(10):
        await any_world.append(event(n))
    epoch = (await any_world.head()).epoch
    whole = any_world.store.read
    trimmed = False

    async def trimming(query: Any, *args: Any) -> Any:
        nonlocal trimmed
        answer = await whole(query, *args)
        if not trimmed:
            trimmed = True
            await trim(any_world, keep=3)
        return answer

    await any_world.feed.head(any_world.org_id)
    monkeypatch.setattr(any_world.store, "read", trimming)

    async def follow() -> None:
        cursor = Cursor(epoch, 0)
        while True:
            page = await any_world.feed.after(any_world.org_id, cursor, ALL, 4)
            for entry in page.entries:
                assert entry.first_seq == cursor.seq + 1, "a silent gap"
                cursor = Cursor(epoch, entry.seq)
            assert cursor.seq < 10, "the trimmed events were still there in one snapshot"

    with pytest.raises(Expired):  # at once or on the next page, but never with a hole before it
        await follow()


async def test_the_tail_follows_across_a_trim(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lags so far that the log was trimmed under it stands at the end, and its readers are told."""
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(world_of(any_world.settings, any_world.clock))
        caught_up, read_on = asyncio.Event(), other.feed._read_on  # noqa: SLF001

        async def once_more(*given: Any) -> None:
            await read_on(*given)
            caught_up.set()

        monkeypatch.setattr(other.feed, "_read_on", once_more)
        start = await other.feed.head(any_world.org_id)
        await caught_up.wait()  # a tail that just opened reads once more
        await any_world.append(event(1))
        await any_world.append(event(2))
        await trim(any_world, keep=1)
        other.feed._heard(any_world.org_id, 2)  # noqa: SLF001 - the bell, which memory:// does not carry over
        await asyncio.wait_for(other.feed.moved(any_world.org_id, start), 60)
        with pytest.raises(Expired):
            await other.feed.after(any_world.org_id, start, ALL, 10)
        assert await read(other, Cursor(start.epoch, 1), 2) == [2]
        await any_world.append(event(3))
        other.feed._heard(any_world.org_id, 3)  # noqa: SLF001
        assert await read(other, Cursor(start.epoch, 1), 3) == [2, 3]


async def test_a_lost_bell_costs_latency_only(
    postgres_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kici_gql.feed.feed.LOOK_SECONDS", 0.2)
    settings = Settings(database_url=postgres_url)  # memory:// carries no bell to another process
    async with world_of(settings, clock) as one, world_of(settings, clock) as two:
        start = await two.feed.head(two.org_id)
        reader = asyncio.create_task(read(two, start, 20))
        await asyncio.gather(*(one.append(event(n)) for n in range(20)))
        assert await asyncio.wait_for(reader, 60) == list(range(1, 21))


async def test_concurrent_first_readers_share_one_tail(any_world: World) -> None:
    heads = await asyncio.gather(*(any_world.feed.head(any_world.org_id) for _ in range(20)))
    assert len(set(heads)) == 1
    readers = [asyncio.create_task(read(any_world, heads[0], 5)) for _ in range(20)]
    for n in range(5):
        await any_world.append(event(n))
    assert await asyncio.gather(*readers) == [[1, 2, 3, 4, 5]] * 20
    assert len(any_world.feed._tails) == 1  # noqa: SLF001


async def test_what_is_committed_while_the_tail_opens_is_seen(any_world: World) -> None:
    for round_ in range(10):
        any_world.feed._tails.clear()  # noqa: SLF001
        start = await any_world.head()
        reader = asyncio.create_task(read(any_world, start, start.seq + 3))
        await asyncio.gather(*(any_world.append(event(n)) for n in range(3)))
        assert len(await asyncio.wait_for(reader, 60)) == 3, round_


async def test_every_entry_is_heard_once(any_world: World) -> None:
    heard: list[Entry] = []
    any_world.feed.on_entry = heard.append
    await any_world.feed.head(any_world.org_id)
    for n in range(20):
        await any_world.append(event(n))
        any_world.feed._heard(any_world.org_id, n + 1)  # noqa: SLF001 - our own bell comes back, late
    await asyncio.sleep(0.1)
    assert [entry.seq for entry in heard] == list(range(1, 21))


async def test_a_reader_that_goes_leaves_nothing(any_world: World) -> None:
    start = await any_world.feed.head(any_world.org_id)
    waiting = [asyncio.create_task(any_world.feed.moved(any_world.org_id, start)) for _ in range(100)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await any_world.append(event(1))
    assert await read(any_world, start, 1) == [1]


async def test_an_unknown_org_is_an_error_and_not_a_hang(world: World) -> None:
    with pytest.raises(LookupError):
        await world.feed.head("org_nobody")
    assert isinstance(world.feed, Feed)


async def test_how_far_it_is_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bell told of counts as lag until the log was read."""
    head = await world.feed.head(world.org_id)
    assert world.feed.followed == 1
    hold, read = asyncio.Event(), world.store.read

    async def slow(*given: Any) -> Any:
        await hold.wait()
        return await read(*given)

    await world.append(event(1))
    monkeypatch.setattr(world.store, "on_commit", lambda entries: None)  # another process's commit
    await world.append(event(2), event(3))
    monkeypatch.setattr(world.store, "read", slow)
    async with asyncio.timeout(60):
        world.feed.bus.ring(world.org_id, head.seq + 3)
        while not world.feed.lag_events:  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.001)
        assert world.feed.lag_events == 2
        hold.set()
        await world.feed.moved(world.org_id, Cursor(head.epoch, head.seq + 2))
    assert world.feed.lag_events == 0
