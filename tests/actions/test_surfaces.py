"""A surface shows its own cluster's, and only what is so now: over query and stream, whatever comes and goes."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from kici_gql.actions import backends, orchestrators, wishes, workflows
from kici_gql.api.mutations.run_inputs import OrchestratorReportWorkflowsInput
from kici_gql.errors import ClusterDisconnected, OperationDisabled
from kici_gql.settings import Settings
from kici_gql.tables import Cluster, Command, CommandKind, SecretBackend, Workflow
from tests.governed import (
    ALL_SURFACES,
    SCOPED,
    SURFACES,
    backend,
    codes,
    everything,
    letter,
    marks,
    policy,
    report,
    until,
)
from tests.running import workflow_of
from tests.world import Clock, World, nothing_more, world_of

STREAM = """subscription { secretBackends { kind cursor
    snapshot { secretBackends { ...B } }
    events { __typename
        ... on SecretBackendChanged { secretBackend { ...B } }
        ... on SecretBackendRemoved { id }
        ... on SurfaceChanged { clusterId surface }
        ... on ClusterConnectionChanged { clusterId orchestratorId connected clusterConnected connectedAt }
    }
} } fragment B on SecretBackend { id name reportedAt cluster { id } }"""
DISCONNECTED = dict.fromkeys([*SCOPED, "registrations"], "CLUSTER_DISCONNECTED")


async def say_goodbye(world: World, connection: str) -> None:
    await orchestrators.disconnect(world.call("ORCHESTRATOR"), connection, "stopped")


async def shown(world: World, name: str) -> dict[str, Any]:
    cluster: dict[str, Any] = (await world.run(SURFACES, name=name))["data"]["org"]["cluster"]
    return marks(cluster) | {"connected": cluster["connected"]}


async def report_workflows(world: World, connection: str, *names: str) -> None:
    told = OrchestratorReportWorkflowsInput(
        connection_id=connection, full=True, registry_version="1", workflows=[workflow_of(n) for n in names]
    )
    await workflows.report(world.call("ORCHESTRATOR"), told)


class Watcher:
    """What a client knows that follows the stream and never asks."""

    def __init__(self) -> None:
        self.backends: dict[str, tuple[str, str, datetime]] = {}
        self.frames: list[dict[str, Any]] = []

    def take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if frame["snapshot"] is not None:
            self.backends = {}
            for each in frame["snapshot"]["secretBackends"]:
                self._know(each)
        for event in frame["events"]:
            match event["__typename"]:
                case "SecretBackendChanged":
                    self._know(event["secretBackend"])
                case "SecretBackendRemoved":
                    self.backends.pop(event["id"], None)
                case "ClusterConnectionChanged":
                    self._forget(event["clusterId"], event["connectedAt"])

    def _know(self, told: dict[str, Any]) -> None:
        at = datetime.fromisoformat(told["reportedAt"])
        self.backends[told["id"]] = (told["cluster"]["id"], told["name"], at)

    def _forget(self, cluster_id: str, since: str | None) -> None:
        for id_, (home, _, at) in list(self.backends.items()):
            if home == cluster_id and (since is None or at < datetime.fromisoformat(since)):
                del self.backends[id_]

    async def follow(self, frames: AsyncIterator[dict[str, Any]]) -> None:
        async for frame in frames:
            self.take(frame)


async def settled(world: World, watcher: Watcher) -> None:
    """Until the watcher has come to the end of the log, as far as it concerns it."""
    head = str(await world.head())

    async def there() -> bool:
        return bool(watcher.frames) and watcher.frames[-1]["cursor"] == head

    await until(there)


class Deed(NamedTuple):
    """Something that an orchestrator does, or its whole cluster. `parts` is what a report speaks of."""

    what: str
    cluster: str
    one: str
    parts: frozenset[str]


DEEDS = st.lists(
    st.builds(
        Deed,
        st.sampled_from(["connect", "report", "report", "report", "leave", "fall_silent"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["one", "two"]),
        st.frozensets(st.sampled_from(sorted(everything(""))), min_size=1),
    ),
    min_size=4,
    max_size=20,
)


class Fleet:
    """Does things to a few clusters, and knows what each surface must show."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.connections: dict[tuple[str, str], str] = {}
        self.marks: dict[str, dict[str, str | None]] = {}
        self.step = 0

    def present(self, cluster: str) -> list[str]:
        return [one for home, one in self.connections if home == cluster]

    def untold(self, cluster: str) -> None:
        self.marks[cluster] = dict.fromkeys(SCOPED)

    async def do(self, deed: Deed) -> None:
        """Whoever is not there can only come."""
        self.step += 1
        self.clock.advance(1)
        if deed.what == "fall_silent":
            await self.fall_silent(deed.cluster)
        elif deed.what == "connect" or (deed.cluster, deed.one) not in self.connections:
            await self.connect(deed.cluster, deed.one)
        elif deed.what == "leave":
            await self.leave(deed.cluster, deed.one)
        else:
            await self.report(deed.cluster, deed.one, deed.parts)

    async def connect(self, cluster: str, one: str) -> None:
        if self.present(cluster) in ([], [one]):
            self.untold(cluster)  # nobody else can vouch for what was said before
        self.connections[cluster, one] = await self.world.connect(cluster, f"{cluster}-{one}")

    async def report(self, cluster: str, one: str, told: frozenset[str]) -> None:
        mark = f"{cluster}-{one}-{self.step}"
        parts = everything(mark)
        await report(self.world, self.connections[cluster, one], **{name: parts[name] for name in told})
        for name in told:
            head, *rest = name.split("_")
            self.marks[cluster][head + "".join(part.title() for part in rest)] = mark

    async def leave(self, cluster: str, one: str) -> None:
        await say_goodbye(self.world, self.connections.pop((cluster, one)))
        if not self.present(cluster):
            self.untold(cluster)

    async def fall_silent(self, silent: str) -> None:
        """One cluster goes without a word; all others beat."""
        self.clock.advance(self.world.settings.lost_after_seconds - 1)
        for (cluster, _), connection in self.connections.items():
            if cluster != silent:
                await self.world.beat(connection)
        self.clock.advance(1)
        await self.world.sweep()
        self.connections = {key: each for key, each in self.connections.items() if key[0] != silent}
        if silent in self.marks:
            self.untold(silent)

    async def check(self) -> None:
        """All clusters in one query: what is read for several at once must not be mixed up."""
        answer = await self.world.run(ALL_SURFACES)
        nodes = answer["data"]["org"]["clusters"]["nodes"]
        assert {each["name"] for each in nodes} == self.marks.keys()
        errors: dict[int, dict[str, str]] = {number: {} for number in range(len(nodes))}
        for error in answer.get("errors", ()):
            *_, number, name = error["path"]
            errors[number][name] = error["extensions"]["code"]
        for number, found in enumerate(nodes):
            cluster, told = found["name"], errors[number]
            assert marks(found) == self.marks[cluster]
            connected = bool(self.present(cluster))
            assert found["connected"] is connected
            why = "UNAVAILABLE" if connected else "CLUSTER_DISCONNECTED"
            assert told == dict.fromkeys(
                [name for name in (*SCOPED, "registrations") if self.marks[cluster].get(name) is None], why
            )


