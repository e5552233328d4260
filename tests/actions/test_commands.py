"""What users ask of orchestrators, from the wish to its answer."""

import asyncio
from typing import Any

import pytest

from kici_gql.actions import commands, orchestrators, wishes
from kici_gql.errors import (
    ClusterDisconnected,
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    UnknownConnection,
    VersionConflict,
)
from kici_gql.rules.workflows import InputType
from kici_gql.tables import Command, CommandState, JobStatus, Run, RunStatus, Workflow
from tests.running import Cluster, cluster, declared, job_of, run_of
from tests.world import Clock, World


async def one(world: World, command_id: str) -> Any:
    [row] = await world.rows(Command, id=command_id)
    return row


async def expire(world: World, clock: Clock) -> None:
    clock.advance(world.settings.command_seconds + 1)
    await commands.expire(world.store, clock())


async def test_the_same_key_five_times_at_once(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow(inputs=[declared("target")])
    found = await asyncio.gather(*[home.run_now(workflow, "key", target="x") for _ in range(5)])
    assert sorted(done.replayed for done in found) == [False, True, True, True, True]
    assert len({(done.result["run_id"], done.result["command_id"], str(done.cursor)) for done in found}) == 1
    assert len(await any_world.rows(Run)) == len(await any_world.rows(Command)) == 1
    with pytest.raises(IdempotencyConflict):
        await home.run_now(workflow, "key", target="y")
    await home.run_now(workflow, "other key", target="x")
    assert len(await any_world.rows(Run)) == 2


async def test_one_key_is_one_callers_and_one_actions(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    await home.run_now(workflow, "key")
    done = await wishes.run_now(any_world.call("ADMIN"), workflow.id, [], "key")
    assert not done.replayed
    done = await wishes.set_enabled(any_world.call("OPERATOR"), workflow.id, False, None, "key")
    assert not done.replayed


async def test_run_now_announces_its_run_at_once(world: World) -> None:
    home = await cluster(world)
    workflow = await home.workflow(inputs=[declared("n", type=InputType.NUMBER, default="1")])
    done = await home.run_now(workflow)
    [run] = await world.rows(Run)
    assert (run.id, run.status, run.workflow_id) == (done.result["run_id"], RunStatus.PENDING, workflow.id)
    assert (run.trigger_type, run.triggered_by, run.inputs) == ("manual", "operator", {"n": "1"})
    command = await one(world, done.result["command_id"])
    assert command.payload["runId"] == run.external_id
    assert command.payload["inputs"] == {"n": "1"}
    assert command.payload["registrationId"] == "w1"


async def test_a_disabled_workflow_runs_and_says_so(world: World) -> None:
    home = await cluster(world)
    workflow = await home.workflow(enabled=False)
    assert (await home.run_now(workflow)).result["was_disabled"] is True


async def test_what_can_not_be_run(world: World) -> None:
    home = await cluster(world)
    workflow = await home.workflow(inputs=[declared("target", required=True)])
    with pytest.raises(NotFound):
        await wishes.run_now(world.call("OPERATOR"), "wfl_nobody", [], None)
    with pytest.raises(NotFound):
        await wishes.run_now(world.call("OPERATOR", "other"), workflow.id, [("target", "x")], None)
    with pytest.raises(InvalidInput):
        await home.run_now(workflow)
    with pytest.raises(InvalidInput):
        await home.run_now(workflow, target="x", more="y")
    with pytest.raises(InvalidInput, match="twice"):
        await wishes.run_now(world.call("OPERATOR"), workflow.id, [("target", "x"), ("target", "y")], None)
    for scope in ("VIEWER", "ORCHESTRATOR"):
        with pytest.raises(Forbidden):
            await wishes.run_now(world.call(scope), workflow.id, [("target", "x")], None)
    assert await world.rows(Run) == await world.rows(Command) == []


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_disconnected_cluster_is_an_error_and_nothing_is_half_written(
    any_world: World, clock: Clock, goodbye: bool
) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    await home.report(run_of(status=RunStatus.RUNNING))
    [run] = await any_world.rows(Run)
    if goodbye:
        await orchestrators.disconnect(any_world.call("ORCHESTRATOR"), home.connection_id, None)
    else:
        clock.advance(1000)
        await any_world.sweep()
    before = await any_world.dump("audit")
    call = any_world.call("OPERATOR")
    for wish in (
        wishes.run_now(call, workflow.id, [], "a"),
        wishes.set_enabled(call, workflow.id, False, None, "b"),
        wishes.delete(call, workflow.id, True, None, "c"),
        wishes.cancel(call, run.id, False, "d"),
    ):
        with pytest.raises(ClusterDisconnected) as caught:
            await wish
        assert caught.value.retryable
    assert await any_world.dump("audit") == before
    await any_world.connect()
    done = await wishes.run_now(call, workflow.id, [], "a")
    assert not done.replayed, "a refusal is not remembered under the key"


async def asked(home: Cluster) -> tuple[Any, Any]:
    """A run that was asked for: its row and its command's."""
    workflow = await home.workflow()
    done = await home.run_now(workflow)
    [run] = await home.world.rows(Run, id=done.result["run_id"])
    return run, await one(home.world, done.result["command_id"])


async def test_an_answer_counts_once(any_world: World) -> None:
    home = await cluster(any_world)
    _, command = await asked(home)
    await home.answer(command.id, message="started", n=1)
    row = await one(any_world, command.id)
    assert (row.state, row.message, row.result, row.due_at) == (
        CommandState.SUCCEEDED,
        "started",
        {"n": 1},
        None,
    )
    head = await any_world.head()
    await home.answer(command.id, message="again")
    assert await any_world.head() == head
    with pytest.raises(Conflict):
        await home.answer(command.id, False)
    assert (await one(any_world, command.id)).message == "started"


async def test_a_refused_run_has_failed(any_world: World) -> None:
    home = await cluster(any_world)
    run, command = await asked(home)
    await home.answer(command.id, False, "no agent has these labels")
    [run] = await any_world.rows(Run, id=run.id)
    assert (run.status, run.failure_reason) == (RunStatus.FAILED, "no agent has these labels")


async def test_nobody_answers(any_world: World, clock: Clock) -> None:
    home = await cluster(any_world)
    run, command = await asked(home)
    clock.advance(any_world.settings.command_seconds - 1)
    await commands.expire(any_world.store, clock())
    assert (await one(any_world, command.id)).state is CommandState.PENDING
    await expire(any_world, clock)
    row = await one(any_world, command.id)
    assert (row.state, row.due_at) == (CommandState.EXPIRED, None)
    assert row.message
    [run] = await any_world.rows(Run, id=run.id)
    assert (run.status, run.status_by_server) == (RunStatus.FAILED, True)
    # A late answer tells what really happened.
    await home.answer(command.id)
    assert (await one(any_world, command.id)).state is CommandState.SUCCEEDED
    await home.report(run_of(run.external_id, RunStatus.SUCCESS))
    [run] = await any_world.rows(Run, id=run.id)
    assert (run.status, run.failure_reason) == (RunStatus.SUCCESS, None)


async def test_only_the_commands_cluster_can_answer(any_world: World) -> None:
    home, other = await cluster(any_world), await cluster(any_world, "test")
    stranger = await cluster(any_world, "prod", org="other")
    second = await cluster(any_world, "prod", "two")
    _, command = await asked(home)
    for nobody in (other, stranger):
        with pytest.raises(NotFound):
            await nobody.answer(command.id)
    with pytest.raises(NotFound):
        await home.answer("cmd_nobody")
    home.connection_id = "nobody"
    with pytest.raises(UnknownConnection):
        await home.answer(command.id)
    await second.answer(command.id)  # another orchestrator of the same cluster may have done it
    assert (await one(any_world, command.id)).state is CommandState.SUCCEEDED


async def test_switching_and_deleting_happen_when_they_are_answered(any_world: World) -> None:
    home = await cluster(any_world)
    workflow = await home.workflow()
    await home.report(
        run_of("r1", RunStatus.RUNNING, registration_id="w1"),
        run_of("r2", RunStatus.SUCCESS, registration_id="w1"),
    )
    call = any_world.call("OPERATOR")
    done = await wishes.set_enabled(call, workflow.id, False, None, None)
    assert (await any_world.rows(Workflow))[0].enabled
    await home.answer(done.result["command_id"])
    [workflow] = await any_world.rows(Workflow)
    assert not workflow.enabled
    with pytest.raises(VersionConflict):
        await wishes.delete(call, workflow.id, True, workflow.revision - 1, None)
    done = await wishes.delete(call, workflow.id, True, workflow.revision, None)
    [active] = await any_world.rows(Run, external_id="r1")
    assert done.result["run_ids"] == [active.id]
    assert (await one(any_world, done.result["command_id"])).payload["runIds"] == ["r1"]
    twice = await wishes.delete(call, workflow.id, False, None, None)
    assert twice.result["run_ids"] == []
    await home.answer(done.result["command_id"])
    assert await any_world.rows(Workflow) == []
    await home.answer(twice.result["command_id"])
    with pytest.raises(NotFound):
        await wishes.delete(call, workflow.id, False, None, None)


async def test_cancelling(any_world: World) -> None:
    home = await cluster(any_world)
    [run_id] = await home.report(run_of(status=RunStatus.RUNNING))
    call = any_world.call("OPERATOR")
    done = await wishes.cancel(call, run_id, True, None)
    assert (await one(any_world, done.result["command_id"])).payload == {"runId": "r1", "force": True}
    await home.report(run_of(status=RunStatus.CANCELLED))
    with pytest.raises(Conflict):
        await wishes.cancel(call, run_id, False, None)
    with pytest.raises(NotFound):
        await wishes.cancel(call, "run_nobody", False, None)


async def test_a_run_that_was_told_to_have_ended_can_be_cancelled_while_a_job_runs(any_world: World) -> None:
    home = await cluster(any_world)
    jobs = [job_of("one", JobStatus.FAILED), job_of("two", JobStatus.RUNNING)]
    [run_id] = await home.report(run_of(status=RunStatus.FAILED, jobs=jobs))
    call = any_world.call("OPERATOR")
    assert (await wishes.cancel(call, run_id, False, None)).result["command_id"]
    await home.report(run_of(jobs=[job_of("two", JobStatus.CANCELLED)]))
    with pytest.raises(Conflict, match="has ended"):
        await wishes.cancel(call, run_id, False, None)


async def test_running_again(any_world: World) -> None:
    home = await cluster(any_world)
    run, _ = await asked(home)
    call = any_world.call("OPERATOR")
    with pytest.raises(Conflict):
        await wishes.rerun(call, run.id, None)
    await home.report(run_of(run.external_id, RunStatus.FAILED, branch="main", commit_sha="abc"))
    done = await wishes.rerun(call, run.id, None)
    [again] = await any_world.rows(Run, id=done.result["run_id"])
    assert (again.parent_run, again.original_run) == (run.external_id, run.external_id)
    assert (again.branch, again.commit_sha, again.trigger_type) == ("main", "abc", "rerun")
    await home.report(run_of(again.external_id, RunStatus.FAILED))
    third = await wishes.rerun(call, again.id, None)
    [third] = await any_world.rows(Run, id=third.result["run_id"])
    assert (third.parent_run, third.original_run) == (again.external_id, run.external_id)
    await home.workflows(full=True)
    with pytest.raises(Conflict):
        await wishes.rerun(call, run.id, None)
