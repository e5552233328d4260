"""Which cluster an orchestrator comes to be in, and what its name leads to."""

import re
from typing import Any

import pytest

from kici_gql.actions import clusters, orchestrators
from kici_gql.actions.clusters import Rename
from kici_gql.actions.perform import Call, Done
from kici_gql.auth import Viewer, hash_of, viewer_of
from kici_gql.errors import Forbidden, UnknownConnection
from kici_gql.store import orgs
from kici_gql.tables import (
    Alert,
    AlertKind,
    AlertState,
    Cluster,
    Command,
    CommandKind,
    Liveness,
    Orchestrator,
    Token,
)
from tests.world import Clock, World, beating, connecting

MONTH = 30 * 24 * 3600


async def named(world: World, name: str) -> Any:
    rows = await world.rows(Cluster, name=name)
    assert len(rows) == 1, [row.name for row in await world.rows(Cluster)]
    return rows[0]


async def names(world: World) -> list[str]:
    return sorted(row.name for row in await world.rows(Cluster))


async def rename(world: World, name: str, new: str) -> Done:
    wish = Rename((await named(world, name)).id, new)
    return await clusters.rename(world.call("OPERATOR"), wish, None)


async def arrive(world: World, cluster: str | None, instance: str | None = "one", **more: Any) -> str:
    """Connect; answers the name that the orchestrator is told."""
    done = await orchestrators.connect(world.call("ORCHESTRATOR"), connecting(cluster, instance, **more))
    name: str = done.result["cluster_name"]
    return name


async def bound_to(world: World, cluster: str) -> Viewer:
    """The holder of a new token that is bound to this cluster."""
    secret = await world.bound_secret(cluster)
    found = await world.store.read(orgs.token_by_hash, hash_of(secret))
    assert found is not None
    return viewer_of(*found)


def call_of(world: World, viewer: Viewer) -> Call:
    return Call(world.store, world.settings, viewer, "request")


async def collision(world: World) -> Any:
    found = await world.rows(Alert, kind=AlertKind.NAME_COLLISION)
    return found[0].state if found else None


# ── Names of our own making ──


async def test_an_orchestrator_without_a_name_gets_one_and_keeps_it(world: World) -> None:
    name = await arrive(world, None)
    assert re.fullmatch("cluster-[0-9a-f]{6}", name)
    assert (await named(world, name)).auto_named
    assert await arrive(world, None) == name
    other = await arrive(world, None, "two")
    assert other != name
    assert await arrive(world, None, None) not in {name, other}
    assert (await arrive(world, None, "three", cluster_key="k")) == (
        await arrive(world, None, "four", cluster_key="k")
    )


async def test_a_named_cluster_is_not_auto_named_and_a_renamed_one_no_longer(world: World) -> None:
    await arrive(world, "prod")
    assert not (await named(world, "prod")).auto_named
    name = await arrive(world, None, "two")
    before = await named(world, name)
    await rename(world, name, "mine")
    assert await arrive(world, "mine", "two") == "mine"
    after = await named(world, "mine")
    assert (after.id, after.auto_named, after.revision) == (before.id, False, before.revision + 2)


# ── A new name takes effect ──


async def test_a_rename_takes_effect_with_the_next_connect(any_world: World) -> None:
    world = any_world
    await arrive(world, "prod", "one")
    await arrive(world, "prod", "two")
    before = await named(world, "prod")
    done = await rename(world, "prod", "live")
    pending = await named(world, "prod")
    assert (pending.pending_name, pending.revision) == ("live", before.revision + 1)
    commands = await world.rows(Command)
    assert [(row.kind, row.payload) for row in commands] == [
        (CommandKind.RENAME, {"clusterName": "live"})
    ] * 2
    assert {row.id for row in commands} == set(done.result["command_ids"])
    assert len({row.orchestrator_id for row in commands}) == 2

    assert await arrive(world, "live", "one") == "live"
    after = await named(world, "live")
    assert (after.id, after.pending_name, after.created_at) == (before.id, None, before.created_at)
    assert await names(world) == ["live"]
    # The sibling comes back with the old name: it is at home, and told what home is called.
    assert await arrive(world, "prod", "two") == "live"
    assert await arrive(world, "live", "two") == "live"
    assert len(await world.rows(Orchestrator, cluster_id=before.id)) == 2
    told = [
        (event.data["name"], event.data["pending_name"], event.data["revision"])
        for _, event in await world.events()
        if event.type == "cluster.changed"
    ]
    assert told == [("prod", None, 1), ("prod", "live", 2), ("live", None, 3)]


async def test_back_to_an_old_name(world: World) -> None:
    await arrive(world, "prod")
    first = await named(world, "prod")
    for old, new in (("prod", "live"), ("live", "prod")):
        await rename(world, old, new)
        assert await arrive(world, new) == new
    assert (await named(world, "prod")).id == first.id
    assert await arrive(world, "live", "two") == "prod"


async def test_an_old_name_leads_there_for_thirty_days(world: World, clock: Clock) -> None:
    await arrive(world, "prod")
    await rename(world, "prod", "live")
    await arrive(world, "live")
    clock.advance(MONTH - 1)
    assert await arrive(world, "prod", "two") == "live"
    clock.advance(1)
    assert await arrive(world, "prod", "three") == "prod"
    assert await names(world) == ["live", "prod"]


# ── The cluster's own key ──


