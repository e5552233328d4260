"""What users want of a stock orchestrator's cluster, and what it is asked so that they see its settings."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from kici_gql.actions import runs as run_actions
from kici_gql.actions import wishes
from kici_gql.errors import Unavailable
from kici_gql.events import EventType
from kici_gql.relay.scribe import Scribe
from kici_gql.relay.session.effects import DeadLetters
from kici_gql.store import Tx
from kici_gql.tables import (
    Alert,
    AlertKind,
    Audit,
    Cluster,
    Command,
    Orchestrator,
    Run,
    Surface,
    Workflow,
)
from tests.relay.live import Link, Relay, one
from tests.relay.recorded import ENVIRONMENT_ANSWERS, USUAL_ANSWERS, answers
from tests.world import World

HEARTBEAT = {"type": "heartbeat", "timestamp": 1795440185955}
NEW_RUN = "1753d5e7-b638-4772-82e0-531d5f66d7a9"


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
