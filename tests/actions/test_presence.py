"""Silence, judged with a clock that the tests turn: LATE, LOST, alerts that open and resolve by themselves."""

from typing import Any

import pytest

from kici_gql.actions import alerts, orchestrators, presence
from kici_gql.api.mutations.inputs import OrchestratorReportInventoryInput
from kici_gql.events import EventType
from kici_gql.tables import Agent, Alert, AlertKind, AlertState, Liveness, Orchestrator
from tests.world import Clock, World, agent, scaler

OPEN, RESOLVED = AlertState.OPEN, AlertState.RESOLVED


async def states(world: World) -> dict[str, str]:
    """Who is in which state: orchestrators by instance id, agents by agent id."""
    found = {row.instance_id: row.liveness.value for row in await world.rows(Orchestrator)}
    return found | {row.agent_id: row.liveness.value for row in await world.rows(Agent)}


async def problems(world: World) -> dict[str, str]:
    """Kinds of the alerts there are, and their states."""
    return {row.kind.value: row.state.value for row in await world.rows(Alert)}


async def later(world: World, clock: Clock, seconds: float) -> None:
    clock.advance(seconds)
    await world.sweep()


async def alert(world: World, kind: AlertKind) -> Any:
    [row] = await world.rows(Alert, kind=kind)
    return row


async def test_one_agent_falls_silent_and_comes_back(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(scalers=[scaler()], agents=[agent("a1"), agent("a2"), agent("a3")])
    everybody = ["a1", "a2", "a3"]
    await any_world.beat(connection, everybody)
    for _ in range(2):
        await later(any_world, clock, 30)
        await any_world.beat(connection, everybody[1:])
    assert (await states(any_world))["a1"] == "LATE"
    assert await problems(any_world) == {}
    for _ in range(4):
        await later(any_world, clock, 30)
        await any_world.beat(connection, everybody[1:])
    assert await states(any_world) == {"one": "ONLINE", "a1": "LOST", "a2": "ONLINE", "a3": "ONLINE"}
    found = await alert(any_world, AlertKind.AGENT_LOST)
    assert found.state is OPEN
    [lost] = await any_world.rows(Agent, agent_id="a1")
    assert found.subject_id == lost.id
    assert lost.missed_beats == 6
    events = dict(await any_world.events())
    assert [events[seq].type for seq in found.evidence] == [EventType.AGENT_CHANGED]
    assert events[found.evidence[0]].data["liveness"] == "LOST"
    await any_world.beat(connection, everybody)
    found = await alert(any_world, AlertKind.AGENT_LOST)
    assert (found.state, found.resolved_at) == (RESOLVED, clock())
    assert (await states(any_world))["a1"] == "ONLINE"


async def test_the_same_agent_again_is_the_same_alert(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None), agent("a2", None)])
    for round_ in range(3):
        await world.beat(connection, ["a1", "a2"])
        for _ in range(6):
            await later(world, clock, 30)
            await world.beat(connection, ["a2"])
        found = await alert(world, AlertKind.AGENT_LOST)
        assert (found.state, found.flap_count) == (OPEN, round_)


