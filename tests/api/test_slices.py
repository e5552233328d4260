"""Pages of the fleet are kept as long as they are true, whatever happens and whoever does it."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from kici_gql.api.engine.limits import Limits
from kici_gql.api.engine.operations import Operations
from kici_gql.api.engine.ports import Unchanging
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.api.schema import schema
from kici_gql.api.slices import KeptSlices
from kici_gql.errors import KiciError
from kici_gql.events import Event, EventType
from kici_gql.settings import Settings
from kici_gql.store import Tx, fleet, log, records
from kici_gql.store.paging import Listing, Order, Slice, Window
from kici_gql.tables import Agent, Cluster, Scaler
from tests.restless import Fleet
from tests.world import Clock, World, agent, beat_of, scaler, world_of

MACHINE = "id version hostname memoryUsedMb uptimeSeconds lastHeartbeatAt liveness { state reason since missedBeats }"
AGENT = f"{MACHINE} agentId paused activeJobs firstSeenAt labels {{ name kind }}"
TREE = f"""query ($first: Int = 100) {{ org {{ clusters {{ nodes {{ name connected versions
    stale: agents(where: {{ liveness: {{ oneOf: [LATE, LOST, OFFLINE] }} }}) {{ nodes {{ agentId liveness {{ state }} }} }}
    orchestrators {{ nodes {{ {MACHINE} connectionId runningJobs queuedJobs clockSkewMs
      statefulAgents {{ nodes {{ {AGENT} }} }}
      scalers(orderBy: {{ field: NAME, direction: DESC }}) {{ nodes {{ name activeAgents maxAgents
        agents(first: $first) {{ nodes {{ {AGENT} }} pageInfo {{ hasNextPage endCursor }} }} }} }} }} }} }} }} }} }}"""
FLAT = """{ org {
    agents(first: 3) { totalCount nodes { agentId memoryUsedMb heartbeatAgeSeconds scaler { name } } }
    newest: agents(last: 4) { edges { cursor node { agentId labels { name } orchestrator { hostname } } } }
    orchestrators { nodes { displayId connected agents(where: { paused: true }) { nodes { agentId paused } } } }
    scalers { nodes { name activeAgents agents { nodes { agentId heartbeatAgeSeconds } } } } } }"""
OTHER = """{ org(slug: "other") { agents { nodes { agentId } } } }"""
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = ((TREE, {}), (TREE, {"first": 1}), (FLAT, {}))


class Turmoil(Fleet):
    """Several processes, and what an administrator may do besides."""

    worlds: Sequence[World]

    async def step(self) -> None:
        self.world = self.rng.choice(self.worlds)
        dice = self.rng.random()
        if dice < 0.6:
            await self.go_on()
        elif dice < 0.95:
            await super().step()
        else:
            await self.rng.choice([self.rename, self.restore])()

    async def go_on(self) -> None:
        """A heartbeat like the one before: the only change that is not told as a change of the fleet."""
        self.clock.advance(1)
        beats = [beat_of(f"a{n}", memory_used_mb=self.rng.randrange(1000)) for n in range(8)]
        with contextlib.suppress(KiciError):
            await self.world.beat(self.connection(), beats)

    async def rename(self) -> None:
        def work(tx: Tx) -> None:
            cluster = fleet.cluster_named(tx.connection, tx.org_id, "prod")
            if cluster is not None:
                records.change(tx.connection, Cluster, cluster.id, {"name": f"prod-{self.rng.random()}"})

        await self.world.store.transaction(self.world.org_id, work)

    async def restore(self) -> None:
        await self.world.store.transaction(None, lambda tx: log.renew_epochs(tx.connection))


async def check(world: World) -> None:
    """Whoever keeps something answers what somebody answers who has just started."""
    fresh = World(world.store, world.feed, world.settings, world.clock, world.viewers)
    for query, variables in QUESTIONS:
        assert await world.run(query, **variables) == await fresh.run(query, **variables)


async def storm(settings: Settings, clock: Clock, seed: int, processes: int, steps: int = 30) -> None:
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(world_of(settings, clock)) for _ in range(processes)]
        turmoil = Turmoil(worlds[0], clock, rng, trims=True)
        turmoil.worlds = worlds
        for _ in range(steps):
            asking = [rng.choice(worlds).run(rng.choice(QUESTIONS)[0]) for _ in range(rng.randrange(3))]
            await asyncio.gather(*(turmoil.step() for _ in range(rng.randrange(1, 3))), *asking)
            await check(rng.choice(worlds))
        for world in worlds:
            assert world.slices.rows
            answer = await world.data(OTHER, world.viewer(org="other"))
            assert answer == {"org": {"agents": {"nodes": []}}}


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_kept_is_what_is_there(sqlite_url: str, clock: Clock, seed: int) -> None:
    await storm(Settings(database_url=sqlite_url), clock, seed, processes=1)


@pytest.mark.parametrize("seed", range(100, 102))
async def test_whichever_process_changes_it(postgres_url: str, clock: Clock, seed: int) -> None:
    await storm(Settings(database_url=postgres_url), clock, seed, processes=2)


# ── One thing after the other ──

LISTING = Listing(Agent, "scaler_id", (), Order(), Window())
WHOLE = "{ org { scalers { nodes { agents { nodes { agentId memoryUsedMb } } } } } }"


@pytest.fixture
async def two(any_world: World) -> dict[str, str]:
    """Two orchestrators with an agent each; connection ids by the agents' names. All that can be kept is kept."""
    found = {}
    for name in ("a1", "a2"):
        found[name] = await any_world.connect(
            "prod", f"of-{name}", scalers=[scaler(name)], agents=[agent(name, name)]
        )
        await any_world.beat(found[name], [name])
    for _ in range(3):
        await any_world.data(WHOLE)
    return found


