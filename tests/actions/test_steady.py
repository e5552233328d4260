"""The short way of a heartbeat leaves what the long way leaves, and is taken only where nothing else happened."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import orchestrators, steady
from kici_gql.errors import Forbidden, UnknownConnection
from kici_gql.events import Entry, Event, EventType
from kici_gql.settings import Settings
from kici_gql.store import Tx
from kici_gql.tables import Agent, Audit, Liveness, Orchestrator
from tests.world import Clock, World, agent, beat_of, beating, scaler, world_of


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each heartbeat, whether it went the short way."""
    found: list[bool] = []
    take, take_any = steady.take, orchestrators._any_heartbeat  # noqa: SLF001

    def noting(*args: Any) -> Any:
        result = take(*args)
        if result is not None:
            found.append(True)
        return result

    def noting_any(*args: Any) -> Any:
        result = take_any(*args)
        found.append(False)
        return result

    monkeypatch.setattr(steady, "take", noting)
    monkeypatch.setattr(orchestrators, "_any_heartbeat", noting_any)
    return found


async def fleet(world: World) -> str:
    connection = await world.connect(
        scalers=[scaler()], agents=[agent("a1", labels=["x"]), agent("a2", None), agent("a3")]
    )
    await world.beat(connection, ["a1", "a2"])
    return connection


