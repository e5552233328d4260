"""`workflows`, `runs`, `executionMetrics` and `commands`, as their readers see them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from kici_gql.actions import commands
from kici_gql.api.engine.faults import RequestRefused, StreamBroken
from kici_gql.api.engine.requests import GraphQLRequest
from kici_gql.settings import Settings
from kici_gql.tables import Command, CommandState, JobStatus, RunStatus, StepStatus, Workflow
from tests.running import cluster, job_of, run_of, step_of, workflow_of
from tests.world import Clock, World, nothing_more, world_of

Frame = dict[str, Any]

WORKFLOWS = """subscription ($where: WorkflowWhere, $after: Cursor) { workflows(where: $where, after: $after) {
  kind cursor previousCursor snapshot { workflows { id name enabled } registries { version syncStatus } }
  events { __typename ... on WorkflowChanged { workflow { id name enabled stale } } ... on WorkflowRemoved { id }
    ... on RegistryChanged { registry { version syncStatus } } } } }"""
RUNS = """subscription ($where: RunWhere, $after: Cursor) { runs(where: $where, after: $after) {
  kind cursor previousCursor snapshot { runs { id externalId status jobs { name steps { number } } } }
  events { __typename ... on RunChanged { run { externalId status cluster { name } } } ... on RunRemoved { id }
    ... on JobChanged { job { name status } } ... on StepChanged { step { number status } } } } }"""
METRICS = """subscription { executionMetrics { kind cursor snapshot { totalRuns queuedJobs runningJobs }
  events { folded metrics { totalRuns succeededRuns runningJobs successRate series { runs } } } } }"""
COMMANDS = """subscription ($connection: String!, $after: Cursor) { commands(connectionId: $connection, after: $after) {
  kind cursor previousCursor snapshot { commands { id kind payload state } }
  events { command { id kind payload state } } } }"""


async def take(frames: AsyncIterator[Frame]) -> Frame:
    async with asyncio.timeout(60):
        while (frame := await anext(frames))["kind"] == "BOOKMARK":
            pass
    return frame


async def test_workflows(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    async with aclosing(any_world.frames(WORKFLOWS, where={"enabled": True})) as frames:
        first = await take(frames)
        assert first["snapshot"]["workflows"] == [{"id": workflow.id, "name": "build", "enabled": True}]
        assert first["snapshot"]["registries"] == [{"version": None, "syncStatus": "IN_SYNC"}]
        await home.workflows(
            workflow_of(enabled=False), workflow_of("w2", name="test"), registry_version="v1"
        )
        second = await take(frames)
        assert second["previousCursor"] == first["cursor"]
        [gone, new, registry] = second["events"]
        assert gone == {"__typename": "WorkflowRemoved", "id": workflow.id}
        assert new["workflow"]["name"] == "test"
        assert new["workflow"]["stale"] is True
        assert registry["registry"] == {"version": "v1", "syncStatus": "IN_SYNC"}
        await home.workflows(full=True)
        third = await take(frames)
        assert {event["__typename"] for event in third["events"]} == {"WorkflowRemoved"}
        assert len(third["events"]) == 2
    async with aclosing(
        any_world.frames(WORKFLOWS, where={"enabled": True}, after=first["cursor"])
    ) as frames:
        again = await take(frames)
        assert again["events"] == second["events"] + third["events"]


async def test_null_and_nothing_are_two_variables(world: World) -> None:
    home = await cluster(world)
    query = """subscription ($s: Int) { runs { kind
        events { ... on JobChanged { job { log(step: $s) { totalLines } } } } } }"""

    async def subscribed(**variables: Any) -> Any:
        prepared = world.operations.prepare(GraphQLRequest(query, None, variables))
        return (await world.operations.subscribe(prepared, world.viewer())).pages()

    async with aclosing(await subscribed(s=None)) as wrong, aclosing(await subscribed()) as right:
        await anext(wrong)
        await anext(right)
        await home.report(run_of("r1", RunStatus.RUNNING, jobs=[job_of(status=JobStatus.RUNNING)]))
        answer = orjson.loads((await anext(right)).payload)
        assert "errors" not in answer
        assert answer["data"]["runs"]["events"][1] == {"job": {"log": {"totalLines": 0}}}
        assert "errors" in orjson.loads((await anext(wrong)).payload)


async def test_runs(any_world: World) -> None:
    home = await cluster(any_world)
    await home.report(run_of("old", RunStatus.SUCCESS, branch="main"), run_of("else", branch="next"))
    where = {"branch": {"eq": "main"}, "status": ["RUNNING", "SUCCESS"]}
    async with aclosing(any_world.frames(RUNS, where=where)) as frames:
        first = await take(frames)
        assert [run["externalId"] for run in first["snapshot"]["runs"]] == ["old"]
        job = job_of(status=JobStatus.RUNNING, name="make", steps=[step_of(0, StepStatus.RUNNING)])
        await home.report(
            run_of("r1", RunStatus.RUNNING, branch="main", jobs=[job]),
            run_of("r2", branch="next", jobs=[job]),
        )
        second = await take(frames)
        assert second["previousCursor"] == first["cursor"]
        changed = [event for event in second["events"] if event["__typename"] != "RunRemoved"]
        assert changed == [
            {
                "__typename": "RunChanged",
                "run": {"externalId": "r1", "status": "RUNNING", "cluster": {"name": "prod"}},
            },
            {"__typename": "JobChanged", "job": {"name": "make", "status": "RUNNING"}},
            {"__typename": "StepChanged", "step": {"number": 0, "status": "RUNNING"}},
        ]
        await home.report(run_of("r1", RunStatus.FAILED, branch="main"))
        assert [event["__typename"] for event in (await take(frames))["events"]] == ["RunRemoved"]
    async with aclosing(any_world.frames(RUNS, where=where)) as frames:
        assert [run["externalId"] for run in (await take(frames))["snapshot"]["runs"]] == ["old"]


async def test_a_snapshot_has_the_newest_hundred_runs(world: World) -> None:
    home = await cluster(world)
    await home.report(*[run_of(f"r{number}") for number in range(120)])
    async with aclosing(world.frames(RUNS)) as frames:
        found = (await take(frames))["snapshot"]["runs"]
    assert len(found) == 100
    assert [run["id"] for run in found] == sorted((run["id"] for run in found), reverse=True)


async def test_metrics_fold_a_burst(world: World) -> None:
    home = await cluster(world)
    async with aclosing(world.frames(METRICS)) as frames:
        first = await take(frames)
        assert first["snapshot"] == {"totalRuns": 0, "queuedJobs": 0, "runningJobs": 0}
        waiting = asyncio.ensure_future(take(frames))
        for number in range(20):
            await home.report(
                run_of(
                    f"r{number}",
                    RunStatus.SUCCESS if number % 4 else RunStatus.FAILED,
                    jobs=[job_of(status=JobStatus.RUNNING)],
                )
            )
        await home.report(run_of("on", RunStatus.RUNNING, jobs=[job_of(status=JobStatus.RUNNING)]))
        seen = [(await waiting)["events"]]
        while sum(event["folded"] for [event] in seen) < 42:
            seen.append((await take(frames))["events"])
        assert len(seen) < 10
        [last] = seen[-1]
        assert (last["metrics"]["totalRuns"], last["metrics"]["runningJobs"]) == (21, 1), (
            "what ended has nothing that runs"
        )
        assert last["metrics"]["successRate"] == 0.75
        assert sum(point["runs"] for point in last["metrics"]["series"]) == 21


async def test_metrics_of_runs_that_left_the_window(sqlite_url: str, clock: Clock) -> None:
    settings = Settings(database_url=sqlite_url, bookmark_seconds=0.02)
    async with world_of(settings, clock) as world:
        home = await cluster(world)
        await home.report(run_of("r1", RunStatus.SUCCESS, jobs=[]))
        async with aclosing(world.frames(METRICS)) as frames:
            first = await take(frames)
            assert first["snapshot"]["totalRuns"] == 1
            assert (await anext(frames))["kind"] == "BOOKMARK"
            clock.advance(25 * 3600)
            later = await take(frames)
            [event] = later["events"]
            assert (event["folded"], event["metrics"]["totalRuns"]) == (0, 0)
            assert later["cursor"] == first["cursor"], "nothing happened"
            assert (await anext(frames))["kind"] == "BOOKMARK"


async def ask(world: World, home: Any) -> str:
    [workflow] = await world.rows(Workflow)
    done = await home.run_now(workflow)
    command_id: str = done.result["command_id"]
    return command_id


async def test_commands_are_delivered_and_given_again_until_they_are_answered(any_world: World) -> None:
    home, orchestrator = await cluster(any_world), any_world.viewer("ORCHESTRATOR")
    second = await any_world.connect("prod", "two")
    await home.workflow()
    [one] = [await ask(any_world, home)]
    [addressed] = await any_world.rows(Command)
    if addressed.orchestrator_id != (await any_world.rows(Command))[0].orchestrator_id:
        pytest.fail("a command has one addressee")
    connection = home.connection_id

    def listen(after: str | None = None, to: str | None = None) -> Any:
        return aclosing(any_world.frames(COMMANDS, by=orchestrator, connection=to or connection, after=after))

    async with listen() as frames:
        first = await take(frames)
        if not first["snapshot"]["commands"]:  # it was addressed to the other one
            connection, second = second, connection
    async with listen() as frames:
        first = await take(frames)
        assert [each["id"] for each in first["snapshot"]["commands"]] == [one]
        assert (await any_world.rows(Command, id=one))[0].state is CommandState.DELIVERED
        two = await ask(any_world, home)
        frame = await take(frames)
        assert [event["command"]["id"] for event in frame["events"]] == [two]
        assert frame["previousCursor"] == first["cursor"]
        assert (await any_world.rows(Command, id=two))[0].state is CommandState.DELIVERED
    async with listen() as frames:  # killed before it answered
        assert [each["id"] for each in (await take(frames))["snapshot"]["commands"]] == [one, two]
    async with listen(after=first["cursor"]) as frames:  # it had kept its place
        assert [event["command"]["id"] for event in (await take(frames))["events"]] == [two]
    home.connection_id = connection
    await home.answer(one)
    async with listen() as frames:
        assert [each["id"] for each in (await take(frames))["snapshot"]["commands"]] == [two]
    async with listen(to=second) as frames:
        assert (await take(frames))["snapshot"]["commands"] == []


async def test_a_command_that_expired_is_not_given_late(world: World, clock: Clock) -> None:
    home, orchestrator = await cluster(world), world.viewer("ORCHESTRATOR")
    await home.workflow()
    place = str(await world.head())
    await ask(world, home)
    clock.advance(world.settings.command_seconds + 1)
    await commands.expire(world.store, clock())
    await world.beat(home.connection_id)
    live = await ask(world, home)
    async with aclosing(
        world.frames(COMMANDS, by=orchestrator, connection=home.connection_id, after=place)
    ) as frames:
        frame = await take(frames)
        assert [event["command"]["id"] for event in frame["events"]] == [live]
        assert frame["previousCursor"] == place
        await home.answer(live)
        assert await nothing_more(frames, 0.3)


async def test_a_replaced_connection_is_sent_nothing_more(world: World) -> None:
    home, orchestrator = await cluster(world), world.viewer("ORCHESTRATOR")
    await home.workflow()
    async with aclosing(world.frames(COMMANDS, by=orchestrator, connection=home.connection_id)) as frames:
        assert (await take(frames))["snapshot"]["commands"] == []
        await world.connect()
        command_id = await ask(world, home)
        with pytest.raises(StreamBroken) as caught:
            await take(frames)
        assert caught.value.errors[0]["extensions"]["code"] == "UNKNOWN_CONNECTION"
    [row] = await world.rows(Command, id=command_id)
    assert row.state is CommandState.PENDING


@pytest.mark.parametrize("query", [WORKFLOWS, RUNS])
async def test_a_stream_of_a_cluster_that_there_is_not_is_refused(world: World, query: str) -> None:
    """It could not show the cluster's runs when it comes."""
    with pytest.raises(RequestRefused) as caught:
        await take(world.frames(query, where={"clusterName": "later"}))
    [error] = caught.value.errors
    assert (error["extensions"]["code"], error["extensions"]["inputPath"]) == ("NOT_FOUND", ["clusterName"])


async def test_who_may_listen_to_commands(world: World) -> None:
    home = await cluster(world)
    for viewer, code in (
        (world.viewer("ADMIN"), "FORBIDDEN"),
        (world.viewer("ORCHESTRATOR", "other"), "UNKNOWN_CONNECTION"),
    ):
        with pytest.raises(RequestRefused) as caught:
            await take(world.frames(COMMANDS, by=viewer, connection=home.connection_id))
        assert caught.value.errors[0]["extensions"]["code"] == code