async def kept(world: World) -> dict[str, Slice[Any] | None]:
    """The pages of agents below scalers, by the scalers' names."""
    return {row.name: world.slices.get(world.org_id, LISTING, row.id) for row in await world.rows(Scaler)}


async def test_only_what_beats_is_read_again(any_world: World, two: dict[str, str]) -> None:
    before = await kept(any_world)
    assert all(isinstance(page.rows, Unchanging) for page in before.values() if page is not None)
    await any_world.beat(two["a1"], [beat_of("a1", memory_used_mb=77)])
    assert "77" in str(await any_world.data(WHOLE))
    after = await kept(any_world)
    assert after["a2"] is before["a2"] is not None
    assert after["a1"] is not before["a1"] is not None


async def test_what_is_not_about_the_fleet_ends_nothing(any_world: World, two: dict[str, str]) -> None:
    before = await kept(any_world)
    await any_world.append(Event(EventType.ALERT_CHANGED, {"id": "alt_1"}))
    await any_world.data(WHOLE, any_world.viewer("VIEWER"))
    after = await kept(any_world)
    assert all(after[name] is before[name] is not None for name in ("a1", "a2"))


@pytest.mark.parametrize("what", ["change", "epoch", "trim", "silent"])
async def test_everything_is_read_again_when_it_is_not_told_what_changed(
    any_world: World, two: dict[str, str], what: str
) -> None:
    before = await kept(any_world)

    def trim(tx: Tx) -> None:
        log.trim(tx.connection, tx.org_id, tx.now, 0, 10_000)

    def silent(tx: Tx) -> None:
        tx.disturbed.add("somebody")

    if what == "change":
        await any_world.connect("test", "three")
    elif what == "epoch":
        await any_world.store.transaction(None, lambda tx: log.renew_epochs(tx.connection))
    elif what == "trim":
        await any_world.beat(two["a1"], ["a1"])
        await any_world.store.transaction(any_world.org_id, trim)
    else:
        await any_world.store.transaction(any_world.org_id, silent)
    await any_world.data(WHOLE)
    after = await kept(any_world)
    assert all(after[name] is not before[name] for name in ("a1", "a2"))


def page_of(length: int) -> Slice[Any]:
    rows: list[Any] = [object()] * length
    return Slice(rows, Order(), has_next=False, has_previous=False)


async def test_what_was_read_before_the_last_look_is_not_kept(world: World) -> None:
    slices = KeptSlices()
    page = page_of(0)
    mark = await world.store.read(log.mark, world.org_id)
    assert slices.add(world.org_id, mark, LISTING, {"p": page})["p"] is page, "nobody has looked yet"
    await slices.refresh(world.store, world.org_id)
    for older in (mark._replace(epoch="x"), mark._replace(seq=-1), mark._replace(fleet_seq=-1)):
        slices.add(world.org_id, older, LISTING, {"p": page})
        assert slices.get(world.org_id, LISTING, "p") is None
    slices.add(world.org_id, mark, LISTING, {"p": page})
    assert slices.get(world.org_id, LISTING, "p") == replace(page, rows=Unchanging())
    assert slices.get("another org", LISTING, "p") is None


async def test_few_rows_are_kept(world: World) -> None:
    slices = KeptSlices(max_rows=10)
    await slices.refresh(world.store, world.org_id)
    mark = await world.store.read(log.mark, world.org_id)
    for number in range(30):
        page = page_of(number % 4)
        for first in (1, 2, 2):
            listing = replace(LISTING, window=Window(first=first))
            slices.add(world.org_id, mark, listing, {f"p{number}": page})
        assert slices.rows <= 10
    assert slices.get(world.org_id, LISTING, "p0") is None
    slices.add(world.org_id, mark, LISTING, {"large": page_of(11)})
    assert slices.rows == 0


async def test_what_is_encoded_counts_like_what_is_not(
    world: World,
) -> None:
    await world.connect(scalers=[scaler()], agents=[agent(f"a{n}", labels=["x"]) for n in range(3)])
    make_context = world.operations._execution._make_context  # noqa: SLF001 - the world's own
    request = GraphQLRequest(TREE)
    answers = set()
    for limit in range(1, 120):
        tight = Operations(schema, make_context, limits=Limits(max_values=limit))
        bodies = [(await tight.run(tight.prepare(request), world.viewer())).body for _ in range(4)]
        assert len(set(bodies)) == 1, limit
        answers.add(bodies[0])
    assert len(answers) > 20, "of refusals and one answer"