async def test_both_ways_leave_the_same(
    any_world: World, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await fleet(any_world)
    states = []
    figures = beat_of("a1", memory_used_mb=77, active_jobs=2)
    for _ in range(3):
        any_world.clock.advance(20)  # type: ignore[attr-defined]
        await any_world.beat(connection, ["a1", "a2"])
        await any_world.beat(connection, [figures], running_jobs=3, memory_used_mb=5, uptime_seconds=9)
        rows = await any_world.rows(Orchestrator), await any_world.rows(Agent)
        entries = (await any_world.log())[-2:]
        states.append((repr(rows), [entry.body for entry in entries]))
        monkeypatch.setattr(any_world, "clock", any_world.clock)
        any_world.clock.advance(-20)  # type: ignore[attr-defined]
        if len(states) == 2:
            monkeypatch.setattr(steady, "take", lambda *_: None)
    assert states[1] == states[0]
    assert states[2] == states[0]
    assert taken == [False, *[True] * 4, *[False] * 2], "the first beat brings them ONLINE, and knows it"


async def test_what_it_tells_without_decoding_is_what_the_log_says(world: World, taken: list[bool]) -> None:
    connection = await fleet(world)
    told: list[Entry] = []
    world.store.on_commit = told.extend
    for _ in range(2):
        await world.beat(
            connection, [beat_of("a1", memory_used_mb=77), "a2"], running_jobs=3, uptime_seconds=9
        )
    assert taken[-2:] == [True, True]
    whole = [[Event(event.type, event.whole) for event in entry.events] for entry in told]
    assert whole == [list(entry.events) for entry in (await world.log())[-2:]]
    first, second = ([event.profile for event in entry.events] for entry in told)
    assert None not in first
    assert list(map(id, first)) == list(map(id, second)), "a profile is the same object each time"


async def test_whatever_is_not_steady_takes_the_long_way(any_world: World, taken: list[bool]) -> None:
    connection = await fleet(any_world)
    for names, queued in ((["a1", "a3"], 0), (["a1", "nobody"], 0), (["a1"], 1)):
        taken.clear()
        done = await any_world.beat(connection, names, queued_jobs=queued)
        assert taken == [False]
        assert done.result["unknown"] == (["nobody"] if "nobody" in names else [])
    any_world.clock.advance(61)  # type: ignore[attr-defined]
    await any_world.sweep()
    assert {row.liveness for row in await any_world.rows(Agent)} == {Liveness.LATE}
    taken.clear()
    await any_world.beat(connection, ["a1", "a2", "a3"], queued_jobs=1)
    await any_world.beat(connection, ["a1", "a2", "a3"], queued_jobs=1)
    await any_world.beat(connection, ["a1", "a2", "a3"], queued_jobs=1)
    assert taken == [False, True, True], "liveness changed, and the beat that changed it knows how"
    assert {row.liveness for row in await any_world.rows(Agent)} == {Liveness.ONLINE}


async def test_a_new_connection_ends_the_old_one_for_the_short_way_too(any_world: World) -> None:
    old = await fleet(any_world)
    await any_world.beat(old, ["a1"])
    await any_world.connect(scalers=[scaler()], agents=[agent("a1")])
    with pytest.raises(UnknownConnection):
        await any_world.beat(old, ["a1"])


async def test_a_token_without_the_right_has_no_short_way(any_world: World) -> None:
    connection = await fleet(any_world)
    await any_world.beat(connection, ["a1"])
    with pytest.raises(Forbidden):
        await orchestrators.heartbeat(any_world.call("VIEWER"), beating(connection, ["a1"]))
    with pytest.raises(UnknownConnection):
        await any_world.beat(connection, ["a1"], org="other")


async def test_beats_of_one_batch_are_written_once_and_told_each(any_world: World, taken: list[bool]) -> None:
    connection = await fleet(any_world)
    before = len(await any_world.events()), len(await any_world.rows(Audit))
    beats = [beat_of("a1", memory_used_mb=number) for number in range(40)]
    await asyncio.gather(*(any_world.beat(connection, [beat]) for beat in beats))
    assert all(taken[2:])
    [row] = await any_world.rows(Agent, agent_id="a1")
    assert row.memory_used_mb == 39
    assert len(await any_world.events()) == before[0] + 80
    assert len(await any_world.rows(Audit)) == before[1] + 40


async def test_a_reader_in_the_same_batch_sees_what_waits_and_a_failure_takes_nothing_with_it(
    any_world: World,
) -> None:
    connection = await fleet(any_world)

    def look(tx: Tx) -> int:
        rows = tx.connection.exec_driver_sql(
            "SELECT memory_used_mb FROM agent_figures JOIN agent USING (serial) WHERE agent_id = 'a1'"
        )
        return int(rows.scalar_one())

    def fail(tx: Tx) -> None:
        tx.connection.exec_driver_sql("UPDATE agent_figures SET memory_used_mb = 1")
        raise UnknownConnection("on purpose")

    done = await asyncio.gather(
        any_world.beat(connection, [beat_of("a1", memory_used_mb=500)]),
        any_world.store.transaction(any_world.org_id, fail),
        any_world.store.transaction(any_world.org_id, look),
        any_world.beat(connection, [beat_of("a1", memory_used_mb=600)]),
        return_exceptions=True,
    )
    assert isinstance(done[1], UnknownConnection)
    assert done[2] == 500
    assert [row.memory_used_mb for row in await any_world.rows(Agent, agent_id="a1")] == [600]


async def test_what_happens_to_one_orchestrator_ends_nothing_that_is_known_of_others(
    any_world: World, taken: list[bool]
) -> None:
    one = await fleet(any_world)
    two = await any_world.connect(instance="two", agents=[agent("b1", None)])
    for connection, name in ((one, "a1"), (two, "b1"), (two, "b1")):
        await any_world.beat(connection, [name])
    taken.clear()
    await any_world.beat(two, [beat_of("b1", paused=True)])
    await any_world.beat(one, ["a1"])
    assert taken == [False, True]


async def test_a_beat_that_changes_much_lets_steady_ones_go_first(any_world: World) -> None:
    one = await fleet(any_world)
    two = await any_world.connect(instance="two", agents=[agent("b1", None)])
    await any_world.beat(two, ["b1"])
    changing, steadily = await asyncio.gather(
        any_world.beat(one, [beat_of("a1", paused=True)]), any_world.beat(two, ["b1"])
    )
    assert steadily.cursor.seq < changing.cursor.seq


async def test_another_process_that_changes_the_fleet_ends_what_this_one_knows(
    postgres_url: str, clock: Clock, taken: list[bool]
) -> None:
    settings = Settings(database_url=postgres_url)
    async with world_of(settings, clock) as here, world_of(settings, clock) as there:
        connection = await fleet(here)
        for world in (here, there, here, there):
            await world.beat(connection, ["a1"])
        taken.clear()
        for world in (here, there, here):
            await world.beat(connection, ["a1"])
        assert taken == [True] * 3, "beats that are taken elsewhere change nothing that matters"
        await there.beat(connection, [beat_of("a1", paused=True)])
        await here.beat(connection, ["a1"])
        await there.beat(connection, ["a1"], queued_jobs=3)
        await here.beat(connection, ["a1"])
        assert taken[3:] == [False] * 4
        [row] = await here.rows(Agent, agent_id="a1")
        assert not row.paused


async def test_a_registry_version_is_announced_once(any_world: World, taken: list[bool]) -> None:
    connection = await fleet(any_world)
    for version in ("v1", "v1", "v1", None, "v2", "v2"):
        await any_world.beat(connection, ["a1"], registry_version=version)
    assert taken[1:] == [False, True, True, True, False, True]
    told = [event for _, event in await any_world.events() if event.type is EventType.REGISTRY_CHANGED]
    assert [event.data["announced_version"] for event in told] == ["v1", "v2"]


async def test_who_does_not_beat_along_is_due_when_it_would_be_anyway(any_world: World, clock: Clock) -> None:
    connection = await fleet(any_world)
    start = clock()
    for seconds in (20, 20, 19):
        clock.advance(seconds)
        await any_world.beat(connection, ["a1"])
        [row] = await any_world.rows(Orchestrator)
        assert row.due_at == start + timedelta(seconds=60), (
            "of a2, which beat at the start, and a3, which never did"
        )
    clock.advance(1)
    await any_world.sweep()
    states = {row.agent_id: row.liveness for row in await any_world.rows(Agent)}
    assert states == {"a1": Liveness.ONLINE, "a2": Liveness.LATE, "a3": Liveness.NEVER_SEEN}
    [row] = await any_world.rows(Orchestrator)
    assert row.due_at == start + timedelta(seconds=59 + 60), "a1 is the next one"