@given(DEEDS)
@checked(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_happens_no_surface_shows_anothers(sqlite_template: Path, deeds: list[Deed]) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        database = shutil.copy(sqlite_template, folder)
        settings = Settings(database_url=f"sqlite+aiosqlite:///{database}", bookmark_seconds=0.02)
        async with world_of(settings, clock) as world:
            await check_all(world, Fleet(world, clock), deeds)


async def check_all(world: World, fleet: Fleet, deeds: list[Deed]) -> None:
    """After each deed every query is right, and in the end also what a follower of the stream believes."""
    watcher = Watcher()
    following = asyncio.create_task(watcher.follow(world.frames(STREAM)))
    try:
        for deed in deeds:
            await fleet.do(deed)
            await fleet.check()
        await settled(world, watcher)
        found = (await world.data("{ org { secretBackends { id name reportedAt cluster { id } } } }"))["org"]
        current = Watcher()
        current.take({"snapshot": found, "events": []})
        assert watcher.backends == current.backends
        homes = {row.id: row.name for row in await world.rows(Cluster)}
        assert all(name.startswith(homes[home]) for home, name, _ in watcher.backends.values())
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_one_of_two_siblings_is_enough(any_world: World) -> None:
    world = any_world
    first = await world.connect("prod", "one")
    second = await world.connect("prod", "two")
    await report(world, first, **everything("m"))
    await report_workflows(world, first, "w")
    frames = world.frames(STREAM)
    await anext(frames)
    before = await shown(world, "prod")
    await say_goodbye(world, first)
    assert await shown(world, "prod") == before
    [event] = (await anext(frames))["events"]
    assert (event["connected"], event["clusterConnected"]) == (False, True)
    await say_goodbye(world, second)
    assert await codes(world, "prod") == DISCONNECTED
    [event] = (await anext(frames))["events"]
    assert (event["connected"], event["clusterConnected"]) == (False, False)
    assert (event["__typename"], event["connectedAt"]) == ("ClusterConnectionChanged", None)
    found = (await world.run(SURFACES, name="prod"))["data"]["org"]["cluster"]
    assert (found["connected"], found["disconnectedReason"]) == (False, "stopped")
    assert (await world.data("{ org { secretBackends { id } } }"))["org"]["secretBackends"] == []
    assert await nothing_more(frames)


async def test_what_was_said_before_an_absence_is_not_said_again(world: World, clock: Clock) -> None:
    connection = await world.connect()
    await report(world, connection, **everything("old"))
    await report_workflows(world, connection, "w")
    [before] = await world.rows(SecretBackend)
    await say_goodbye(world, connection)
    clock.advance(1)
    connection = await world.connect()
    assert await codes(world, "prod") == dict.fromkeys([*SCOPED, "registrations"], "UNAVAILABLE")
    frames = world.frames(STREAM)
    assert (await anext(frames))["snapshot"] == {"secretBackends": []}
    await report(world, connection, **everything("old"))
    await report_workflows(world, connection, "w")
    assert await codes(world, "prod") == {}
    told = [each["__typename"] for each in (await anext(frames))["events"]]
    assert sorted(told) == [
        "SecretBackendChanged",
        *["SurfaceChanged"] * 5,
    ]  # word for word the same, and true again
    [after] = await world.rows(SecretBackend)
    assert (after.id, after.revision) == (before.id, before.revision + 1)


async def test_a_sole_orchestrator_that_starts_anew_vouches_for_nothing(world: World, clock: Clock) -> None:
    await report(world, await world.connect(), **everything("old"))
    clock.advance(1)
    connection = await world.connect()  # nobody noticed that it was away
    assert set((await codes(world, "prod")).values()) == {"UNAVAILABLE"}
    await report(world, connection, **everything("new"))
    clock.advance(1)
    await world.connect("prod", "sibling")
    assert (await shown(world, "prod"))["environments"] == "new"


# ── What the operator allows ──


async def test_each_governed_write_asks_the_policy(world: World) -> None:
    connection = await world.connect()
    await report_workflows(world, connection, "w")
    letters = [letter("l1"), letter("l2")]
    await report(world, connection, secret_backends=[backend()], dead_letters=letters)
    [workflow], [store] = await world.rows(Workflow), await world.rows(SecretBackend)
    cluster = workflow.cluster_id
    call = world.call("OPERATOR")

    about_letter = partial(backends.dead_letter, call, cluster, "l1", idempotency_key=None)
    writes: dict[str, Callable[[], Awaitable[Any]]] = {
        "registration.disable": partial(wishes.set_enabled, call, workflow.id, False, None, None),
        "registration.delete": partial(wishes.delete, call, workflow.id, False, None, None),
        "event_dlq.retry": partial(about_letter, retry=True),
        "event_dlq.discard": partial(about_letter, retry=False),
        "backends.sync": partial(backends.sync_all, call, cluster, None),
        "backends.sync_one": partial(backends.sync, call, store.id, None),
        "backends.test": partial(backends.test, call, store.id, None),
    }
    lines = {
        "registration.disable": "kici-admin registration disable w",
        "registration.delete": "kici-admin registration delete w",
        "event_dlq.retry": "kici-admin event-dlq retry l1",
        "event_dlq.discard": "kici-admin event-dlq discard l1",
        "backends.sync": "kici-admin backend sync",
        "backends.sync_one": "kici-admin backend sync files",
        "backends.test": "kici-admin backend test files",
    }
    for forbidden in (None, *writes):
        told = {} if forbidden is None else {forbidden.replace(".", "__"): False}
        await report(world, connection, security_policy=policy(**told, secrets__set=False))
        for operation, write in writes.items():
            before = len(await world.rows(Command))
            if operation == forbidden:
                with pytest.raises(OperationDisabled) as refused:
                    await write()
                assert refused.value.operation == operation
                assert refused.value.command_line == lines[operation]
                assert len(await world.rows(Command)) == before
            else:
                await write()
                assert len(await world.rows(Command)) == before + 1
    await report(world, connection, security_policy=policy(registration__disable=False))
    await wishes.set_enabled(call, workflow.id, True, None, None)  # only switching off is governed
    assert len(await world.rows(Command, kind=CommandKind.SET_ENABLED)) == 8


async def test_a_siblings_policy_binds_nobody_else(world: World) -> None:
    strict, mild = await world.connect("strict", "one"), await world.connect("mild", "two")
    await report(world, strict, security_policy=policy(backends__sync=False))
    await report(world, mild, security_policy=policy(backends__sync=True))
    [refusing] = await world.rows(Cluster, name="strict")
    [allowing] = await world.rows(Cluster, name="mild")
    await backends.sync_all(world.call("OPERATOR"), allowing.id, None)
    with pytest.raises(OperationDisabled):
        await backends.sync_all(world.call("OPERATOR"), refusing.id, None)


async def test_nobody_there_comes_before_what_they_would_allow(world: World) -> None:
    connection = await world.connect()
    await report(world, connection, security_policy=policy(backends__sync=False), secret_backends=[backend()])
    await say_goodbye(world, connection)
    [cluster] = await world.rows(Cluster)
    [store] = await world.rows(SecretBackend)
    call = world.call("OPERATOR")
    for write in (
        partial(backends.sync_all, call, cluster.id, None),
        partial(backends.sync, call, store.id, None),
        partial(backends.dead_letter, call, cluster.id, "l1", retry=True, idempotency_key=None),
    ):
        with pytest.raises(ClusterDisconnected):
            await write()
    assert await world.rows(Command) == []
