"""`commands` without a connection: what users see of what was asked."""

from contextlib import aclosing

import pytest

from kici_gql.actions import commands
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.tables import Workflow
from tests.api.streams.test_runs import COMMANDS as ADDRESSED
from tests.api.streams.test_runs import ask, take
from tests.running import cluster
from tests.world import Clock, World, nothing_more

ASKED = """subscription ($org: String! = "default", $where: CommandWhere, $after: Cursor) {
  commands(org: $org, where: $where, after: $after) {
    kind cursor previousCursor snapshot { commands { id state } } events { command { id state message } } } }"""


async def test_a_command_is_seen_from_the_wish_to_the_answer(any_world: World) -> None:
    home = await cluster(any_world)
    await home.workflow()
    orchestrator = any_world.viewer("ORCHESTRATOR")
    async with aclosing(any_world.frames(ASKED, by=any_world.viewer("VIEWER"))) as seen:
        first = await take(seen)
        assert first["snapshot"]["commands"] == []
        command_id = await ask(any_world, home)
        told = [await take(seen)]
        async with aclosing(
            any_world.frames(ADDRESSED, by=orchestrator, connection=home.connection_id)
        ) as addressed:
            await take(addressed)
            told.append(await take(seen))
        await home.answer(command_id)
        told.append(await take(seen))
    assert [[event["command"]["state"] for event in frame["events"]] for frame in told] == [
        ["PENDING"],
        ["DELIVERED"],
        ["SUCCEEDED"],
    ]
    assert [frame["previousCursor"] for frame in told] == [
        first["cursor"],
        told[0]["cursor"],
        told[1]["cursor"],
    ]
    async with aclosing(any_world.frames(ASKED, after=first["cursor"])) as again:
        states = [event["command"]["state"] for event in (await take(again))["events"]]
    assert states == ["PENDING", "DELIVERED", "SUCCEEDED"]


async def test_looking_does_not_deliver(world: World) -> None:
    home = await cluster(world)
    await home.workflow()
    await ask(world, home)
    async with aclosing(world.frames(ASKED)) as seen:
        assert [each["state"] for each in (await take(seen))["snapshot"]["commands"]] == ["PENDING"]
        assert await nothing_more(seen, 0.3)


async def test_a_state_narrows_the_snapshot_and_a_kind_everything(world: World, clock: Clock) -> None:
    home = await cluster(world)
    await home.workflow()
    done, late = await ask(world, home), await ask(world, home)
    await home.answer(done)

    async def snapshot(where: dict[str, list[str]] | None) -> list[str]:
        async with aclosing(world.frames(ASKED, where=where)) as seen:
            return [each["id"] for each in (await take(seen))["snapshot"]["commands"]]

    assert await snapshot(None) == [late]
    assert await snapshot({"state": ["SUCCEEDED"]}) == [done]
    assert await snapshot({"kind": ["RUN_NOW"]}) == [done, late]
    assert await snapshot({"kind": ["CANCEL"]}) == []
    async with (
        aclosing(world.frames(ASKED, where={"state": ["PENDING"]})) as leaving,
        aclosing(world.frames(ASKED, where={"kind": ["CANCEL"]})) as others,
    ):
        await take(leaving)
        await take(others)
        clock.advance(world.settings.command_seconds + 1)
        await commands.expire(world.store, clock())
        [event] = (await take(leaving))["events"]
        assert event["command"] == {
            "id": late,
            "state": "EXPIRED",
            "message": "the orchestrator did not answer in time",
        }
        assert await nothing_more(others, 0.3)


@pytest.mark.parametrize(
    ("scope", "variables", "code"),
    [
        ("ORCHESTRATOR", {}, "FORBIDDEN"),
        ("ADMIN", {"org": "another"}, "NOT_FOUND"),
        ("ADMIN", {"where": {"state": []}}, "INVALID_INPUT"),
    ],
)
async def test_refused(world: World, scope: str, variables: dict[str, object], code: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        await take(world.frames(ASKED, by=world.viewer(scope), **variables))
    assert caught.value.errors[0]["extensions"]["code"] == code


async def test_an_orchestrator_gets_all_of_its_commands(world: World) -> None:
    home = await cluster(world)
    narrowed = ADDRESSED.replace("commands(", "commands(where: { kind: [CANCEL] }, ")
    with pytest.raises(RequestRefused) as caught:
        await take(world.frames(narrowed, by=world.viewer("ORCHESTRATOR"), connection=home.connection_id))
    assert caught.value.errors[0]["extensions"]["code"] == "INVALID_INPUT"


async def test_the_other_org_is_not_seen(world: World) -> None:
    home = await cluster(world)
    await home.workflow()
    [workflow] = await world.rows(Workflow)
    async with aclosing(world.frames(ASKED, by=world.viewer("ADMIN", org="other"), org="other")) as seen:
        await take(seen)
        await home.run_now(workflow)
        assert await nothing_more(seen, 0.3)
