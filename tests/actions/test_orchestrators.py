"""Connect, beat, report, say goodbye: what is written, what is told, and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from kici_gql.actions import orchestrators
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput
from kici_gql.errors import Forbidden, IdempotencyConflict, InvalidInput, NotFound, UnknownConnection
from kici_gql.events import EventType
from kici_gql.store import Tx
from kici_gql.tables import Agent, Audit, Cluster, Liveness, Orchestrator, Scaler
from tests.world import Clock, World, agent, beat_of, beating, connecting, host, scaler


async def report(world: World, connection: str, **more: Any) -> None:
    await orchestrators.report_inventory(
        world.call("ORCHESTRATOR"), OrchestratorReportInventoryInput(connection_id=connection, **more)
    )


async def told(world: World, after: int = 0) -> list[str]:
    """Types of the events behind a position."""
    return [event.type.value for seq, event in await world.events() if seq > after]


async def only(world: World, model: Any, **equal: Any) -> Any:
    [row] = await world.rows(model, **equal)
    return row


async def test_an_orchestrator_introduces_itself(any_world: World) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("s1", None)])
    orchestrator = await only(any_world, Orchestrator)
    metal = await only(any_world, Scaler)
    assert (orchestrator.liveness, orchestrator.connection_id) == (Liveness.ONLINE, connection)
    assert orchestrator.instance_named
    agents = {row.agent_id: row for row in await any_world.rows(Agent)}
    assert (agents["a1"].scaler_id, agents["s1"].scaler_id) == (metal.id, None)
    assert {row.liveness for row in agents.values()} == {Liveness.NEVER_SEEN}
    assert metal.active_agents == 0, "nobody beat yet"
    assert await told(any_world) == [
        "cluster.changed",
        "orchestrator.changed",
        "scaler.changed",
        "agent.changed",
        "agent.changed",
    ]
    await any_world.beat(connection, ["a1", "s1"])
    assert {row.liveness for row in await any_world.rows(Agent)} == {Liveness.ONLINE}
    assert (await only(any_world, Scaler)).active_agents == 1


async def test_connecting_again_keeps_the_history_and_ends_the_old_connection(any_world: World) -> None:
    first = await any_world.connect(scalers=[scaler()], agents=[agent()])
    before = await only(any_world, Orchestrator), await only(any_world, Agent), await only(any_world, Scaler)
    second = await any_world.connect(scalers=[scaler()], agents=[agent()])
    after = await only(any_world, Orchestrator), await only(any_world, Agent), await only(any_world, Scaler)
    assert [row.id for row in before] == [row.id for row in after]
    assert first != second
    with pytest.raises(UnknownConnection):
        await any_world.beat(first)
    await any_world.beat(second)


async def test_whoever_has_no_name_gets_one(world: World) -> None:
    await world.connect(None, None)
    await world.connect(None, None)
    clusters = await world.rows(Cluster)
    assert len({each.name for each in clusters}) == 2
    assert all(each.auto_named for each in clusters)
    assert not any(each.instance_named for each in await world.rows(Orchestrator))


async def test_an_instance_without_a_cluster_name_comes_home(world: World) -> None:
    await world.connect(None, "east")
    await world.connect(None, "east")
    assert len(await world.rows(Cluster)) == 1
    assert len(await world.rows(Orchestrator)) == 1


async def test_figures_of_a_heartbeat(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent()])
    await any_world.beat(connection, ["a1"])
    position = (await any_world.head()).seq
    clock.advance(30)
    done = await any_world.beat(
        connection,
        [beat_of("a1", memory_used_mb=77, active_jobs=1), beat_of("ghost")],
        memory_used_mb=500,
        running_jobs=3,
        sent_at=clock.advance(0),
    )
    assert (done.result["accepted"], done.result["unknown"]) == (1, ["ghost"])
    row = await only(any_world, Agent)
    assert (row.memory_used_mb, row.active_jobs, row.last_heartbeat_at) == (77, 1, clock())
    orchestrator = await only(any_world, Orchestrator)
    assert (orchestrator.memory_used_mb, orchestrator.running_jobs, orchestrator.clock_skew_ms) == (500, 3, 0)
    assert await told(any_world, position) == ["orchestrator.beat", "agent.beat"], (
        "figures alone are no change"
    )
    assert done.cursor == await any_world.head()


async def test_an_agent_that_is_paused_has_changed(world: World) -> None:
    """`paused` is an axis that people filter by, not a figure: the fleet's stream must tell it."""
    connection = await world.connect(agents=[agent("a1", None)])
    await world.beat(connection, ["a1"])
    position = (await world.head()).seq
    await world.beat(connection, [beat_of("a1", paused=True)])
    assert EventType.AGENT_CHANGED in await told(world, position)
    assert (await only(world, Agent)).paused
    position = (await world.head()).seq
    await world.beat(connection, [beat_of("a1", paused=True)])
    assert EventType.AGENT_CHANGED not in await told(world, position)


