"""Two orgs on one server never see each other: by query, id, stream, cursor or the text of an error."""

from typing import Any

import pytest

from kici_gql.actions import tokens
from kici_gql.actions.tokens import TokenWish
from kici_gql.api.engine.faults import RequestRefused
from kici_gql.tables import TokenScope
from tests.world import Clock, World, agent, nothing_more, scaler

SECRET = "topsecret"  # every name in the other org has it
TYPES = ("clusters", "orchestrators", "scalers", "agents", "alerts")


@pytest.fixture
async def neighbours(world: World, clock: Clock) -> World:
    """The other org has a fleet, alerts and tokens; ours is empty."""
    connection = await world.connect(
        SECRET, SECRET, org="other", scalers=[scaler(SECRET)], agents=[agent(SECRET, SECRET)]
    )
    await world.beat(connection, [SECRET], org="other")
    await tokens.create(world.call("ADMIN", "other"), TokenWish(SECRET, TokenScope.VIEWER))
    clock.advance(200)
    await world.sweep()
    assert SECRET in str(await everything(world, "other"))
    return world


async def everything(world: World, org: str) -> dict[str, Any]:
    lists = " ".join(f"{name} {{ totalCount nodes {{ id }} }}" for name in TYPES)
    query = f"""query ($org: String!) {{ org(slug: $org) {{ id cursor {lists} tokens {{ id name }}
        clusters {{ nodes {{ name }} }} auditLog {{ nodes {{ id action tokenName }} }} }} }}"""
    found: dict[str, Any] = (await world.data(query, world.viewer(org=org), org=org))["org"]
    return found


async def ids(world: World, org: str) -> list[str]:
    found = await everything(world, org)
    return (
        [found["id"]]
        + [node["id"] for name in (*TYPES, "auditLog") for node in found[name]["nodes"]]
        + [token["id"] for token in found["tokens"]]
    )


async def test_by_query(neighbours: World) -> None:
    found = await everything(neighbours, "default")
    assert SECRET not in str(found)
    assert {found[name]["totalCount"] for name in TYPES} == {0}
    assert await neighbours.data('{ org(slug: "other") { id } }') == {"org": None}
    assert await neighbours.data('{ org(slug: "nobody") { id } }') == {"org": None}
    assert await neighbours.data("{ orgs { slug } }") == {"orgs": [{"slug": "default"}]}
    assert await neighbours.data(f'{{ org {{ cluster(name: "{SECRET}") {{ id }} }} }}') == {
        "org": {"cluster": None}
    }


@pytest.mark.parametrize("scope", ["VIEWER", "OPERATOR", "ADMIN"])
async def test_by_id(neighbours: World, scope: str) -> None:
    theirs = await ids(neighbours, "other")
    assert len(theirs) > 10
    query = "query ($id: ID!) { node(id: $id) { __typename id } }"
    for id_ in theirs:
        answer = await neighbours.run(query, neighbours.viewer(scope), id=id_)
        prefix = id_.partition("_")[0]
        never = await neighbours.run(query, neighbours.viewer(scope), id=f"{prefix}_{'0' * 32}")
        assert answer["data"] == {"node": None}
        assert str(answer) == str(never), "what is there and what is not look the same"
    if scope == "ADMIN":
        many = await neighbours.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=theirs[1:50])
        assert set(many["nodes"]) == {None}


MUTATIONS = {
    "alertAcknowledge": ("alr", "mutation ($id: ID!) { alertAcknowledge(input: {alertId: $id}) { __typename ... on Error { message hint code path } } }"),
    "tokenRevoke": ("tok", "mutation ($id: ID!) { tokenRevoke(input: {tokenId: $id}) { __typename ... on Error { message hint code path } } }"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
async def test_by_mutation(neighbours: World, name: str) -> None:
    prefix, query = MUTATIONS[name]
    theirs = [id_ for id_ in await ids(neighbours, "other") if id_.startswith(prefix)]
    before = await neighbours.dump("audit")
    for id_ in theirs:
        answer = await neighbours.data(query, id=id_)
        assert answer[name]["__typename"] == "NotFound"
        assert answer == await neighbours.data(query, id=f"{prefix}_{'0' * 32}")
    assert await neighbours.dump("audit") == before


STREAMS = {
    "infrastructure": "snapshot { clusters { name } agents { agentId } alerts { message } } events { __typename }",
    "heartbeats": "snapshot { agents { agentId } } events { __typename }",
    "alerts": "snapshot { alerts { message } } events { __typename }",
}


@pytest.mark.parametrize("stream", STREAMS)
async def test_by_stream(neighbours: World, clock: Clock, stream: str) -> None:
    query = f"subscription {{ {stream} {{ kind {STREAMS[stream]} }} }}"
    frames = neighbours.frames(query)
    first = await anext(frames)
    assert first["kind"] == "SNAPSHOT"
    assert not any(first["snapshot"].values())
    await neighbours.connect(SECRET, SECRET, org="other", agents=[agent(SECRET, None)])
    assert await nothing_more(frames)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("org", ["other", "nobody", "\x00", "x" * 10_000])
async def test_a_stream_of_another_org(neighbours: World, stream: str, org: str) -> None:
    query = f"subscription ($org: String!) {{ {stream}(org: $org) {{ kind }} }}"
    with pytest.raises(RequestRefused) as refused:
        await anext(neighbours.frames(query, org=org))
    [error] = refused.value.errors
    assert error["extensions"]["code"] == "NOT_FOUND"
    assert len(str(error)) < 500


@pytest.mark.parametrize("stream", ["infrastructure", "heartbeats"])
async def test_a_stream_of_another_orgs_cluster(neighbours: World, stream: str) -> None:
    query = f"subscription ($name: String!) {{ {stream}(cluster: $name) {{ kind }} }}"
    texts = []
    for name in (SECRET, "zzzzzzzzz"):
        with pytest.raises(RequestRefused) as refused:
            await anext(neighbours.frames(query, name=name))
        texts.append(str(refused.value.errors).replace(name, "…"))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("stream", STREAMS)
async def test_by_cursor(neighbours: World, stream: str) -> None:
    """A position of another org is a log that is not ours: the stream begins anew with our state."""
    theirs = await neighbours.head("other")
    assert theirs.seq > 5
    query = f"subscription ($after: Cursor) {{ {stream}(after: $after) {{ kind reason previousCursor {STREAMS[stream]} }} }}"
    frame = await anext(neighbours.frames(query, after=str(theirs)))
    assert (frame["kind"], frame["reason"]) == ("RESYNC", "the cursor belongs to another log")
    assert not any(frame["snapshot"].values())
    assert SECRET not in str(frame)


async def test_the_same_stream_of_two_orgs_is_not_shared(neighbours: World) -> None:
    query = (
        "subscription ($org: String!) { infrastructure(org: $org) { kind snapshot { clusters { name } } } }"
    )
    ours, theirs = (
        neighbours.frames(query, neighbours.viewer(org=org), org=org) for org in ("default", "other")
    )
    assert (await anext(ours))["snapshot"]["clusters"] == []
    assert (await anext(theirs))["snapshot"]["clusters"] == [{"name": SECRET}]


async def test_names_are_free_in_every_org(neighbours: World) -> None:
    """Nobody can find out a neighbour's names by trying to use them."""
    await neighbours.connect(SECRET, SECRET, scalers=[scaler(SECRET)], agents=[agent(SECRET, SECRET)])
    assert (await everything(neighbours, "default"))["agents"]["totalCount"] == 1
    assert (await everything(neighbours, "other"))["agents"]["totalCount"] == 1
