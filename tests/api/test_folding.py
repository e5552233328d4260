"""Query and subscription meet without a gap: what a client folds from a stream is what a query answers later.

Random fleets do random things while readers follow, fall behind, hang up and resume. In the end every reader must believe
exactly what a query says, have been able to prove by `previousCursor` that it missed nothing, and have seen every
lossless event once and in order.
"""

import asyncio
import contextlib
import random
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import alerts, orchestrators
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput, ReportedAlertInput
from kici_gql.errors import KiciError
from kici_gql.events import Topic
from kici_gql.settings import Settings
from kici_gql.store import Tx, log
from kici_gql.tables import AlertSeverity
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
from tests.world import Clock, World, agent, beat_of, scaler, world_of


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


class Fleet:
    """Orchestrators that do whatever comes to their minds."""

    def __init__(self, world: World, clock: Clock, rng: random.Random, *, trims: bool) -> None:
        self.world = world
        self.clock = clock
        self.rng = rng
        self.trims = trims
        self.connections: dict[str, str] = {}

    async def step(self) -> None:
        acts = [self.connect, self.beat, self.beat, self.beat, self.report, self.sweep, self.alert]
        acts += [self.acknowledge, self.goodbye, self.trim]
        self.clock.advance(self.rng.choice([0, 0.25, 1, 29.75]))  # often a whole second
        # An agent that is another's, a connection that is over: refused, and nothing happened.
        with contextlib.suppress(KiciError):
            await self.rng.choice(acts)()

    def connection(self) -> str:
        return self.rng.choice([*self.connections.values(), "gone"])

    def agents(self) -> list[Any]:
        names = self.rng.sample([f"a{n}" for n in range(8)], self.rng.randrange(5))
        return [
            agent(
                name,
                self.rng.choice(["x", "y", None]),
                version=self.rng.choice("12"),
                labels=[self.rng.choice("lm")],
            )
            for name in names
        ]

    def scalers(self) -> list[Any]:
        return [scaler(name, self.rng.randrange(3)) for name in "xy"]

    async def connect(self) -> None:
        instance = self.rng.choice(["one", "two", "three"])
        cluster = self.rng.choice(["prod", "test"])
        self.connections[instance] = await self.world.connect(
            cluster, instance, scalers=self.scalers(), agents=self.agents(), version=self.rng.choice("12")
        )

    async def beat(self) -> None:
        beats = [
            beat_of(
                f"a{n}",
                memory_used_mb=self.rng.randrange(1000),
                active_jobs=self.rng.randrange(3),
                paused=self.rng.random() < 0.2,
            )
            for n in self.rng.sample(range(8), self.rng.randrange(8))
        ]
        await self.world.beat(self.connection(), beats, queued_jobs=self.rng.randrange(2))

    async def report(self) -> None:
        full = self.rng.random() < 0.4
        removed = [] if full else self.rng.sample([f"a{n}" for n in range(8)], self.rng.randrange(2))
        await orchestrators.report_inventory(
            self.world.call("ORCHESTRATOR"),
            OrchestratorReportInventoryInput(
                connection_id=self.connection(),
                full=full,
                scalers=self.scalers()[: self.rng.randrange(3)],
                agents=self.agents(),
                removed_agents=removed,
                removed_scalers=[] if full or self.rng.random() < 0.7 else [self.rng.choice("xy")],
            ),
        )

    async def sweep(self) -> None:
        self.clock.advance(self.rng.choice([1, 60, 130]))
        await self.world.sweep()

    async def alert(self) -> None:
        problem = ReportedAlertInput(
            dedupe_key=self.rng.choice("de"),
            severity=self.rng.choice(list(AlertSeverity)),
            message=self.rng.choice("mn"),
            resolved=self.rng.random() < 0.4,
        )
        await alerts.report(self.world.call("ORCHESTRATOR"), self.connection(), [problem])

    async def acknowledge(self) -> None:
        found = (await self.world.data("{ org { alerts { nodes { id } } } }"))["org"]["alerts"]["nodes"]
        if found:
            until = self.rng.choice([None, self.clock() + timedelta(seconds=30)])
            id_ = self.rng.choice(found)["id"]
            await alerts.acknowledge(self.world.call("OPERATOR"), id_, "on it", until, None, None)

    async def goodbye(self) -> None:
        if self.rng.random() < 0.4:
            await orchestrators.disconnect(self.world.call("ORCHESTRATOR"), self.connection(), "bye")

    async def trim(self) -> None:
        def work(tx: Tx) -> None:
            log.trim(tx.connection, tx.org_id, tx.now - timedelta(days=9), self.rng.randrange(60), 10_000)

        if self.trims:
            await self.world.store.transaction(self.world.org_id, work)


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
