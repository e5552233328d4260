"""Frames: what they are, what they hold, and what a client that only listens gets to know."""

from typing import Any

from kici_gql.actions import orchestrators
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput
from kici_gql.settings import Settings
from tests.world import Clock, World, agent, beat_of, scaler, world_of

WATCH = """subscription ($after: Cursor, $cluster: String) { infrastructure(after: $after, cluster: $cluster) {
    kind cursor previousCursor at reason
    snapshot { clusters { name } orchestrators { displayId } scalers { name } agents { agentId liveness { state } }
               alerts { kind state } }
    events { __typename
        ... on ClusterChanged { cluster { name } }
        ... on OrchestratorChanged { orchestrator { displayId liveness { state } } }
        ... on ScalerChanged { scaler { name activeAgents } }
        ... on AgentChanged { agent { agentId liveness { state reason } } }
        ... on AgentRemoved { id }
        ... on AlertChanged { alert { kind state } } } } }"""
BEATS = """subscription ($cluster: String) { heartbeats(cluster: $cluster) { kind cursor
    snapshot { orchestrators { displayId } agents { agentId lastHeartbeatAt } }
    events { __typename ... on AgentHeartbeat { agentId memoryUsedMb folded liveness labels { name } }
             ... on OrchestratorHeartbeat { displayId queuedJobs folded } } } }"""


async def test_a_snapshot_then_what_happens(world: World) -> None:
    await world.connect(scalers=[scaler()], agents=[agent()])
    frames = world.frames(WATCH)
    first = await anext(frames)
    assert (first["kind"], first["previousCursor"], first["events"]) == ("SNAPSHOT", None, [])
    assert first["cursor"] == str(await world.head())
    assert first["at"] == "2026-01-31T12:00:00.250000Z"
    assert first["snapshot"] == {
        "clusters": [{"name": "prod"}],
        "orchestrators": [{"displayId": "one"}],
        "scalers": [{"name": "metal"}],
        "agents": [{"agentId": "a1", "liveness": {"state": "NEVER_SEEN"}}],
        "alerts": [],
    }
    await world.connect("test", "two")
    second = await anext(frames)
    assert (second["kind"], second["previousCursor"], second["snapshot"]) == ("EVENTS", first["cursor"], None)
    assert [each["__typename"] for each in second["events"]] == ["ClusterChanged", "OrchestratorChanged"]


async def test_an_agent_dies_and_comes_back_watched_over_one_subscription(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None), agent("a2", None)])
    await world.beat(connection, ["a1", "a2"])
    frames = world.frames(WATCH)
    await anext(frames)
    told: list[Any] = []

    async def listen() -> None:
        for event in (await anext(frames))["events"]:
            if event["__typename"] == "AgentChanged":
                told.append((event["agent"]["agentId"], event["agent"]["liveness"]["state"]))
            else:
                told.append(tuple(event["alert"].values()))

    for seconds in range(0, 180, 30):
        clock.advance(30)
        await world.beat(connection, ["a2"])
        await world.sweep()
        if seconds in {30, 150}:
            await listen()
    await world.beat(connection, ["a1", "a2"])
    await listen()
    assert told == [
        ("a1", "LATE"),
        ("a1", "LOST"),
        ("AGENT_LOST", "OPEN"),
        ("a1", "ONLINE"),
        ("AGENT_LOST", "RESOLVED"),
    ]


async def test_silence_brings_bookmarks(sqlite_url: str, clock: Clock) -> None:
    async with world_of(Settings(database_url=sqlite_url, bookmark_seconds=0.02), clock) as world:
        frames = world.frames(WATCH)
        first = await anext(frames)
        connection = await world.connect()
        assert (await anext(frames))["kind"] == "EVENTS"
        await world.beat(connection)  # nothing for this stream, and yet the position moves
        clock.advance(5)
        frame = await anext(frames)
        while frame["cursor"] != str(await world.head()):
            frame = await anext(frames)
        assert (frame["kind"], frame["snapshot"], frame["events"]) == ("BOOKMARK", None, [])
        assert frame["at"] > first["at"]
        again = await anext(frames)
        assert (again["kind"], again["previousCursor"], again["cursor"]) == (
            "BOOKMARK",
            frame["cursor"],
            frame["cursor"],
        )


