"""The end of a connection says that an orchestrator is gone: at once, and only where it does say so."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from kici_gql.actions import listeners as listeners_module
from kici_gql.actions import orchestrators
from kici_gql.actions.listeners import Listener, Listeners
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput
from kici_gql.errors import Unavailable
from kici_gql.settings import Settings
from kici_gql.tables import Agent, Alert, Cluster, Liveness, Orchestrator, Scaler
from tests.governed import SCOPED, SURFACES, backend, codes, everything, marks, report
from tests.world import Clock, World, agent, scaler, world_of

WHY = "the connection ended without a goodbye"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners_module, "GRACE_SECONDS", 0)


async def listener(world: World, connection: str, org: str = "default") -> Listener:
    [row] = await world.rows(Orchestrator, connection_id=connection)
    return Listener(world.viewer(org=org).org_id, row.id, connection)


class Line:
    """A connection over which an orchestrator follows its commands, to this process or another one."""

    def __init__(self, listeners: Listeners, listener: Listener) -> None:
        self.listeners = listeners
        self.listener = listener
        self.leave = listeners.enter(listener)

    @classmethod
    async def open(cls, world: World, connection: str, at: Listeners | None = None) -> "Line":
        line = cls(at or world.listeners, await listener(world, connection))
        await line.listeners.welcome(line.listener)
        return line

    async def end(self, reason: str | None = WHY) -> None:
        """End it, and wait until it has been judged."""
        self.leave(reason)
        await self.judged()

    async def judged(self) -> None:
        await asyncio.gather(*self.listeners._judging)  # noqa: SLF001 - what nobody else has to wait for


async def states(world: World) -> dict[str, str]:
    found = {row.instance_id: row.liveness.value for row in await world.rows(Orchestrator)}
    return found | {row.agent_id: row.liveness.value for row in await world.rows(Agent)}


async def problems(world: World) -> dict[str, str]:
    return {row.kind.value: row.state.value for row in await world.rows(Alert)}


async def test_whoever_leaves_is_gone_with_its_agents(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2")])
    await any_world.beat(connection, ["a1"])
    line = await Line.open(any_world, connection)
    clock.advance(1)
    await line.end()
    assert await states(any_world) == {"one": "LOST", "a1": "LOST", "a2": "LOST"}
    [row] = await any_world.rows(Orchestrator)
    assert (row.liveness_reason, row.disconnected_at, row.due_at) == (WHY, clock(), None)
    assert [each.liveness_reason for each in await any_world.rows(Agent)] == [WHY, WHY]
    assert [each.active_agents for each in await any_world.rows(Scaler)] == [0]
    assert await problems(any_world) == {"ORCHESTRATOR_DISCONNECTED": "OPEN"}, "its agents are part of it"
    [cluster] = await any_world.rows(Cluster)
    assert cluster.connected_since is None
    assert await codes(any_world, "prod") == dict.fromkeys([*SCOPED, "registrations"], "CLUSTER_DISCONNECTED")


async def test_a_sibling_keeps_the_cluster_connected(any_world: World) -> None:
    one = await Line.open(any_world, await any_world.connect(instance="one"))
    two = await Line.open(any_world, await any_world.connect(instance="two"))
    await one.end()
    assert await states(any_world) == {"one": "LOST", "two": "ONLINE"}
    assert (await any_world.rows(Cluster))[0].connected_since is not None
    await two.end()
    assert (await any_world.rows(Cluster))[0].connected_since is None


async def test_whoever_never_listened_is_judged_by_its_beats(any_world: World) -> None:
    connection = await any_world.connect()
    line = Line(any_world.listeners, await listener(any_world, connection))
    await line.end()
    assert await states(any_world) == {"one": "ONLINE"}


@pytest.mark.parametrize("how", ["beat", "listen", "connect"])
async def test_it_comes_back(any_world: World, clock: Clock, how: str) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2")])
    await any_world.beat(connection, ["a1", "a2"])
    line = await Line.open(any_world, connection)
    clock.advance(50)
    await line.end()
    if how == "beat":
        await any_world.beat(connection, ["a1"])
    elif how == "listen":
        await Line.open(any_world, connection)
    else:
        again = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2")])
        await any_world.beat(again, ["a1", "a2"])
    assert await states(any_world) == {"one": "ONLINE", "a1": "ONLINE", "a2": "ONLINE"}
    [row] = await any_world.rows(Orchestrator)
    assert row.disconnected_at is None
    assert [each.active_agents for each in await any_world.rows(Scaler)] == [2]
    assert await problems(any_world) == {"ORCHESTRATOR_DISCONNECTED": "RESOLVED"}


async def test_what_comes_back_is_judged_by_its_beats_again(any_world: World, clock: Clock) -> None:
    """Nobody is better for having been lost, and nobody stays ONLINE for ever."""
    connection = await any_world.connect(agents=[agent("a1", None), agent("a2", None), agent("a3", None)])
    await any_world.beat(connection, ["a1", "a2"])
    clock.advance(70)
    await any_world.beat(connection, ["a1"])
    line = await Line.open(any_world, connection)
    clock.advance(70)
    await line.end()
    again = await Line.open(any_world, connection)
    assert await states(any_world) == {"one": "LATE", "a1": "LATE", "a2": "LATE", "a3": "NEVER_SEEN"}
    await any_world.beat(connection)
    assert await states(any_world) == {"one": "ONLINE", "a1": "LATE", "a2": "LATE", "a3": "NEVER_SEEN"}
    clock.advance(40)
    await any_world.sweep()
    assert await states(any_world) == {"one": "ONLINE", "a1": "LATE", "a2": "LOST", "a3": "LOST"}
    await again.end()
    clock.advance(1000)
    await Line.open(any_world, connection)
    assert set((await states(any_world)).values()) == {"LOST"}, "that it listens is no heartbeat"
    await any_world.beat(connection, ["a1"])
    assert await states(any_world) == {"one": "ONLINE", "a1": "ONLINE", "a2": "LOST", "a3": "LOST"}


async def test_a_lost_agent_of_its_own_is_one_still(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(agents=[agent("a1", None), agent("a2", None), agent("a3", None)])
    await any_world.beat(connection, ["a1", "a2", "a3"])
    for _ in range(6):
        clock.advance(30)
        await any_world.beat(connection, ["a2", "a3"])
        await any_world.sweep()
    assert await problems(any_world) == {"AGENT_LOST": "OPEN"}
    line = await Line.open(any_world, connection)
    await line.end()
    assert await problems(any_world) == {"AGENT_LOST": "RESOLVED", "ORCHESTRATOR_DISCONNECTED": "OPEN"}
    await any_world.beat(connection)
    assert await states(any_world) == {"one": "ONLINE", "a1": "LOST", "a2": "ONLINE", "a3": "ONLINE"}
    assert await problems(any_world) == {"AGENT_LOST": "OPEN", "ORCHESTRATOR_DISCONNECTED": "RESOLVED"}


async def test_steady_beats_go_on_after_it_came_back(any_world: World, clock: Clock) -> None:
    """What the writer remembers of a steady orchestrator must not outlive its loss."""
    connection = await any_world.connect(agents=[agent("a1", None)])
    for _ in range(2):
        await any_world.beat(connection, ["a1"])
    line = await Line.open(any_world, connection)
    await line.end()
    clock.advance(1)
    for _ in range(2):
        await any_world.beat(connection, ["a1"])
        assert await states(any_world) == {"one": "ONLINE", "a1": "ONLINE"}
    due = await any_world.sweep()
    assert due is not None
    assert (due - clock()).total_seconds() == 60


async def test_what_it_reported_over_its_connection_holds_again(any_world: World, clock: Clock) -> None:
    """It was only out of sight: it will not repeat what it said, and readers that follow the stream forgot it."""
    connection = await any_world.connect()
    clock.advance(1)
    await report(any_world, connection, **everything("red"))
    line = await Line.open(any_world, connection)
    clock.advance(1)
    await line.end()
    position = (await any_world.head()).seq
    clock.advance(1)
    await any_world.beat(connection)
    cluster = (await any_world.run(SURFACES, name="prod"))["data"]["org"]["cluster"]
    assert set(marks(cluster).values()) == {"red"}
    told = [event.type.value for seq, event in await any_world.events() if seq > position]
    assert (told.count("surface.changed"), told.count("backend.changed")) == (5, 1)
    assert told.index("orchestrator.changed") < told.index("surface.changed")
    # What an earlier life of the same orchestrator said does not.
    clock.advance(1)
    again = await any_world.connect()
    await report(any_world, again, secret_backends=[backend("blue")])
    untold = {*SCOPED, "registrations"} - {"secretBackends"}
    assert await codes(any_world, "prod") == dict.fromkeys(untold, "UNAVAILABLE")


async def test_a_second_connection_takes_the_place_of_the_first(any_world: World) -> None:
    connection = await any_world.connect()
    first = await Line.open(any_world, connection)
    second = await Line.open(any_world, connection)
    await first.end()
    assert await states(any_world) == {"one": "ONLINE"}
    third = await Line.open(any_world, connection)
    await third.end()
    assert await states(any_world) == {"one": "ONLINE"}, "the second is still there"
    await second.end()
    assert await states(any_world) == {"one": "LOST"}


async def test_whoever_is_back_in_time_never_left(any_world: World) -> None:
    connection = await any_world.connect()
    line = await Line.open(any_world, connection)
    position = await any_world.head()
    line.leave(WHY)
    again = Line(any_world.listeners, line.listener)
    await line.judged()
    assert await states(any_world) == {"one": "ONLINE"}
    assert await any_world.head() == position, "nobody was told of it"
    await again.end()
    assert await states(any_world) == {"one": "LOST"}


@pytest.mark.parametrize("what", ["goodbye", "connects anew", "ended by us", "our own end"])
async def test_an_end_that_says_nothing(any_world: World, what: str) -> None:
    connection = await any_world.connect()
    line = await Line.open(any_world, connection)
    expected = "ONLINE"
    if what == "goodbye":
        await orchestrators.disconnect(any_world.call("ORCHESTRATOR"), connection, "stopped")
        expected = "OFFLINE"
    elif what == "connects anew":
        await any_world.connect()
    elif what == "our own end":
        await any_world.listeners.close()
    await line.end(None if what == "ended by us" else WHY)
    assert await states(any_world) == {"one": expected}


async def test_our_end_calls_off_what_is_being_judged(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners_module, "GRACE_SECONDS", 3600)
    line = await Line.open(any_world, await any_world.connect())
    line.leave(WHY)
    await any_world.listeners.close()
    await line.end()
    assert await states(any_world) == {"one": "ONLINE"}


async def test_a_database_that_is_away_is_no_reason_to_fail(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        async def transaction(self, *_: Any) -> None:
            raise Unavailable("the database can't be reached")

    away: Any = Away()
    connection = await world.connect()
    await Line(Listeners(away, world.settings, "test"), await listener(world, connection)).end()
    assert "its silence will have to tell: the database can't be reached" in caplog.text
    assert await states(world) == {"one": "ONLINE"}


@pytest.fixture
async def next_door(any_world: World, database_url: str, clock: Clock) -> AsyncIterator[World]:
    """Another process on the same database."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite serves one process")
    async with world_of(Settings(database_url=database_url), clock) as opened:
        opened.listeners = Listeners(opened.store, opened.settings, "next door")
        yield opened


