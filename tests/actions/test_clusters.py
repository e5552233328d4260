"""What may be renamed to what, and what the orchestrators are told."""

from typing import Any

import pytest

from kici_gql.actions import clusters
from kici_gql.actions.clusters import Rename
from kici_gql.actions.perform import Done
from kici_gql.errors import Forbidden, IdempotencyConflict, InvalidInput, NameTaken, NotFound, VersionConflict
from kici_gql.tables import Audit, AuditOutcome, Cluster, Command, CommandKind
from tests.world import Clock, World

MONTH = 30 * 24 * 3600


async def cluster(world: World, name: str = "prod", org: str = "default") -> Any:
    rows = await world.rows(Cluster, name=name, org_id=world.viewer(org=org).org_id)
    assert rows
    return rows[0]


async def rename(world: World, id_: str, name: str, by: str = "OPERATOR", **more: Any) -> Done:
    key = more.pop("idempotency_key", None)
    return await clusters.rename(world.call(by), Rename(id_, name, **more), key)


@pytest.mark.parametrize("name", ["", "Prod", "-a", "a-", "a_b", "a" * 64, "prod\n", "kgq_0123456789"])
async def test_a_bad_name_is_refused(world: World, name: str) -> None:
    await world.connect()
    with pytest.raises(InvalidInput) as refused:
        await rename(world, (await cluster(world)).id, name)
    assert refused.value.path == ("name",)
    assert "kgq_0" not in refused.value.message


async def test_a_name_in_use_or_promised_is_refused(any_world: World) -> None:
    world = any_world
    await world.connect("prod", "one")
    await world.connect("other", "two")
    home, other = await cluster(world), await cluster(world, "other")
    with pytest.raises(NameTaken):
        await rename(world, home.id, "other")
    await rename(world, other.id, "promised")
    with pytest.raises(NameTaken):
        await rename(world, home.id, "promised")
    await world.connect("other", "two", org="other")
    await rename(world, home.id, "free")  # another org's names are no hindrance
    assert (await cluster(world)).pending_name == "free"


async def test_a_name_that_another_cluster_had_is_free_after_thirty_days(world: World, clock: Clock) -> None:
    await world.connect("prod", "one")
    await world.connect("other", "two")
    home, other = await cluster(world), await cluster(world, "other")
    await rename(world, home.id, "live")
    await world.connect("live", "one")
    with pytest.raises(NameTaken) as refused:
        await rename(world, other.id, "prod")
    assert "30 days" in (refused.value.hint or "")
    clock.advance(MONTH)
    await rename(world, other.id, "prod")
    await world.connect("prod", "two")
    assert (await cluster(world)).id == other.id
    await world.connect("other", "two")  # its own old name
    assert len(await world.rows(Cluster)) == 2


async def test_a_rename_can_be_taken_back(world: World) -> None:
    await world.connect()
    home = await cluster(world)
    await rename(world, home.id, "live")
    done = await rename(world, home.id, "prod")
    row = await cluster(world)
    assert (row.pending_name, row.revision) == (None, home.revision + 2)
    # Whoever was told the new name must be told to keep the old one.
    told = await world.rows(Command, kind=CommandKind.RENAME)
    assert [each.payload["clusterName"] for each in told] == ["live", "prod"]
    assert done.result["command_ids"] == [told[1].id]
    assert (await rename(world, home.id, "prod")).result["command_ids"] == []


async def test_a_rename_while_nobody_is_there_waits_for_them(world: World, clock: Clock) -> None:
    await world.connect()
    home = await cluster(world)
    clock.advance(3600)
    await world.sweep()
    done = await rename(world, home.id, "live")
    assert (done.result["command_ids"], done.result["hosts"]) == ([], [])
    assert await world.rows(Command) == []
    await world.connect("live")
    assert (await cluster(world, "live")).id == home.id


async def test_what_does_not_fit_is_refused_and_left_in_the_audit_log(world: World) -> None:
    await world.connect()
    await world.connect("prod", "one", org="other")
    home, foreign = await cluster(world), await cluster(world, org="other")
    state = await world.dump("audit")
    refused: list[tuple[type[Exception], str, str, dict[str, Any]]] = [
        (NotFound, "clu_0", "live", {}),
        (NotFound, foreign.id, "live", {}),
        (VersionConflict, home.id, "live", {"expected_version": home.revision + 1}),
        (Forbidden, home.id, "live", {"by": "VIEWER"}),
        (Forbidden, home.id, "live", {"by": "ORCHESTRATOR"}),
    ]
    for error, id_, name, more in refused:
        with pytest.raises(error):
            await rename(world, id_, name, **more)
    assert await world.dump("audit") == state
    rows = await world.rows(Audit, action="clusterRename")
    assert {row.outcome for row in rows} == {AuditOutcome.REFUSED}
    assert [row.object_id for row in rows] == [None, foreign.id, home.id, home.id, home.id]


async def test_a_repeated_rename_happens_once(world: World) -> None:
    await world.connect()
    home = await cluster(world)
    first = await rename(world, home.id, "live", idempotency_key="k")
    again = await rename(world, home.id, "live", idempotency_key="k")
    assert (again.replayed, again.result) == (True, first.result)
    with pytest.raises(IdempotencyConflict):
        await rename(world, home.id, "else", idempotency_key="k")
    assert len(await world.rows(Command)) == 1