async def test_the_key_knows_a_cluster_again_under_another_name(any_world: World) -> None:
    world = any_world
    await arrive(world, "prod", "one", cluster_key="k1")
    await arrive(world, "prod", "two", cluster_key="k1")
    before = await named(world, "prod")
    assert await arrive(world, "live", "one", cluster_key="k1") == "live"
    # A sibling that was not restarted still says the old name; that must not take the new one back.
    assert await arrive(world, "prod", "two", cluster_key="k1") == "live"
    assert (await named(world, "live")).id == before.id
    assert await names(world) == ["live"]


async def test_the_clusters_own_id_is_as_good_as_a_key(world: World) -> None:
    await arrive(world, "prod")
    home, other = await named(world, "prod"), await arrive(world, "other", "elsewhere")
    assert await arrive(world, "live", "one", cluster_key=home.id) == "live"
    assert (await named(world, "live")).id == home.id
    # Sent to another cluster by hand it belongs there, and is no intruder.
    assert await arrive(world, other, "one", cluster_key=home.id) == "other"
    assert await collision(world) is None


async def test_two_clusters_under_one_name(world: World, clock: Clock) -> None:
    await arrive(world, "prod", "one", cluster_key="k1")
    await arrive(world, "prod", "two", cluster_key="k1")
    assert await collision(world) is None
    await arrive(world, "prod", "three", cluster_key="k2")
    assert await collision(world) is AlertState.OPEN
    first = await named(world, "prod")

    # One of them is renamed on its host. It is the other one's cluster, so it gets one of its own.
    assert await arrive(world, "blue", "three", cluster_key="k2") == "blue"
    assert await names(world) == ["blue", "prod"]
    assert (await named(world, "prod")).id == first.id
    assert await collision(world) is AlertState.RESOLVED
    [stayed] = await world.rows(Orchestrator, cluster_id=first.id, cluster_key="k2")
    assert (stayed.liveness, stayed.liveness_reason) == (Liveness.OFFLINE, "moved to cluster blue")
    clock.advance(3600)
    await world.sweep()
    await arrive(world, "prod", "four", cluster_key="k3")
    assert await collision(world) is AlertState.RESOLVED  # nobody else is there to collide with
    await arrive(world, "prod", "one", cluster_key="k1")
    [alert] = await world.rows(Alert, kind=AlertKind.NAME_COLLISION)
    assert (alert.state, alert.flap_count) == (AlertState.OPEN, 1)


# ── Bound tokens ──


async def test_tokens_follow_their_cluster(world: World) -> None:
    await arrive(world, "prod")
    viewer = await bound_to(world, "prod")
    call = call_of(world, viewer)
    done = await orchestrators.connect(call, connecting("prod", "two"))
    connection = done.result["connection_id"]
    await rename(world, "prod", "live")
    await arrive(world, "live", "one")
    [token] = await world.rows(Token, name="bound-prod")
    assert token.cluster_name == "live"
    # This viewer is as old as its socket and still says "prod".
    assert viewer.cluster_name == "prod"
    await orchestrators.heartbeat(call, beating(connection))
    for name in ("live", "prod", None):
        again = await orchestrators.connect(call, connecting(name, "two"))
        assert again.result["cluster_name"] == "live"


async def test_a_bound_token_says_goodbye_for_nobody_in_another_cluster(world: World) -> None:
    await arrive(world, "prod", "one", cluster_key="k1")
    await arrive(world, "other", "two")
    call = call_of(world, await bound_to(world, "other"))
    done = await orchestrators.connect(call, connecting("other", "one", cluster_key="k1"))
    assert done.result["cluster_name"] == "other"
    states = [(row.instance_id, row.liveness) for row in await world.rows(Orchestrator)]
    assert sorted(states) == [(name, Liveness.ONLINE) for name in ("one", "one", "two")]


async def test_a_token_for_the_name_to_come_may_bring_it(world: World) -> None:
    await arrive(world, "prod")
    await rename(world, "prod", "live")
    viewer = await bound_to(world, "live")
    done = await orchestrators.connect(call_of(world, viewer), connecting("live", "one"))
    assert done.result["cluster_name"] == "live"
    assert await names(world) == ["live"]


@pytest.mark.parametrize("more", [{}, {"cluster_key": "k1"}])
@pytest.mark.parametrize("name", ["prod", "was-prod", "soon"])
async def test_a_token_of_another_cluster_opens_no_door(
    world: World, name: str, more: dict[str, Any]
) -> None:
    await arrive(world, "was-prod", "one", cluster_key="k1")
    await rename(world, "was-prod", "prod")
    connection = await world.connect("prod", "one", cluster_key="k1")
    await rename(world, "prod", "soon")
    call = call_of(world, await bound_to(world, "evil"))
    before = await world.dump("audit")
    with pytest.raises(Forbidden):
        await orchestrators.connect(call, connecting(name, "intruder", **more))
    with pytest.raises(UnknownConnection):
        await orchestrators.heartbeat(call, beating(connection))
    assert await world.dump("audit") == before


async def test_a_key_gives_nobody_another_clusters_place(world: World) -> None:
    """A key is no secret: whoever knows it and has a token for a name that nobody has must not take the cluster."""
    await arrive(world, "prod", "one", cluster_key="k1")
    call = call_of(world, await bound_to(world, "evil"))
    with pytest.raises(Forbidden):
        await orchestrators.connect(call, connecting("evil", "intruder", cluster_key="k1"))
    assert await names(world) == ["prod"]


async def test_other_orgs_have_their_own_names(world: World) -> None:
    await arrive(world, "prod", cluster_key="k1")
    await world.connect("prod", "one", org="other", cluster_key="k1")
    await world.connect("live", "one", org="other", cluster_key="k1")
    assert len(await world.rows(Cluster, name="prod")) == 1
    assert (await named(world, "prod")).org_id == world.org_id
