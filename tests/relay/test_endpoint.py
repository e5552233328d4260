"""`/ws` against a database: what orchestrators tell becomes rows and events, what users want becomes requests."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from kici_gql.actions import runs as run_actions
from kici_gql.actions import wishes
from kici_gql.errors import Unavailable
from kici_gql.events import EventType, Topic
from kici_gql.relay import endpoint as endpoint_module
from kici_gql.relay.messages.codes import Close
from kici_gql.relay.scribe import Scribe
from kici_gql.relay.session import Session
from kici_gql.relay.session.effects import DeadLetters
from kici_gql.store import Tx
from kici_gql.tables import (
    Agent,
    Alert,
    AlertKind,
    Audit,
    Cluster,
    Command,
    Job,
    Liveness,
    LogChunk,
    Orchestrator,
    Run,
    Scaler,
    SecretBackend,
    Step,
    Surface,
    Workflow,
)
from tests.relay.dialect import to_09
from tests.relay.live import SECONDS, Link, Relay, until
from tests.relay.recorded import DIAGNOSTICS, ENVIRONMENT_ANSWERS, USUAL_ANSWERS, answers, frames
from tests.world import Clock, World, secret_of

HEARTBEAT = {"type": "heartbeat", "timestamp": 1795440185955}
NEW_RUN = "1753d5e7-b638-4772-82e0-531d5f66d7a9"


async def one(world: World, model: Any, **equal: Any) -> Any:
    return await until(lambda: _first(world, model, equal))


async def _first(world: World, model: Any, equal: dict[str, Any]) -> Any:
    rows = await world.rows(model, **equal)
    return rows[0] if rows else None


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


# ── Commands and settings ────────────────────────────────────────────────────────────────────────────────────────────


async def workflow_named(world: World, name: str) -> Any:
    return await one(world, Workflow, name=name, repository="acme/demo")


async def test_run_now_becomes_the_run_that_the_orchestrator_starts(relay: Relay) -> None:
    world = relay.world
    async with relay.link() as link:
        workflow = await workflow_named(world, "nightly")
        done = await wishes.run_now(world.call("OPERATOR"), workflow.id, [], None)
        await link.until(lambda: bool(link.asked("run.manual_schedule.request")))
        [asked] = link.asked("run.manual_schedule.request")
        assert asked["registrationId"] == workflow.external_id
        assert asked["actor"] == {"type": "service_account", "id": "operator"}
        pending = {
            "type": "execution.status",
            "runId": NEW_RUN,
            "workflowName": "nightly",
            "status": "pending",
        }
        link.say(pending | {"timestamp": 1795440185955, "triggeredBy": "service_account:operator"})
        link.say(
            {"type": "run.manual_schedule.response", "requestId": asked["requestId"], "newRunId": NEW_RUN}
        )
        command = await one(world, Command, state="SUCCEEDED")
        assert command.result == {"newRunId": NEW_RUN}
        run = await one(world, Run, external_id=NEW_RUN, status_by_server=False)
        assert run.id == done.result["run_id"]
        assert run.triggered_by == "operator"
    assert len(await world.rows(Run)) == 1


async def test_a_clock_far_ahead_does_not_cost_the_list(relay: Relay) -> None:
    listed = USUAL_ANSWERS["dashboard.registrations.list"]
    ahead = [each | {"lastTriggeredAt": 4_000_000_000_000} for each in listed["registrations"]]
    link = Link(relay)
    link.answers["dashboard.registrations.list"] = listed | {"registrations": ahead}
    await link.introduce()
    assert (await workflow_named(relay.world, "nightly")).last_triggered_at is None
    await link.hang_up()


async def test_a_clock_far_ahead_does_not_outweigh_what_is_told_later(relay: Relay) -> None:
    about = {"type": "execution.status", "runId": str(uuid.uuid4()), "workflowName": "build"}
    far = 4_000_000_000_000
    async with relay.link() as link:
        link.say(
            about | {"status": "running", "timestamp": far, "startedAt": far, "completedAt": far, "ref": "a"}
        )
        row = await one(relay.world, Run, branch="a")
        assert row.queued_at == row.updated_at
        assert (row.started_at, row.completed_at) == (None, None)
        relay.world.clock.advance(1)  # type: ignore[attr-defined]
        link.say(about | {"status": "running", "timestamp": far, "ref": "b"})
        await one(relay.world, Run, branch="b")


async def test_a_refusal_is_the_commands_answer(relay: Relay) -> None:
    world = relay.world
    async with relay.link() as link:
        workflow = await workflow_named(world, "nightly")
        link.answers["run.manual_schedule.request"] = {
            "type": "run.manual_schedule.response",
            "error": "Workflow is disabled",
        }
        await wishes.run_now(world.call("OPERATOR"), workflow.id, [], None)
        command = await one(world, Command, state="FAILED")
        assert command.message == "Workflow is disabled"
        after = await workflow_named(world, "nightly")
        assert after.last_triggered_at == workflow.last_triggered_at, "it was not triggered"
        [run] = await world.rows(Run)
        assert (run.status, run.failure_reason) == ("FAILED", "Workflow is disabled")


async def test_a_toggle_goes_to_the_orchestrator(relay: Relay) -> None:
    world = relay.world
    async with relay.link() as link:
        workflow = await workflow_named(world, "slow")
        link.answers["dashboard.registration.disable"] = {
            "type": "dashboard.registration.disable.result",
            "success": True,
        }
        await wishes.set_enabled(world.call("OPERATOR"), workflow.id, False, None, None)
        await one(world, Command, state="SUCCEEDED")
        [asked] = link.asked("dashboard.registration.disable")
        assert (asked["registrationId"], asked["disabled"]) == (workflow.external_id, True)


async def test_a_delete_cancels_each_run_by_itself(relay: Relay) -> None:
    """The orchestrator's own `cancelActiveRuns` stops nothing that executes."""
    world = relay.world
    async with relay.link() as link:
        workflow = await workflow_named(world, "slow")
        running = {"type": "execution.status", "runId": NEW_RUN, "workflowName": "slow", "status": "running"}
        link.say(running | {"repoIdentifier": "acme/demo", "timestamp": 1795440185955})
        await one(world, Run, external_id=NEW_RUN)
        link.answers["dashboard.registration.delete"] = {
            "type": "dashboard.registration.delete.result",
            "success": True,
        }
        link.answers["run.cancel.request"] = {"type": "run.cancel.response", "cancelledJobs": 1}
        await wishes.delete(world.call("OPERATOR"), workflow.id, True, None, None)
        await link.until(lambda: bool(link.asked("run.cancel.request")))
        assert link.asked("run.cancel.request")[0]["runId"] == NEW_RUN
        await one(world, Command, state="SUCCEEDED")


