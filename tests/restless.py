"""A fleet in which everything happens that can happen, in any order."""

import contextlib
import random
from datetime import timedelta
from typing import Any

from kici_gql.actions import alerts, departures, orchestrators
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput, ReportedAlertInput
from kici_gql.errors import KiciError
from kici_gql.store import Tx, fleet, log
from kici_gql.tables import AlertSeverity
from tests.world import Clock, World, agent, beat_of, scaler


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
        acts += [self.acknowledge, self.goodbye, self.forget, self.trim]
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

    async def forget(self) -> None:
        def work(tx: Tx) -> None:
            for each in fleet.away_since(tx.connection, tx.org_id, tx.now, 10):
                departures.forget(tx, each)

        await self.world.store.transaction(self.world.org_id, work)

    async def trim(self) -> None:
        def work(tx: Tx) -> None:
            log.trim(tx.connection, tx.org_id, tx.now - timedelta(days=9), self.rng.randrange(60), 10_000)

        if self.trims:
            await self.world.store.transaction(self.world.org_id, work)
