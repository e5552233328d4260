from typing import Any

import pytest

from watch_fleet import Fleet

AT = "2026-01-02T03:04:05+00:00"


def agent(name: str, state: str = "ONLINE") -> dict[str, Any]:
    return {
        "id": f"A:{name}", "agentId": name, "hostname": "box", "version": "1", "cluster": {"name": "lab"},
        "liveness": {"state": state, "reason": "because"},
    }  # fmt: skip


def alert(state: str = "OPEN") -> dict[str, Any]:
    return {"severity": "WARNING", "state": state, "message": "a is lost"}


def snapshot(*agents: dict[str, Any], kind: str = "SNAPSHOT", reason: str | None = None) -> dict[str, Any]:
    return {
        "kind": kind, "cursor": "1", "previousCursor": None, "at": AT, "reason": reason,
        "snapshot": {"orchestrators": [], "agents": list(agents), "alerts": []}, "events": [],
    }  # fmt: skip


def events(*happened: dict[str, Any], cursor: str = "2", previous: str | None = "1") -> dict[str, Any]:
    return {
        "kind": "EVENTS", "cursor": cursor, "previousCursor": previous, "at": AT, "reason": None,
        "snapshot": None, "events": list(happened),
    }  # fmt: skip


def changed(one: dict[str, Any]) -> dict[str, Any]:
    return {"__typename": "AgentChanged", "agent": one}


def test_a_snapshot_tells_everybody() -> None:
    assert Fleet().apply(snapshot(agent("a"))) == [
        "03:04:05  the whole fleet: 1",
        "03:04:05  lab: agent a on box is ONLINE (because)",
    ]


def test_changes_are_told_once() -> None:
    fleet = Fleet()
    fleet.apply(snapshot(agent("a")))
    assert fleet.apply(events(changed(agent("a", "LATE")), changed(agent("a", "LATE")))) == [
        "03:04:05  lab: agent a on box is LATE (because)"
    ]
    removed = {"__typename": "AgentRemoved", "id": "A:a"}
    assert fleet.apply(events(removed, removed, cursor="3", previous="2")) == [
        "03:04:05  lab: agent a was removed"
    ]
    assert fleet.things == {}


def test_a_resync_replaces_everything_and_says_why() -> None:
    fleet = Fleet()
    fleet.apply(snapshot(agent("a")))
    lines = fleet.apply(snapshot(agent("b"), kind="RESYNC", reason="the log was trimmed"))
    assert "the log was trimmed" in lines[0]
    assert set(fleet.things) == {"A:b"}


def test_alerts_are_told_as_they_stand_and_as_they_change() -> None:
    fleet = Fleet()
    frame = snapshot()
    frame["snapshot"]["alerts"] = [alert()]
    assert fleet.apply(frame)[1:] == ["03:04:05  alert OPEN: WARNING a is lost"]
    resolved = {"__typename": "AlertChanged", "alert": alert("RESOLVED")}
    assert fleet.apply(events(resolved)) == ["03:04:05  alert RESOLVED: WARNING a is lost"]


def test_a_missing_frame_is_noticed() -> None:
    fleet = Fleet()
    fleet.apply(snapshot(agent("a")))
    with pytest.raises(AssertionError, match="missing"):
        fleet.apply(events(changed(agent("a")), cursor="9", previous="8"))


def test_what_it_does_not_know_is_passed_over() -> None:
    fleet = Fleet()
    fleet.apply(snapshot())
    assert fleet.apply(events({"__typename": "ScalerChanged"})) == []
    assert fleet.cursor == "2"