async def test_a_command_that_waits_is_carried_out_when_the_orchestrator_comes_back(relay: Relay) -> None:
    world = relay.world
    link = Link(relay)
    await link.introduce()
    workflow = await workflow_named(world, "slow")
    await link.hang_up(1006)
    await wishes.set_enabled(world.call("OPERATOR"), workflow.id, False, None, None)
    again = Link(relay)
    again.answers["dashboard.registration.disable"] = {
        "type": "dashboard.registration.disable.result",
        "success": True,
    }
    await again.introduce()
    await one(world, Command, state="SUCCEEDED")
    await again.hang_up()


async def test_settings_are_asked_for_the_moment_they_are_wanted(relay: Relay) -> None:
    world = relay.world
    async with relay.link() as link:
        [cluster] = await world.rows(Cluster)
        org_id = world.viewer().org_id
        link.answers |= ENVIRONMENT_ANSWERS
        link.answers["dashboard.event-dlq.list"] = next(
            each for each in answers("lists", "dashboard.event-dlq.list.response") if each["items"]
        )
        told = await relay.surfaces.read(org_id, cluster.id, Surface.ENVIRONMENTS)
        [production] = told.document["items"]
        assert production == {
            "name": "production",
            "type": "fixed",
            "globPattern": None,
            "enabled": True,
            "protectionRules": [],
            "variableNames": ["REGION"],
            "secretScopes": [],
        }
        letters = await relay.surfaces.read(org_id, cluster.id, Surface.DEAD_LETTERS)
        assert letters.document["items"]
        assert all("payload" not in item for item in letters.document["items"])
        assert (await relay.surfaces.read(org_id, cluster.id, Surface.SECURITY_POLICY)).document == {
            "dashboardWrites": {}
        }
        link.answers["dashboard.global-workflows.get"] = {"type": "x.response", "error": "boom"}
        with pytest.raises(Unavailable, match="boom"):
            await relay.surfaces.read(org_id, cluster.id, Surface.GLOBAL_WORKFLOWS)