async def test_a_burst_is_one_frame_and_a_page_is_bounded(sqlite_url: str, clock: Clock) -> None:
    async with world_of(Settings(database_url=sqlite_url, page_events=10), clock) as world:
        frames = world.frames(WATCH)
        await anext(frames)
        for number in range(9):
            await world.connect(f"c{number}", "x")
        sizes = [len((await anext(frames))["events"]) for _ in range(2)]
        assert sizes == [10, 8]


async def test_heartbeats_are_folded_for_whoever_is_slow(world: World) -> None:
    connection = await world.connect(agents=[agent("a1", None, labels=["gpu"]), agent("a2", None)])
    frames = world.frames(BEATS)
    first = await anext(frames)
    assert [each["lastHeartbeatAt"] for each in first["snapshot"]["agents"]] == [None, None]
    for memory in range(5):
        await world.beat(connection, [beat_of("a1", memory_used_mb=memory)], queued_jobs=memory)
    await world.beat(connection, ["a2"])
    frame = await anext(frames)
    by_name = {each.get("agentId") or each["displayId"]: each for each in frame["events"]}
    assert (by_name["a1"]["memoryUsedMb"], by_name["a1"]["folded"]) == (4, 5)
    assert (by_name["a2"]["folded"], by_name["one"]["folded"]) == (1, 6)
    assert by_name["a1"]["labels"] == [{"name": "gpu"}]
    assert {each["__typename"] for each in frame["events"]} == {"AgentHeartbeat", "OrchestratorHeartbeat"}


async def test_one_cluster_of_several(world: World) -> None:
    mine = await world.connect("mine", "m", agents=[agent("a1", None)])
    other = await world.connect("other", "o", agents=[agent("a2", None)])
    beats = world.frames(BEATS, cluster="mine")
    watch = world.frames(WATCH, cluster="mine")
    assert [each["agentId"] for each in (await anext(beats))["snapshot"]["agents"]] == ["a1"]
    assert (await anext(watch))["snapshot"]["clusters"] == [{"name": "mine"}]
    await world.beat(other, ["a2"])
    await world.beat(mine, ["a1"])
    events = (await anext(beats))["events"]
    assert [each.get("agentId", each.get("displayId")) for each in events] == ["m", "a1"]
    events = (await anext(watch))["events"]
    assert [each["agent"]["agentId"] for each in events] == ["a1"]
    await orchestrators.report_inventory(
        world.call("ORCHESTRATOR"), OrchestratorReportInventoryInput(connection_id=other, full=True)
    )
    await orchestrators.report_inventory(
        world.call("ORCHESTRATOR"), OrchestratorReportInventoryInput(connection_id=mine, full=True)
    )
    assert [each["__typename"] for each in (await anext(watch))["events"]] == ["AgentRemoved"]


async def test_alerts_of_some_severity(world: World, clock: Clock) -> None:
    query = """subscription ($where: AlertWhere) { alerts(where: $where) { kind snapshot { alerts { kind state } }
        events { __typename ... on AlertChanged { alert { kind state } } } } }"""
    connection = await world.connect()
    every = world.frames(query)
    open_only = world.frames(query, where={"state": ["OPEN"], "severity": ["CRITICAL"]})
    assert (await anext(every))["snapshot"] == {"alerts": []}
    assert (await anext(open_only))["snapshot"] == {"alerts": []}
    clock.advance(180)
    await world.sweep()
    for frames in (every, open_only):
        [event] = (await anext(frames))["events"]
        assert event["alert"] == {"kind": "ORCHESTRATOR_DISCONNECTED", "state": "OPEN"}
    await world.beat(connection)
    [event] = (await anext(every))["events"]
    assert event["alert"]["state"] == "RESOLVED"
    [event] = (await anext(open_only))["events"]
    assert event["__typename"] == "AlertRemoved"
    for where, states in ((None, []), ({}, ["RESOLVED"])):
        shown = (await anext(world.frames(query, where=where)))["snapshot"]["alerts"]
        assert [each["state"] for each in shown] == states, "a filter that says nothing leaves nothing out"
