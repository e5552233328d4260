"""What `kici-gql watch` makes of the frames it gets."""

from typing import Any

from graphql import parse

from kici_gql.cli.fleet import OPERATIONS, Fleet
from tests.cli.samples import agent, at, beat, changed, events, heartbeats, snapshot


def fleet_of(*frames: tuple[str, dict[str, Any]]) -> Fleet:
    fleet = Fleet()
    for name, frame in frames:
        fleet.apply(name, frame, received_at=100.0)
    return fleet


def test_operations_are_graphql() -> None:
    for document in OPERATIONS.values():
        parse(document)


def test_a_snapshot_replaces_everything() -> None:
    fleet = fleet_of(
        ("infrastructure", snapshot(agent("old"))), ("infrastructure", snapshot(agent("new"), kind="RESYNC"))
    )
    assert set(fleet.agents) == {"A:new"}
    assert set(fleet.clusters) == {"C:lab"}


def test_changes_and_removals_are_folded_in() -> None:
    fleet = fleet_of(
        ("infrastructure", snapshot(agent("a"), agent("b"))),
        (
            "infrastructure",
            events(changed(agent("a", state="LATE")), {"__typename": "AgentRemoved", "id": "A:b"}),
        ),
    )
    assert fleet.agents["A:a"]["liveness"]["state"] == "LATE"
    assert set(fleet.agents) == {"A:a"}


def test_an_event_of_a_newer_server_is_passed_over() -> None:
    fleet = fleet_of(
        ("infrastructure", events({"__typename": "ClusterMerged"}, {"__typename": "PlanetChanged"}))
    )
    assert fleet.clusters == {}


def test_a_heartbeat_brings_figures_and_its_time() -> None:
    fleet = fleet_of(
        ("infrastructure", snapshot(agent("a"))), ("heartbeats", heartbeats(beat("a", second=7)))
    )
    assert fleet.agents["A:a"]["memoryUsedMb"] == 77
    assert fleet.agents["A:a"]["lastHeartbeatAt"] == at(7)


def test_a_heartbeat_of_somebody_unknown_waits_for_the_tree() -> None:
    fleet = fleet_of(("heartbeats", heartbeats(beat("a"))), ("infrastructure", snapshot(agent("a"))))
    assert set(fleet.agents) == {"A:a"}


def test_an_older_state_does_not_take_back_a_newer_heartbeat() -> None:
    fleet = fleet_of(
        ("infrastructure", snapshot(agent("a"))),
        ("heartbeats", heartbeats(beat("a", second=7))),
        ("infrastructure", events(changed(agent("a", state="LATE", second=1)))),
    )
    assert fleet.agents["A:a"]["lastHeartbeatAt"] == at(7)
    assert fleet.agents["A:a"]["memoryUsedMb"] == 77
    assert fleet.agents["A:a"]["liveness"]["state"] == "LATE"


def test_ages_follow_the_clock_of_the_server_and_grow_without_frames() -> None:
    fleet = Fleet()
    assert fleet.silent_seconds(now=100.0) is None
    fleet.apply("infrastructure", snapshot(agent("a", second=0), second=4), received_at=100.0)
    assert fleet.age_seconds(at(0), now=100.0) == 4
    assert fleet.age_seconds(at(0), now=103.5) == 7.5
    assert fleet.age_seconds(at(9), now=100.0) == 0
    assert fleet.age_seconds(None, now=100.0) is None
    assert fleet.silent_seconds(now=103.5) == 3.5