def counting(total: int) -> dict[str, Any]:
    return {"type": "dashboard.event-dlq.count.response", "total": total}


async def test_a_growing_dead_letter_queue_is_an_alert(any_relay: Relay) -> None:
    """Over one link and the next, and whichever sibling counts: what is known of the queue belongs to the cluster."""
    world = any_relay.world

    async def count(total: int, instance: str = "one") -> None:
        link = Link(any_relay)
        link.answers["dashboard.event-dlq.count"] = counting(total)
        await link.introduce(instanceId=instance)
        await link.until(lambda: bool(link.asked("dashboard.event-dlq.count")))
        await one(world, Cluster, dead_letters=total)
        await link.hang_up()

    await count(2)
    assert await world.rows(Alert) == [], "what was there before anybody looked has not grown"
    await count(3)
    row = await one(world, Alert, kind=AlertKind.DEAD_LETTERS_GROWING, state="OPEN")
    assert row.message == "The dead-letter queue of cluster probe-one grew to 3"
    await count(1, "two")
    await one(world, Alert, kind=AlertKind.DEAD_LETTERS_GROWING, state="RESOLVED")
    told = [event for _, event in await world.events() if event.type is EventType.SURFACE_CHANGED]
    assert [each.data["surface"] for each in told].count("DEAD_LETTERS") == 3, "readers look again"


async def test_a_queue_that_stays_as_long_as_it_is_costs_nothing(relay: Relay) -> None:
    world = relay.world
    scribe = Scribe(world.call("ORCHESTRATOR"))
    await scribe.write([DeadLetters(5)])
    assert await world.rows(Audit) == [], "it is nobody's yet"
    async with relay.link():
        await one(world, Cluster, dead_letters=0)
        [row] = await world.rows(Orchestrator)
        scribe.orchestrator_id, scribe.connection_id = row.id, row.connection_id
        before = await world.rows(Audit, action="orchestratorReportSettings")
        await scribe.write([DeadLetters(0)])
        assert await world.rows(Audit, action="orchestratorReportSettings") == before
        await scribe.write([DeadLetters(1)])
        assert await one(world, Alert, kind=AlertKind.DEAD_LETTERS_GROWING, state="OPEN")


async def test_both_ingresses_do_the_same(relay: Relay) -> None:
    """A cluster may have orchestrators of both kinds."""
    world = relay.world
    async with relay.link():
        await world.connect("probe-one", "pushed")
        assert {row.instance_id for row in await world.rows(Orchestrator)} >= {"pushed"}


async def test_a_long_replay_lets_others_in_between(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes only so many runs: whoever wants to write meanwhile is held up by one of them, not by all."""
    sizes: list[int] = []
    take = run_actions.take

    def noting(tx: Tx, cluster_id: str, told: Sequence[Any]) -> list[str]:
        sizes.append(len(told))
        return take(tx, cluster_id, told)

    monkeypatch.setattr(run_actions, "take", noting)
    runs = [{"runId": f"run-{number}", "workflowName": "w", "status": "success"} for number in range(170)]
    async with relay.link() as link:
        link.say({"type": "state.replay", "messageId": "m", "runs": runs, "timestamp": 1795440185955})
    assert await relay.world.rows(Run, external_id="run-169")
    assert sizes == [50, 50, 50, 20]