async def test_a_full_report_removes_what_it_does_not_list(world: World) -> None:
    connection = await world.connect(
        scalers=[scaler("x"), scaler("y")], agents=[agent("x1", "x"), agent("y1", "y"), agent("s1", None)]
    )
    position = (await world.head()).seq
    await report(world, connection, full=True, scalers=[scaler("y")], agents=[agent("y1", "y")])
    assert [row.agent_id for row in await world.rows(Agent)] == ["y1"]
    assert [row.name for row in await world.rows(Scaler)] == ["y"]
    assert sorted(await told(world, position)) == ["agent.removed", "agent.removed", "scaler.removed"]


async def test_the_same_report_again_tells_nothing(world: World) -> None:
    parts: dict[str, Any] = {"scalers": [scaler(labels=["gpu"])], "agents": [agent(labels=["kici:x"])]}
    connection = await world.connect(**parts)
    position = (await world.head()).seq
    await report(world, connection, full=True, **parts)
    assert await told(world, position) == []


async def test_a_delta_changes_what_it_names(any_world: World) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2")])
    position = (await any_world.head()).seq
    await report(
        any_world,
        connection,
        agents=[agent("a2", version="2.0"), agent("a3")],
        removed_agents=["a1"],
        scalers=[scaler(max_agents=5)],
    )
    assert {row.agent_id: row.version for row in await any_world.rows(Agent)} == {"a2": "2.0", "a3": "1.0"}
    assert (await only(any_world, Scaler)).max_agents == 5
    assert await told(any_world, position) == [
        "agent.removed",
        "scaler.changed",
        "agent.changed",
        "agent.changed",
    ]


async def test_a_scaler_goes_with_its_agents(any_world: World) -> None:
    connection = await any_world.connect(
        scalers=[scaler("x"), scaler("y")], agents=[agent("x1", "x"), agent("x2", "x"), agent("y1", "y")]
    )
    await report(any_world, connection, removed_scalers=["x"])
    assert [row.agent_id for row in await any_world.rows(Agent)] == ["y1"]
    assert [row.name for row in await any_world.rows(Scaler)] == ["y"]


@pytest.mark.parametrize("how", ["full", "delta", "connect"])
async def test_an_agent_outlives_the_scaler_that_it_leaves(world: World, how: str) -> None:
    """It keeps its id and its history when the report that drops its scaler puts it under another one."""
    connection = await world.connect(scalers=[scaler("x"), scaler("y")], agents=[agent("a1", "x")])
    await world.beat(connection, ["a1"])
    before = await only(world, Agent)
    moved: dict[str, Any] = {"scalers": [scaler("y")], "agents": [agent("a1", "y")]}
    if how == "connect":
        await world.connect(**moved)
    else:
        more: dict[str, Any] = {"full": True} if how == "full" else {"removed_scalers": ["x"]}
        await report(world, connection, **moved, **more)
    after = await only(world, Agent)
    left = await only(world, Scaler)
    assert (after.id, after.liveness, after.scaler_id) == (before.id, Liveness.ONLINE, left.id)
    assert (left.name, left.active_agents) == ("y", 1)
    assert EventType.AGENT_REMOVED not in await told(world)


