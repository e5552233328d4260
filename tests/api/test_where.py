"""One filter for both: what a query finds and what a stream ends up with are the same set."""

import asyncio
from typing import Any

import pytest

from kici_gql.api.engine.faults import RequestRefused
from tests.world import Clock, World, agent, beat_of, host

FILTERS: list[dict[str, Any]] = [
    {},
    {"agentId": {"eq": "a1"}},
    {"agentId": {"oneOf": ["a1", "a3", "zzz"]}},
    {"agentId": {"contains": "A"}},
    {"hostname": {"contains": "EU-"}},
    {"hostname": {"contains": "_"}},
    {"version": {"eq": "2.0"}},
    {"labels": {"has": "gpu"}},
    {"labels": {"hasAny": ["GPU", "kici:os:linux"]}},
    {"paused": True},
    {"paused": False, "labels": {"has": "gpu"}},
    {"liveness": {"eq": "ONLINE"}},
    {"liveness": {"oneOf": ["LATE", "LOST", "NEVER_SEEN"]}},
    {"liveness": {"eq": "ONLINE"}, "version": {"contains": "1"}},
]


def agents(version: str = "1.0", extra: str = "a9") -> list[Any]:
    return [
        agent("a1", None, host=host("eu-1"), labels=["gpu"], version=version),
        agent("a2", None, host=host("EU-2"), labels=["GPU", "gpu2"]),
        agent("a3", None, host=host("us_1"), labels=["kici:os:linux", "gpu"]),
        agent("b4", None, host=host("us-2")),
        agent(extra, None, host=host("x")),
    ]


async def change(world: World, clock: Clock) -> None:
    """Everything that can move an agent into a filter or out of it."""
    connection = await world.connect(agents=agents())
    await world.beat(connection, ["a1", "a2", beat_of("a3", paused=True)])
    clock.advance(61)
    await world.sweep()
    connection = await world.connect(agents=agents("2.0", "a8"))
    await world.beat(connection, [beat_of("a1", paused=True), "a3"])
    clock.advance(61)
    await world.beat(connection, ["a1"])
    await world.sweep()
    clock.advance(130)
    await world.beat(connection, ["a1", "b4"])
    await world.sweep()


async def queried(world: World, where: dict[str, Any]) -> dict[str, Any]:
    found = await world.data(
        "query ($w: AgentWhere) { org { agents(where: $w) { totalCount nodes { agentId liveness { state } } } } }",
        w=where,
    )
    nodes = found["org"]["agents"]["nodes"]
    assert found["org"]["agents"]["totalCount"] == len(nodes)
    return {each["agentId"]: each["liveness"]["state"] for each in nodes}


SHOWN = "id agentId liveness { state }"
STREAM = f"""subscription ($w: AgentWhere) {{ infrastructure(where: $w) {{ kind cursor snapshot {{ agents {{ {SHOWN} }} }}
    events {{ ... on AgentChanged {{ agent {{ {SHOWN} }} }} ... on AgentRemoved {{ id }} }} }} }}"""


async def streamed(world: World, where: dict[str, Any], until: asyncio.Event) -> dict[str, Any]:
    """What a client that follows from the beginning believes in the end."""
    known: dict[str, Any] = {}
    frames = world.frames(STREAM, w=where)
    while True:
        frame = await anext(frames)
        for each in (frame["snapshot"] or {}).get("agents", []):
            known[each["id"]] = each
        for event in frame["events"]:
            if "agent" in event:
                known[event["agent"]["id"]] = event["agent"]
            elif "id" in event:
                known.pop(event["id"], None)
        if until.is_set() and frame["cursor"] == str(await world.head()):
            return {each["agentId"]: each["liveness"]["state"] for each in known.values()}


async def test_a_query_and_a_stream_find_the_same(any_world: World, clock: Clock) -> None:
    done = asyncio.Event()
    readers = [asyncio.create_task(streamed(any_world, where, done)) for where in FILTERS]
    await asyncio.sleep(0.05)
    await change(any_world, clock)
    done.set()
    # The last event concerns every view, so that each gets a frame at the head of the log.
    await any_world.connect("last", "last")
    for where, found in zip(FILTERS, await asyncio.gather(*readers), strict=True):
        assert found == await queried(any_world, where), where
    late = await queried(any_world, FILTERS[-2])
    assert late, "the scenario reaches what it is about"


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ({"agentId": {"oneOf": []}}, "INVALID_INPUT"),
        ({"agentId": {"oneOf": ["x"] * 101}}, "LIMIT_EXCEEDED"),
        ({"labels": {"hasAny": []}}, "INVALID_INPUT"),
        ({"liveness": {"eq": "DEAD"}}, "INVALID_INPUT"),
        ({"noSuchField": 1}, "INVALID_INPUT"),
        ({"paused": "yes"}, "INVALID_INPUT"),
    ],
)
async def test_bad_filters(world: World, where: dict[str, Any], code: str) -> None:
    query = "query ($w: AgentWhere) { org { agents(where: $w) { totalCount } } }"
    for operation in (world.run(query, w=where), anext(world.frames(STREAM, w=where))):
        try:
            answer = await operation
        except RequestRefused as refused:
            errors: Any = refused.errors
        else:
            errors = answer["errors"]
        assert [error["extensions"]["code"] for error in errors] == [code]


async def test_a_refused_filter_is_named_as_it_is_in_graphql(world: World) -> None:
    query = "query ($w: AgentWhere) { org { agents(where: $w) { totalCount } } }"
    [error] = (await world.run(query, w={"agentId": {"oneOf": []}}))["errors"]
    assert error["extensions"]["inputPath"] == ["where", "agentId"]


@pytest.mark.parametrize("text", ["\x00", "x" * 100_000, "%" * 60_000, "'; DROP TABLE agent; --", "\\", "🚀"])
async def test_any_text_may_be_looked_for(any_world: World, text: str) -> None:
    query = "query ($w: AgentWhere) { org { agents(where: $w) { totalCount } } }"
    for where in ({"hostname": {"contains": text}}, {"hostname": {"eq": text}}, {"labels": {"has": text}}):
        answer = await any_world.run(query, w=where)
        for error in answer.get("errors", []):
            assert error["extensions"]["code"] == "INVALID_INPUT", error
        assert "errors" in answer or answer["data"]["org"]["agents"]["totalCount"] == 0