async def test_it_may_come_back_to_another_process(any_world: World, next_door: World) -> None:
    connection = await any_world.connect(agents=[agent("a1", None)])
    here = await Line.open(any_world, connection)
    there = await Line.open(next_door, connection)
    await here.end()
    assert await states(any_world) == {"one": "ONLINE", "a1": "NEVER_SEEN"}
    await there.end()
    assert await states(any_world) == {"one": "LOST", "a1": "LOST"}
    await next_door.beat(connection, ["a1"])
    assert await states(any_world) == {"one": "ONLINE", "a1": "ONLINE"}
    await any_world.beat(connection, ["a1"])
    back = await Line.open(any_world, connection)
    await back.end()
    await Line.open(next_door, connection)
    assert await states(any_world) == {"one": "ONLINE", "a1": "ONLINE"}


async def test_a_process_that_was_killed_says_nothing(any_world: World, clock: Clock) -> None:
    """Its life before wrote down who listened there. They come to the next one, or their beats judge them."""
    before = Listeners(any_world.store, any_world.settings, "killed")
    one, two = await any_world.connect(instance="one"), await any_world.connect(instance="two")
    await Line.open(any_world, one, before)
    await Line.open(any_world, two, before)
    back = await Line.open(any_world, one)
    assert set((await states(any_world)).values()) == {"ONLINE"}
    await back.end()
    assert await states(any_world) == {"one": "LOST", "two": "ONLINE"}
    clock.advance(180)
    await any_world.sweep()
    assert await states(any_world) == {"one": "LOST", "two": "LOST"}


