"""What orchestrators report of their workflows, and the health of the registry."""

from datetime import timedelta
from typing import Any

import pytest

from kici_gql.actions import workflows
from kici_gql.api.mutations.run_inputs import TriggerInput, WorkflowReportInput
from kici_gql.errors import InvalidInput, LimitExceeded
from kici_gql.rules.workflows import InputType
from kici_gql.tables import Registry, Run, RunStatus, Workflow
from tests.running import cluster, declared, moment, run_of, schedule, workflow_of
from tests.world import Clock, World


def leaking() -> TriggerInput:
    config: Any = {"url": "https://example.org", "headers": {"authorization": "ghp_0123456789"}}
    return TriggerInput(type="webhook", settings=config)


HEALTH = "{ org { workflowRegistry { version announcedVersion syncStatus error updatedAt } } }"


async def names(world: World) -> list[str]:
    return sorted(row.external_id for row in await world.rows(Workflow))


async def test_full_delta_and_removed(any_world: World) -> None:
    home, other = await cluster(any_world), await cluster(any_world, "test")
    await other.workflows(workflow_of("w1"))
    await home.workflows(workflow_of("w1"), workflow_of("w2"), full=True)
    await home.workflows(workflow_of("w3"))
    assert await names(any_world) == ["w1", "w1", "w2", "w3"]
    await home.workflows(removed=["w3", "nobody"])
    assert await names(any_world) == ["w1", "w1", "w2"]
    await home.workflows(workflow_of("w2"), full=True)
    assert await names(any_world) == ["w1", "w2"]
    await home.workflows(full=True, registry_error="cannot read the registry")
    assert await names(any_world) == ["w1", "w2"], "who can't read its registry doesn't know what is gone"
    await home.workflows(full=True)
    assert await names(any_world) == ["w1"]


async def test_what_did_not_change_is_not_told(world: World) -> None:
    home = await cluster(world)
    told = workflow_of(triggers=[schedule("0 5 * * *")])
    await home.workflows(told, registry_version="v1")
    [before] = await world.rows(Workflow)
    seen = len(await world.events())
    await home.workflows(told, registry_version="v1")
    assert (await world.rows(Workflow)) == [before]
    assert len(await world.events()) == seen
    await home.workflows(workflow_of(enabled=False), registry_version="v1")
    [after] = await world.rows(Workflow)
    assert (after.id, after.revision, after.enabled) == (before.id, before.revision + 1, False)


async def test_runs_outlive_their_workflow(any_world: World) -> None:
    home = await cluster(any_world)
    await home.workflow()
    await home.report(run_of(status=RunStatus.RUNNING, registration_id="w1", workflow_name="build"))
    await home.workflows(full=True)
    [run] = await any_world.rows(Run)
    assert (run.workflow_id, run.workflow_name) == (None, "build")


async def test_an_unknown_trigger_stays_visible(world: World) -> None:
    home = await cluster(world)
    told: Any = {"planet": "mars", "n": 1}
    await home.workflows(
        workflow_of(triggers=[TriggerInput(type="comet", settings=told), schedule("0 5 * * *", "Asia/Tokyo")])
    )
    answer = await world.data(
        """{ org { workflows { nodes { triggerTypes stale triggers { __typename type config
             ... on ScheduleTrigger { cron timezone nextFireAt } } } } } }"""
    )
    [found] = answer["org"]["workflows"]["nodes"]
    assert found["triggerTypes"] == ["comet", "schedule"]
    assert found["stale"] is True
    [comet, timer] = found["triggers"]
    assert (comet["type"], comet["config"]) == ("comet", told)
    assert timer["nextFireAt"] == "2026-01-31T20:00:00.000000Z"


async def test_next_fire_is_told_or_worked_out_and_rolls_on(world: World, clock: Clock) -> None:
    home = await cluster(world)
    soon = clock() + timedelta(minutes=5)
    hourly = [schedule("0 * * * *")]
    await home.workflows(
        workflow_of("told", triggers=hourly, next_fire_at=soon),
        workflow_of("worked-out", triggers=hourly),
        workflow_of("past", triggers=hourly, next_fire_at=clock() - timedelta(days=1)),
        workflow_of("none"),
    )

    async def next_fires() -> dict[str, Any]:
        return {row.external_id: row.next_fire_at for row in await world.rows(Workflow)}

    one = clock().replace(hour=13, minute=0, second=0, microsecond=0)
    assert await next_fires() == {"told": soon, "worked-out": one, "past": one, "none": None}
    clock.advance(3601)
    await workflows.roll_schedules(world.store, clock())
    two = one + timedelta(hours=1)
    assert await next_fires() == {"told": two, "worked-out": two, "past": two, "none": None}