async def test_an_agent_moves_to_another_orchestrator_when_its_own_is_gone(
    any_world: World, clock: Clock
) -> None:
    one = await any_world.connect(instance="one", scalers=[scaler("x")], agents=[agent("a1", "x")])
    await any_world.beat(one, ["a1"])
    before = await only(any_world, Agent)
    clock.advance(31)
    two = await any_world.connect(instance="two", scalers=[scaler("z")])
    with pytest.raises(InvalidInput) as raised:
        await report(any_world, two, agents=[agent("a1", "z")])
    assert raised.value.path == ("agents", "0", "agentId")
    clock.advance(200)
    await any_world.sweep()
    two = await any_world.connect(instance="two", scalers=[scaler("z")])
    await report(any_world, two, agents=[agent("a1", "z")])
    await any_world.beat(two, ["a1"])
    after = await only(any_world, Agent)
    assert (after.id, after.liveness) == (before.id, Liveness.ONLINE)
    assert {row.name: row.active_agents for row in await any_world.rows(Scaler)} == {"x": 0, "z": 1}
    done = await any_world.beat(one, ["a1"])
    assert done.result["unknown"] == ["a1"], "it is not the first one's any more"
    await any_world.connect(instance="one", scalers=[])
    assert [row.name for row in await any_world.rows(Scaler)] == ["z"]


async def test_a_goodbye(any_world: World) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("s1", None)])
    await any_world.beat(connection, ["a1"], running_jobs=2)
    await orchestrators.disconnect(any_world.call("ORCHESTRATOR"), connection, "maintenance")
    orchestrator = await only(any_world, Orchestrator)
    assert (orchestrator.liveness, orchestrator.liveness_reason) == (Liveness.OFFLINE, "maintenance")
    assert (orchestrator.running_jobs, orchestrator.due_at) == (0, None)
    assert {row.liveness for row in await any_world.rows(Agent)} == {Liveness.OFFLINE}
    assert (await only(any_world, Scaler)).active_agents == 0
    for again in (any_world.beat(connection), report(any_world, connection)):
        with pytest.raises(UnknownConnection):
            await again


async def test_back_from_offline(world: World) -> None:
    parts: dict[str, Any] = {"scalers": [scaler()], "agents": [agent("a1")]}
    connection = await world.connect(**parts)
    await world.beat(connection, ["a1"])
    await orchestrators.disconnect(world.call("ORCHESTRATOR"), connection, None)
    connection = await world.connect(**parts)
    row = await only(world, Agent)
    assert (row.liveness, row.last_heartbeat_at) == (Liveness.NEVER_SEEN, None)
    assert (await only(world, Orchestrator)).due_at is not None, "somebody waits for its beat"
    await world.beat(connection, ["a1"])
    assert (await only(world, Agent)).liveness is Liveness.ONLINE


# ── Idempotency ──


async def statements_of(world: World, agents: int) -> list[int]:
    """How many statements an introduction, the first heartbeat, a goodbye and a return take."""
    names = [f"{agents}-{number}" for number in range(agents)]
    told: dict[str, Any] = {"scalers": [scaler()], "agents": [agent(name) for name in names]}
    counts = []

    async def count(work: Awaitable[Any]) -> Any:
        traced: list[str] = []
        await world.store.transaction(None, partial(_trace, into=traced.append))
        done = await work
        await world.store.transaction(None, partial(_trace, into=None))
        counts.append(sum(not statement.startswith("--") for statement in traced))
        return done

    connection = await count(world.connect(f"cluster-{agents}", f"one-{agents}", **told))
    await count(world.beat(connection, [beat_of(name, active_jobs=1) for name in names]))
    await count(orchestrators.disconnect(world.call("ORCHESTRATOR"), connection, None))
    await count(world.connect(f"cluster-{agents}", f"one-{agents}", **told))
    return counts


def _trace(tx: Tx, into: Callable[[str], None] | None) -> None:
    tx.connection.connection.driver_connection.set_trace_callback(into)  # type: ignore[union-attr]


async def test_no_agent_costs_a_statement_of_its_own(world: World) -> None:
    assert await statements_of(world, 4) == await statements_of(world, 32)


async def test_five_at_once_with_one_key_have_one_effect(any_world: World) -> None:
    calls = [any_world.connect(None, None, idempotency_key="k") for _ in range(5)]
    connections = await asyncio.gather(*calls)
    assert len(set(connections)) == 1
    assert len(await any_world.rows(Orchestrator)) == 1
    assert len(await any_world.rows(Cluster)) == 1


async def test_a_replay_says_so_and_names_the_first_position(world: World) -> None:
    call = world.call("ORCHESTRATOR")
    first = await orchestrators.connect(call, connecting(), "k")
    position = await world.head()
    second = await orchestrators.connect(call, connecting(idempotency_key="k"), "k")
    assert (second.result, second.cursor, second.replayed) == (first.result, first.cursor, True)
    assert not first.replayed
    assert await world.head() == position