async def test_an_agent_that_never_beats_is_lost_too(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    for seconds in (60, 60, 59.9):
        await later(world, clock, seconds)
        await world.beat(connection)
        assert (await states(world))["a1"] == "NEVER_SEEN"
    await later(world, clock, 0.1)
    assert (await states(world))["a1"] == "LOST"


async def test_an_orchestrator_falls_silent(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(agents=[agent("a1", None)])
    await any_world.beat(connection, ["a1"])
    await later(any_world, clock, 59.9)
    assert set((await states(any_world)).values()) == {"ONLINE"}
    await later(any_world, clock, 0.1)
    assert set((await states(any_world)).values()) == {"LATE"}
    await later(any_world, clock, 119.9)
    assert set((await states(any_world)).values()) == {"LATE"}
    await later(any_world, clock, 0.1)
    assert set((await states(any_world)).values()) == {"LOST"}
    assert await problems(any_world) == {"ORCHESTRATOR_DISCONNECTED": "OPEN"}, "its agents are part of it"
    [row] = await any_world.rows(Orchestrator)
    assert row.disconnected_at == clock()
    await any_world.beat(connection, ["a1"])
    [row] = await any_world.rows(Orchestrator)
    assert (row.liveness, row.disconnected_at, row.missed_beats) == (Liveness.ONLINE, None, 0)
    assert await problems(any_world) == {"ORCHESTRATOR_DISCONNECTED": "RESOLVED"}


@pytest.mark.parametrize("how", ["reconnect", "goodbye"])
async def test_what_else_ends_a_lost_orchestrators_alert(world: World, clock: Clock, how: str) -> None:
    connection = await world.connect()
    await later(world, clock, 180)
    assert await problems(world) == {"ORCHESTRATOR_DISCONNECTED": "OPEN"}
    if how == "reconnect":
        await world.connect()
    else:
        await orchestrators.disconnect(world.call("ORCHESTRATOR"), connection, None)
    assert await problems(world) == {"ORCHESTRATOR_DISCONNECTED": "RESOLVED"}


async def test_most_of_a_cluster_falls_silent_at_once(world: World, clock: Clock) -> None:
    names = [f"a{n}" for n in range(10)]
    connection = await world.connect(agents=[agent(name, None) for name in names])
    await world.beat(connection, names)
    for _ in range(6):
        await later(world, clock, 30)
        await world.beat(connection, names[:2])
    assert await problems(world) == {"CLUSTER_SILENT": "OPEN"}
    assert len(await world.rows(Alert)) == 1
    assert len((await alert(world, AlertKind.CLUSTER_SILENT)).evidence) <= 20
    await world.beat(connection, names[:8])
    assert await problems(world) == {"CLUSTER_SILENT": "RESOLVED", "AGENT_LOST": "OPEN"}
    await world.beat(connection, names)
    assert set((await problems(world)).values()) == {"RESOLVED"}


async def test_after_a_restart_nobody_is_lost_before_a_full_interval(world: World, clock: Clock) -> None:
    connection = await world.connect(instance="one", agents=[agent("a1", None)])
    await world.beat(connection, ["a1"])
    await later(world, clock, 65)
    clock.advance(3600)
    world.serving_since = clock()
    await world.sweep()
    assert set((await states(world)).values()) == {"LATE"}, "nor better, without a beat"
    for seconds, state in ((59, "LATE"), (1, "LATE"), (119, "LATE"), (1, "LOST")):
        await later(world, clock, seconds)
        assert set((await states(world)).values()) == {state}, seconds


async def test_a_restart_alone_changes_nobody(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    await world.beat(connection, ["a1"])
    clock.advance(100_000)
    world.serving_since = clock()
    position = await world.head()
    await world.sweep()
    assert await world.head() == position
    await world.beat(connection, ["a1"])
    assert set((await states(world)).values()) == {"ONLINE"}


async def test_sweeping_again_changes_nothing(world: World, clock: Clock) -> None:
    await world.connect(agents=[agent("a1", None)])
    await later(world, clock, 200)
    before = await world.dump()
    await world.sweep()
    await world.sweep()
    assert await world.dump() == before


async def test_a_sweep_says_when_the_next_is_due(any_world: World, clock: Clock) -> None:
    assert await any_world.sweep() is None
    await any_world.connect()
    started = clock()
    due = await any_world.sweep()
    assert due is not None
    assert (due - started).total_seconds() == 60
    await later(any_world, clock, 60)
    due = await any_world.sweep()
    assert due is not None
    assert (due - started).total_seconds() == 180
    await later(any_world, clock, 120)
    assert await any_world.sweep() is None


async def test_a_report_that_changes_nothing_has_nobody_judged(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(agents=[agent("a1", None)])
    due = await any_world.sweep()
    for agents in (["a1"], ["a1", "a2"]):
        clock.advance(1)
        report = OrchestratorReportInventoryInput(
            connection_id=connection, agents=[agent(name, None) for name in agents], full=True
        )
        await orchestrators.report_inventory(any_world.call("ORCHESTRATOR"), report)
        [row] = await any_world.rows(Orchestrator)
        assert row.due_at == (due if agents == ["a1"] else clock()), (
            "a new agent's silence is to be looked at"
        )


async def test_most_orchestrators_of_a_cluster_fall_silent_at_once(world: World, clock: Clock) -> None:
    names = [f"o{n}" for n in range(5)]
    connections = [await world.connect("prod", name) for name in names]
    clock.advance(179)
    for connection in connections[2:]:
        await world.beat(connection)
    await later(world, clock, 1)
    assert await problems(world) == {"ORCHESTRATOR_DISCONNECTED": "OPEN"}, "two of five are one alert each"
    await later(world, clock, 179)
    assert await problems(world) == {"ORCHESTRATOR_DISCONNECTED": "RESOLVED", "CLUSTER_SILENT": "OPEN"}
    assert (await alert(world, AlertKind.CLUSTER_SILENT)).message == (
        "5 of 5 orchestrators of cluster prod are disconnected"
    )
    for connection in connections:
        await world.beat(connection)
    assert set((await problems(world)).values()) == {"RESOLVED"}


async def test_many_due_at_once_are_judged_in_steps(
    any_world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_SWEEP_LIMIT", 4)
    names = [f"a{n}" for n in range(10)]
    connection = await any_world.connect(agents=[agent(name, None) for name in names])
    await any_world.beat(connection, names)
    clock.advance(170)
    await any_world.beat(connection)
    await later(any_world, clock, 11)
    found = await states(any_world)
    assert found.pop("one") == "ONLINE"
    assert set(found.values()) == {"LOST"}
    unresolved = {kind for kind, state in (await problems(any_world)).items() if state == "OPEN"}
    assert unresolved == {"CLUSTER_SILENT"}


async def test_orgs_are_swept_apart(world: World, clock: Clock) -> None:
    await world.connect()
    await world.connect(org="other")
    await later(world, clock, 180)
    for org in ("default", "other"):
        [row] = await world.rows(Alert, org_id=world.viewer(org=org).org_id)
        assert row.state is OPEN
        assert [event.type for _, event in await world.events(org)].count(EventType.ALERT_CHANGED) == 1


async def test_a_scaler_at_capacity_while_jobs_wait(any_world: World, clock: Clock) -> None:
    connection = await any_world.connect(scalers=[scaler(max_agents=1)], agents=[agent("a1")])
    await any_world.beat(connection, ["a1"])
    assert await problems(any_world) == {}, "full, but nobody waits"
    await any_world.beat(connection, ["a1"], queued_jobs=3)
    found = await alert(any_world, AlertKind.SCALER_AT_CAPACITY)
    assert found.state is OPEN
    events = dict(await any_world.events())
    assert [events[seq].data.get("queued_jobs") for seq in found.evidence] == [3]
    await any_world.beat(connection, ["a1"])
    assert await problems(any_world) == {"SCALER_AT_CAPACITY": "RESOLVED"}
    await any_world.beat(connection, ["a1"], queued_jobs=1)
    assert await problems(any_world) == {"SCALER_AT_CAPACITY": "OPEN"}
    await orchestrators.report_inventory(
        any_world.call("ORCHESTRATOR"),
        OrchestratorReportInventoryInput(connection_id=connection, scalers=[scaler(max_agents=2)]),
    )
    assert await problems(any_world) == {"SCALER_AT_CAPACITY": "RESOLVED"}, "there is room now"


async def test_versions_that_differ(world: World, clock: Clock) -> None:
    await world.connect(instance="one", version="1.0")
    two = await world.connect(instance="two", version="1.1")
    found = await alert(world, AlertKind.VERSION_SKEW)
    assert (found.state, "1.0, 1.1" in found.message) == (OPEN, True)
    await world.connect(instance="three", version="1.2")
    assert "1.0, 1.1, 1.2" in (await alert(world, AlertKind.VERSION_SKEW)).message
    await world.connect(instance="three", version="1.0")
    await orchestrators.disconnect(world.call("ORCHESTRATOR"), two, None)
    assert await problems(world) == {"VERSION_SKEW": "RESOLVED"}


async def test_an_alert_about_what_is_removed_ends(world: World, clock: Clock) -> None:
    connection = await world.connect(agents=[agent("a1", None)])
    for _ in range(6):
        await later(world, clock, 30)
        await world.beat(connection)
    assert await problems(world) == {"AGENT_LOST": "OPEN"}
    await orchestrators.report_inventory(
        world.call("ORCHESTRATOR"),
        OrchestratorReportInventoryInput(connection_id=connection, removed_agents=["a1"]),
    )
    assert await problems(world) == {"AGENT_LOST": "RESOLVED"}


async def test_an_acknowledgement_runs_out(any_world: World, clock: Clock) -> None:
    from datetime import timedelta

    await any_world.connect()
    await later(any_world, clock, 180)
    found = await alert(any_world, AlertKind.ORCHESTRATOR_DISCONNECTED)
    await alerts.acknowledge(
        any_world.call("OPERATOR"), found.id, "on it", clock() + timedelta(hours=1), None, None
    )
    await later(any_world, clock, 3599)
    found = await alert(any_world, AlertKind.ORCHESTRATOR_DISCONNECTED)
    assert (found.state, found.acknowledged_by) == (AlertState.ACKNOWLEDGED, "operator")
    await later(any_world, clock, 1)
    found = await alert(any_world, AlertKind.ORCHESTRATOR_DISCONNECTED)
    assert (found.state, found.acknowledged_by, found.acknowledged_until) == (OPEN, None, None)
