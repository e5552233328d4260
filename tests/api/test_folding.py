"""Query and subscription meet without a gap: what a client folds from a stream is what a query answers later.

Random fleets do random things while readers follow, fall behind, hang up and resume. In the end every reader must believe
exactly what a query says, have been able to prove by `previousCursor` that it missed nothing, and have seen every
lossless event once and in order.
"""

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from kici_gql.events import Topic
from kici_gql.settings import Settings
from tests.folding import (
    FIGURES,
    HEARTBEATS,
    INFRASTRUCTURE,
    QUERY,
    Believer,
    by_id,
    check_figures,
    unresolved,
)
from tests.restless import Fleet
from tests.world import Clock, World, world_of


@dataclass
class Reader:
    """A client that hangs up and resumes."""

    world: World
    rng: random.Random
    hasty: bool
    believes: Believer

    async def follow(self, finished: asyncio.Event) -> None:
        believes = self.believes
        while True:
            async with aclosing(self.world.frames(believes.query, after=believes.cursor)) as frames:
                for _ in range(self.rng.randrange(1, 12)):
                    believes.take(await anext(frames))
                    if finished.is_set() and believes.cursor == str(await self.world.head()):
                        return
                    if not self.hasty:
                        await asyncio.sleep(self.rng.random() * 0.03)


async def scenario(
    settings: Settings, clock: Clock, seed: int, *, trims: bool, steps: int = 70
) -> list[Believer]:
    rng = random.Random(seed)
    async with world_of(settings, clock) as world:
        fleet = Fleet(world, clock, rng, trims=trims)
        readers: list[Reader] = []
        finished = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for step in range(steps):
                if step % 10 == 0 and len(readers) < 6:
                    query = INFRASTRUCTURE if len(readers) % 3 else HEARTBEATS
                    reader = Reader(
                        world, random.Random(rng.random()), len(readers) % 2 == 0, Believer(query)
                    )
                    readers.append(reader)
                    tasks.create_task(reader.follow(finished))
                await asyncio.gather(*(fleet.step() for _ in range(rng.randrange(1, 4))))
                if rng.random() < 0.5:
                    await asyncio.sleep(rng.random() * 0.01)
            finished.set()
        wanted = by_id((await world.data(QUERY))["org"])
        stored = await world.events()
        believers = [reader.believes for reader in readers]
        for believer in believers:
            if believer.query == HEARTBEATS:
                check_figures(believer, wanted, by_id((await world.data(FIGURES))["org"]))
            else:
                assert unresolved(believer.known) == unresolved(wanted), f"seed {seed}"
        if not trims:
            told = [
                event.data["id"]
                for _, event in stored
                if event.type.topic in {Topic.INFRASTRUCTURE, Topic.ALERTS}
            ]
            heard = [id_ for _, id_ in believers[1].heard]
            assert heard == told[len(told) - len(heard) :], "each lossless event once, in order"
    return believers


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_folded_is_what_is(sqlite_url: str, clock: Clock, seed: int) -> None:
    settings = Settings(database_url=sqlite_url, bookmark_seconds=0.05, page_events=[1, 7, 1000][seed % 3])
    believers = await scenario(settings, clock, seed, trims=False)
    assert {kind for believer in believers for kind in believer.kinds} == {"SNAPSHOT", "EVENTS", "BOOKMARK"}


@pytest.mark.parametrize("seed", range(100, 104))
async def test_even_when_the_log_is_trimmed_under_the_readers(
    sqlite_url: str, clock: Clock, seed: int
) -> None:
    settings = Settings(database_url=sqlite_url, bookmark_seconds=0.05, tail_events=100)
    await scenario(settings, clock, seed, trims=True)


async def test_on_postgresql_too(postgres_url: str, clock: Clock) -> None:
    settings = Settings(database_url=postgres_url, bookmark_seconds=0.05)
    await scenario(settings, clock, 1000, trims=False, steps=40)