async def test_the_latest_trigger_counts_whoever_knows_of_it(world: World) -> None:
    home = await cluster(world)
    await home.workflows(workflow_of(last_triggered_at=moment(100)))
    await home.workflows(workflow_of(last_triggered_at=moment(50)))
    [row] = await world.rows(Workflow)
    assert row.last_triggered_at == moment(100)
    await home.report(run_of(registration_id="w1", queued_at=moment(200)))
    await home.workflows(workflow_of(last_triggered_at=moment(150)))
    [row] = await world.rows(Workflow)
    assert row.last_triggered_at == moment(200)


async def test_health_of_the_registry(world: World, clock: Clock) -> None:
    home = await cluster(world)

    async def health() -> dict[str, Any]:
        [found] = (await world.data(HEALTH))["org"]["workflowRegistry"]
        return dict(found)

    home.connection_id = await world.connect(registry_version="v1")
    assert (await health())["syncStatus"] == "SYNCING"
    await home.workflows(workflow_of(), full=True, registry_version="v1")
    assert (await health())["syncStatus"] == "IN_SYNC"
    await home.workflows(workflow_of("w2"))  # a change without a version leaves it as it is
    assert await health() | {"updatedAt": None} == {
        "version": "v1",
        "announcedVersion": "v1",
        "syncStatus": "IN_SYNC",
        "error": None,
        "updatedAt": None,
    }
    await world.beat(home.connection_id, registry_version="v2")
    assert (await health())["syncStatus"] == "SYNCING"
    clock.advance(61)
    assert (await health())["syncStatus"] == "STALE"
    await home.workflows(registry_error="cannot parse build.yaml", registry_version="v2")
    found = await health()
    assert (found["syncStatus"], found["error"]) == ("ERROR", "cannot parse build.yaml")
    await home.workflows(registry_version="v2")
    assert (await health())["syncStatus"] == "IN_SYNC"
    clock.advance(1000)
    await world.sweep()
    assert (await health())["syncStatus"] == "STALE"


async def test_an_orchestrator_without_versions_is_in_sync(world: World, clock: Clock) -> None:
    home = await cluster(world)
    await home.workflows(workflow_of(), full=True)
    clock.advance(90)
    await world.beat(home.connection_id)
    assert (await world.data(HEALTH))["org"]["workflowRegistry"][0]["syncStatus"] == "IN_SYNC"


@pytest.mark.parametrize(
    ("told", "path"),
    [
        (workflow_of(triggers=[schedule("nonsense")]), "workflows.0.triggers.0.config.cron"),
        (workflow_of(triggers=[schedule("0 5 * * *", "Mars/Olympus")]), "workflows.0.triggers.0.config.cron"),
        (workflow_of(name=""), "workflows.0.name"),
        (workflow_of(repository="x" * 257), "workflows.0.repository"),
        (workflow_of(triggers=[TriggerInput(type="")]), "workflows.0.triggers.0.type"),
        (workflow_of(triggers=[leaking()]), "workflows.0.triggers.0.config"),
        (workflow_of(inputs=[declared("n"), declared("n")]), "workflows.0.inputs"),
        (workflow_of(inputs=[declared("n", description="a\0")]), "workflows.0.inputs.0.description"),
        (
            workflow_of(inputs=[declared("n", type=InputType.NUMBER, default="x")]),
            "workflows.0.inputs.0.default",
        ),
        (workflow_of(last_triggered_at=moment(2 * 86400)), "workflows.0.lastTriggeredAt"),
        (workflow_of(registered_at=moment(2 * 86400)), "workflows.0.registeredAt"),
    ],
)
async def test_malformed(world: World, told: WorkflowReportInput, path: str) -> None:
    """One malformed workflow and nothing of the report is taken, so a full report can't half happen."""
    home = await cluster(world)
    with pytest.raises(InvalidInput) as caught:
        await home.workflows(told, workflow_of("good"))
    assert ".".join(caught.value.path or ()) == path
    assert await names(world) == []
    assert [row for row in await world.rows(Registry) if row.updated_at is not None] == []


async def test_limits(world: World) -> None:
    home = await cluster(world)
    with pytest.raises(LimitExceeded):
        await home.workflows(workflow_of(triggers=[TriggerInput(type="push")] * 101))
    big: Any = {"x": "y" * 40_000}
    with pytest.raises(LimitExceeded):
        await home.workflows(workflow_of(triggers=[TriggerInput(type="push", settings=big)]))
    with pytest.raises(InvalidInput):
        await home.workflows(workflow_of("a"), workflow_of("a"))