async def test_reports_of_a_lost_orchestrator_are_taken_and_do_not_bring_it_back(any_world: World) -> None:
    connection = await any_world.connect(agents=[agent("a1", None)])
    line = await Line.open(any_world, connection)
    await line.end()
    told = OrchestratorReportInventoryInput(connection_id=connection, agents=[agent("a2", None)])
    await orchestrators.report_inventory(any_world.call("ORCHESTRATOR"), told)
    assert await states(any_world) == {"one": "LOST", "a1": "LOST", "a2": "NEVER_SEEN"}
    await any_world.beat(connection)
    assert await states(any_world) == {"one": "ONLINE", "a1": "NEVER_SEEN", "a2": "NEVER_SEEN"}


async def test_an_orchestrator_of_another_org_is_another_one(any_world: World) -> None:
    connection = await any_world.connect()
    line = await Line.open(any_world, connection)
    foreign = replace(line.listener, org_id=any_world.viewer(org="other").org_id)
    await any_world.listeners.welcome(foreign)
    await Line(any_world.listeners, foreign).end()
    assert await states(any_world) == {"one": "ONLINE"}
    await line.end()
    assert await states(any_world) == {"one": "LOST"}


async def test_no_work_that_grows_with_the_fleet(world: World) -> None:
    """Whoever comes to listen costs one transaction that writes one row, and tells nobody."""
    lines: list[Any] = [await Line.open(world, await world.connect(instance=f"{n}")) for n in range(5)]
    position, before = await world.head(), await world.dump("orchestrator")
    for each in lines:
        await Line.open(world, each.listener.connection_id)
    assert (await world.head(), await world.dump("orchestrator")) == (position, before)
    assert {row.liveness for row in await world.rows(Orchestrator)} == {Liveness.ONLINE}
