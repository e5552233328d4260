"""`/ws` against a database: what orchestrators tell becomes rows and events, what users want becomes requests."""

import asyncio
import json
from typing import Any

import pytest

from kici_gql.events import Topic
from kici_gql.relay import endpoint as endpoint_module
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.session import Session
from kici_gql.tables import (
    Agent,
    Alert,
    AlertKind,
    Cluster,
    Job,
    Liveness,
    LogChunk,
    Orchestrator,
    Run,
    Scaler,
    SecretBackend,
    Step,
    Workflow,
)
from tests.relay.dialect import to_09
from tests.relay.live import SECONDS, Link, Relay, one, until
from tests.relay.recorded import DIAGNOSTICS, USUAL_ANSWERS, frames
from tests.world import Clock, World, secret_of

HEARTBEAT = {"type": "heartbeat", "timestamp": 1795440185955}
NEW_RUN = "1753d5e7-b638-4772-82e0-531d5f66d7a9"


# ── Coming and going ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_orchestrator_is_there_with_all_it_has(relay: Relay) -> None:
    world = relay.world
    async with relay.link() as link:
        [cluster] = await world.rows(Cluster)
        [row] = await world.rows(Orchestrator)
        assert (cluster.name, row.version, row.hostname, row.platform, row.arch) == (
            "probe-one",
            "0.1.24",
            "vm",
            "linux",
            "x64",
        )
        assert row.cluster_key == "7e8ddc77-a4dc-49e9-a14d-fa9be24cc73a"
        assert (await world.rows(Scaler))[0].name == "bare-metal-linux"
        await one(world, Agent, agent_id="static-agent-1", liveness=Liveness.ONLINE)
        assert (await one(world, SecretBackend)).name == "pg"
        assert {workflow.name for workflow in await until(lambda: world.rows(Workflow))} == {
            "broken",
            "build-and-test",
            "nightly",
            "slow",
        }
        assert link.closed is None
    gone = await one(world, Orchestrator, liveness=Liveness.OFFLINE)
    assert gone.liveness_reason == "said goodbye"


@pytest.mark.parametrize("token", ["", "kgq_wrong", secret_of("ADMIN"), secret_of("VIEWER")])
async def test_a_wrong_token_gets_nowhere(relay: Relay, token: str, caplog: pytest.LogCaptureFixture) -> None:
    link = Link(relay)
    await link.introduce(token=token or "x")
    assert link.code is Close.UNAUTHORIZED
    assert [frame["type"] for frame in link.received] == ["auth.failure"]
    assert "kgq_" not in json.dumps(link.received)
    await link.hang_up()
    assert await relay.world.rows(Orchestrator) == []
    [refused] = [record for record in caplog.records if record.name == "kici_gql.relay"]
    assert refused.levelname == "WARNING"
    assert "an orchestrator was refused" in refused.getMessage()
    assert token not in refused.getMessage() or not token


async def test_a_restarted_process_keeps_its_place(relay: Relay) -> None:
    world = relay.world
    async with relay.link(instanceId="first"):
        [before] = await world.rows(Orchestrator)
    await one(world, Orchestrator, liveness=Liveness.OFFLINE)
    async with relay.link(instanceId="second", clusterName="renamed"):
        [after] = await world.rows(Orchestrator)
        assert (after.id, after.instance_id) == (before.id, "second")
        [cluster] = await world.rows(Cluster)
        assert cluster.name == "renamed"  # it is the cluster's id that counts