async def test_another_input_under_the_same_key_is_a_conflict(any_world: World) -> None:
    call = any_world.call("ORCHESTRATOR")
    await orchestrators.connect(call, connecting(), "k")
    with pytest.raises(IdempotencyConflict) as raised:
        await orchestrators.connect(call, connecting(version="2.0"), "k")
    assert raised.value.path == ("idempotencyKey",)


async def test_keys_belong_to_a_token_and_an_action(world: World) -> None:
    first = await world.connect("a", "one", idempotency_key="k")
    other = await world.connect("a", "one", org="other", idempotency_key="k")
    assert first != other
    await orchestrators.report_inventory(
        world.call("ORCHESTRATOR"), OrchestratorReportInventoryInput(connection_id=first), "k"
    )


async def test_a_refused_call_does_not_use_up_its_key(world: World) -> None:
    call = world.call("ORCHESTRATOR")
    with pytest.raises(InvalidInput):
        await orchestrators.connect(call, connecting("Bad Name"), "k")
    assert not (await orchestrators.connect(call, connecting(), "k")).replayed


# ── Who may ──


async def test_a_token_of_one_cluster_stays_there(world: World) -> None:
    from dataclasses import replace

    connection = await world.connect("prod")
    call = world.call("ORCHESTRATOR")
    bound = replace(call, viewer=replace(call.viewer, cluster_name="test"))
    with pytest.raises(Forbidden):
        await orchestrators.connect(bound, connecting("prod"))
    with pytest.raises(UnknownConnection):
        await orchestrators.heartbeat(bound, beating(connection))
    done = await orchestrators.connect(bound, connecting(None, "x"))
    assert done.result["cluster_name"] == "test"


async def test_another_orgs_connection_is_unknown(world: World) -> None:
    connection = await world.connect()
    before = await world.dump("audit")
    with pytest.raises(UnknownConnection) as raised:
        await world.beat(connection, org="other")
    with pytest.raises(UnknownConnection) as unheard_of:
        await world.beat("11111111-1111-1111-1111-111111111111", org="other")
    assert raised.value.message == unheard_of.value.message, "there is no telling one from the other"
    assert await world.dump("audit") == before


async def test_removing_what_is_not_there(world: World) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    for more, path in (
        ({"removed_agents": ["a1", "ghost"]}, ("removedAgents", "1")),
        ({"removed_scalers": ["ghost"]}, ("removedScalers", "0")),
    ):
        with pytest.raises(NotFound) as raised:
            await report(world, connection, **more)
        assert raised.value.path == path
    assert len(await world.rows(Agent)) == 1
    with pytest.raises(InvalidInput):
        await report(world, connection, removed_agents=["a1", "a1"])


async def test_an_agent_of_an_unknown_scaler_takes_the_whole_report_with_it(world: World) -> None:
    connection = await world.connect()
    before = await world.dump("audit")
    with pytest.raises(InvalidInput) as raised:
        await report(world, connection, scalers=[scaler("x")], agents=[agent("a1", "x"), agent("a2", "y")])
    assert raised.value.path == ("agents", "1", "scaler")
    with pytest.raises(InvalidInput):
        await world.connect("new", "new", agents=[agent("a1", "nope")])
    assert await world.dump("audit") == before


async def test_every_call_is_on_record(any_world: World) -> None:
    connection = await any_world.connect(idempotency_key="k")
    await any_world.connect(idempotency_key="k")
    await any_world.beat(connection)
    with pytest.raises(UnknownConnection):
        await any_world.beat("x")
    with pytest.raises(InvalidInput):
        await any_world.connect("Bad Name")
    orchestrator = await only(any_world, Orchestrator)
    entries = await any_world.rows(Audit)
    assert sorted((each.action, each.outcome.value, each.error_code) for each in entries) == [
        ("orchestratorConnect", "REFUSED", "INVALID_INPUT"),
        ("orchestratorConnect", "SUCCEEDED", None),
        ("orchestratorConnect", "SUCCEEDED", None),
        ("orchestratorHeartbeat", "REFUSED", "UNKNOWN_CONNECTION"),
        ("orchestratorHeartbeat", "SUCCEEDED", None),
    ]
    assert {each.object_id for each in entries if each.outcome.value == "SUCCEEDED"} == {orchestrator.id}
    assert all(each.token_name == "orchestrator" and each.request_id for each in entries)
    assert host().hostname not in str([each.detail for each in entries])