@pytest.mark.parametrize("end", ["broken", "drained"])
async def test_a_restarted_process_keeps_its_place_in_another_process_of_ours(
    any_relay: Relay, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The orchestrator was killed, or its server was, and both come back within the time that a link is missed after."""
    monkeypatch.setattr(endpoint_module, "GRACE_SECONDS", 0.2)
    world, other = any_relay.world, Relay(any_relay.world, "other")
    link = Link(any_relay)
    await link.introduce(instanceId="first")
    [before] = await world.rows(Orchestrator)
    if end == "broken":
        await link.hang_up(1006)
        await until(lambda: world.rows(Orchestrator, listens_at=None))
    else:
        await any_relay.close()
        await link.task
    async with other.link(instanceId="second"):
        await asyncio.gather(*any_relay.endpoint._farewells)  # noqa: SLF001 - until its time is over
        [after] = await world.rows(Orchestrator)
        assert (after.id, after.instance_id, after.liveness) == (before.id, "second", Liveness.ONLINE)
        assert after.listens_at == "other"
    await other.close()


async def test_what_a_killed_server_held_is_there_for_the_taking(relay: Relay) -> None:
    """Nobody let go of it. With SQLite there is one process, and it knows that it holds nothing."""
    world, next_life = relay.world, Relay(relay.world, "next life")
    async with (
        relay.link(instanceId="first"),
        next_life.link(instanceId="second"),
        next_life.link(instanceId="third"),
    ):
        rows = {row.instance_id: row.listens_at for row in await world.rows(Orchestrator)}
        assert rows == {"second": "next life", "third": "next life"}, "of those that live none is taken"
    await next_life.close()


async def test_siblings_and_strangers(relay: Relay, clock: Clock) -> None:
    """Two of one cluster are one card; so are two unrelated ones with one name, and the elder speaks for it."""
    world = relay.world
    async with relay.link(instanceId="one"), relay.link(instanceId="two") as sibling:
        assert sibling.closed is None
        assert len(await world.rows(Orchestrator)) == 2
        known = await until(lambda: world.rows(Workflow))
        clock.advance(1)  # who is the elder is told from the ids, which hold the time
        stranger = Link(relay)
        listed = USUAL_ANSWERS["dashboard.registrations.list"]
        stranger.answers["dashboard.registrations.list"] = {**listed, "registrations": []}
        await stranger.introduce(instanceId="three", clusterId="another")
        await stranger.until(lambda: bool(stranger.asked("dashboard.backends.list")))
        await asyncio.sleep(0.2)
        assert len(await world.rows(Cluster)) == 1
        assert len(await world.rows(Workflow)) == len(known)
        await stranger.hang_up()


async def test_a_stranger_of_the_same_name_costs_nobody_its_place(any_relay: Relay, clock: Clock) -> None:
    world = any_relay.world
    async with any_relay.link(instanceId="first"):
        [before] = await world.rows(Orchestrator)
        clock.advance(1)
        async with any_relay.link(instanceId="stranger", clusterId="another"):
            pass
    await until_offline(world, 2)
    async with (
        any_relay.link(instanceId="second", clusterName="renamed"),
        any_relay.link(instanceId="again", clusterId="another", clusterName="renamed"),
    ):
        rows = {row.instance_id: row for row in await world.rows(Orchestrator)}
        assert set(rows) == {"second", "again"}, "each was restarted, and none left a ghost"
        assert rows["second"].id == before.id
        [cluster] = await world.rows(Cluster)
        assert cluster.name == "renamed"


async def test_a_stranger_that_had_a_cluster_of_its_own_leaves_no_ghosts_where_it_is_now(
    any_relay: Relay, clock: Clock
) -> None:
    world = any_relay.world
    async with any_relay.link(instanceId="first"):
        pass
    clock.advance(1)
    async with any_relay.link(instanceId="stranger", clusterId="another", clusterName="own"):
        pass
    await until_offline(world, 2)
    for number, instance in enumerate(("moved", "again", "once-more")):
        async with any_relay.link(instanceId=instance, clusterId="another"):
            await one(world, Orchestrator, instance_id=instance, liveness=Liveness.ONLINE)
        await until_offline(world, 3)
        clock.advance(number)
    rows = {row.instance_id for row in await world.rows(Orchestrator)}
    assert rows == {"first", "stranger", "once-more"}


async def until_offline(world: World, number: int) -> None:
    async def gone() -> bool:
        return len(await world.rows(Orchestrator, liveness=Liveness.OFFLINE)) == number

    await until(gone)


async def test_a_broken_link_is_forgiven_when_it_is_made_again(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "GRACE_SECONDS", 0.5)
    link = Link(relay)
    await link.introduce()
    await link.hang_up(1006)
    async with relay.link():
        await asyncio.sleep(0.7)
        [row] = await relay.world.rows(Orchestrator)
        assert row.liveness is Liveness.ONLINE


async def test_a_link_that_stays_broken_is_an_alert_until_it_is_made_again(relay: Relay) -> None:
    world = relay.world
    link = Link(relay)
    await link.introduce()
    await one(world, Agent, agent_id="static-agent-1", liveness=Liveness.ONLINE)
    await link.hang_up(1006)
    row = await one(world, Orchestrator, liveness=Liveness.LOST)
    assert row.liveness_reason == "the connection ended without a goodbye"
    assert {each.liveness for each in await world.rows(Agent)} == {Liveness.LOST}
    [alert] = await world.rows(Alert)
    assert (alert.kind, alert.state) == (AlertKind.ORCHESTRATOR_DISCONNECTED, "OPEN")
    async with relay.link(instanceId="the next process"):
        await one(world, Agent, agent_id="static-agent-1", liveness=Liveness.ONLINE)
        [row] = await world.rows(Orchestrator)
        assert row.liveness is Liveness.ONLINE
        assert {each.state for each in await world.rows(Alert)} == {"RESOLVED"}


async def test_who_is_refused_takes_nobodys_agents(any_relay: Relay) -> None:
    world = any_relay.world

    async def online() -> Any:
        rows = await world.rows(Agent)
        return [row.id for row in rows if row.liveness is Liveness.ONLINE]

    async with any_relay.link():
        before = await until(online)
        intruder = Link(any_relay)
        await intruder.introduce(token=await world.bound_secret("elsewhere"), instanceId="intruder")
        assert intruder.closed is not None
        assert "another cluster" in intruder.closed[1]
        await intruder.hang_up()
        assert await online() == before


async def test_a_revoked_token_ends_its_links(relay: Relay) -> None:
    async with relay.link() as link:
        relay.auth.revoked(relay.world.viewer("ORCHESTRATOR").token_id)
        await link.until(lambda: link.closed is not None)
        assert link.code is Close.UNAUTHORIZED


async def test_a_server_that_stops_says_so(relay: Relay) -> None:
    async with relay.link() as link:
        await relay.endpoint.drain(SECONDS)
        assert link.code is Close.GOING_AWAY
        [row] = await relay.world.rows(Orchestrator)
        assert row.liveness is Liveness.ONLINE  # it connects to the next process at once
        late = Link(relay)
        await late.until(lambda: late.closed is not None)
        await late.task


async def test_browsers_are_turned_away(relay: Relay) -> None:
    link = Link(relay, headers=[(b"origin", b"https://evil.example")])
    await link.until(lambda: link.closed is not None)
    await link.task


# ── Telemetry ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dialect", [None, to_09], ids=["0.1", "0.9"])
@pytest.mark.parametrize("name", ["run-failure", "rerun"])
async def test_a_recorded_run_is_stored_whole(any_relay: Relay, name: str, dialect: Any) -> None:
    world = any_relay.world
    async with any_relay.link() as link:
        for frame in frames(name):
            for each in dialect(frame) if dialect else [frame]:
                link.say(each)
    runs = {row.external_id: row for row in await world.rows(Run)}
    finals = [frame for frame in frames(name) if frame["type"] == "execution.status"]
    for frame in finals:
        assert runs[frame["runId"]].workflow_name == frame["workflowName"]
    last = {frame["runId"]: frame["status"] for frame in finals}
    assert {key: row.status.lower() for key, row in runs.items()} == last
    told = sum(len(frame["lines"]) for frame in frames(name) if frame["type"] == "log.chunk")
    chunks = await world.rows(LogChunk)
    assert sum(len(json.loads(chunk.body)) for chunk in chunks) == told
    assert all(step.status not in {"RUNNING", "PENDING"} for step in await world.rows(Step))
    assert len(await world.rows(Job)) == len(
        {(f["runId"], f["jobId"]) for f in frames(name) if f["type"] == "job.status.forward"}
    )


async def test_a_run_cut_in_the_middle_loses_nothing(relay: Relay) -> None:
    recorded = frames("run-success")
    for start in range(0, len(recorded), 7):
        link = Link(relay)
        await link.introduce()
        for frame in recorded[start : start + 7]:
            link.say(frame)
        await link.hang_up(1006)
    [run] = await relay.world.rows(Run)
    assert run.status == "SUCCESS"
    chunks = sorted(await relay.world.rows(LogChunk), key=lambda row: (row.job_id, row.step, row.first_line))
    told = sum(len(frame["lines"]) for frame in recorded if frame["type"] == "log.chunk")
    assert sum(row.last_line - row.first_line + 1 for row in chunks) == told


async def test_heartbeats_reach_the_log(relay: Relay) -> None:
    async with relay.link() as link:
        later = json.loads(json.dumps(DIAGNOSTICS))
        later["orchestrator"]["memoryUsedMb"] = 4321
        link.answers["dashboard.diagnostics"] = later
        link.say(HEARTBEAT)
        await one(relay.world, Orchestrator, memory_used_mb=4321)


async def test_a_connection_learns_that_somebody_watches(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed: list[float] = []
    monkeypatch.setattr(Session, "watched", lambda _self, now: noticed.append(now))
    async with relay.link() as link:
        link.say({"type": "cache.stats"})
        assert not noticed
        org_id, feed = relay.world.org_id, relay.world.feed
        await feed.after(org_id, await feed.head(org_id), (Topic.HEARTBEATS,), 10)
        link.say({"type": "cache.stats"})
    assert noticed
