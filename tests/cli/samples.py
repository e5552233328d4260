"""Frames as a server sends them, with just enough in them."""

from typing import Any

CLUSTER = {"id": "C:lab", "name": "lab", "autoNamed": False, "pendingName": None}
SCALER = {
    "id": "S:metal", "name": "metal", "type": "BARE_METAL", "activeAgents": 1, "maxAgents": 4,
    "labels": [{"name": "linux", "kind": "USER"}, {"name": "kici:os:linux", "kind": "AUTO"}],
    "orchestrator": {"id": "O:north"},
}  # fmt: skip


def at(second: int) -> str:
    return f"2026-01-02T03:04:{second:02}.000000Z"


def orchestrator(**differences: Any) -> dict[str, Any]:
    return {
        "id": "O:north", "displayId": "north", "shortConnectionId": "0a1b2c3d", "connected": True, "role": "COORDINATOR", "mode": "independent",
        "version": "0.1.0", "hostname": "box", "runningAs": "kici", "platform": "linux", "arch": "x64", "cpuCount": 8,
        "memoryUsedMb": 2048, "memoryTotalMb": 16384, "uptimeSeconds": 90000, "runningJobs": 1, "queuedJobs": 0,
        "lastHeartbeatAt": at(0), "liveness": {"state": "ONLINE", "reason": "heartbeat received"},
        "cluster": {"id": "C:lab"},
    } | differences  # fmt: skip


def agent(name: str, state: str = "ONLINE", second: int | None = 0, **differences: Any) -> dict[str, Any]:
    return {
        "id": f"A:{name}", "agentId": name, "platform": "linux", "arch": "x64", "version": "0.1.0", "hostname": "box",
        "runningAs": "kici", "cpuCount": 8, "memoryUsedMb": 20, "uptimeSeconds": 5, "activeJobs": 0, "maxConcurrency": 1,
        "paused": False, "lastHeartbeatAt": None if second is None else at(second),
        "liveness": {"state": state, "reason": f"it is {state}"}, "scaler": {"id": "S:metal"},
        "orchestrator": {"id": "O:north"},
    } | differences  # fmt: skip


def beat(name: str, second: int = 1) -> dict[str, Any]:
    return {
        "__typename": "AgentHeartbeat", "id": f"A:{name}", "agentHeartbeatAt": at(second), "memoryUsedMb": 77, "uptimeSeconds": 9,
        "activeJobs": 1, "maxConcurrency": 1, "paused": False,
    }  # fmt: skip


def alert(message: str, severity: str = "WARNING", state: str = "OPEN", second: int = 0) -> dict[str, Any]:
    return {
        "id": f"L:{message}",
        "severity": severity,
        "state": state,
        "message": message,
        "openedAt": at(second),
    }


def changed(thing: dict[str, Any]) -> dict[str, Any]:
    return {"__typename": "AgentChanged", "agent": thing}


def snapshot(*agents: dict[str, Any], kind: str = "SNAPSHOT", second: int = 0) -> dict[str, Any]:
    things = {
        "clusters": [CLUSTER], "orchestrators": [orchestrator()], "scalers": [SCALER], "agents": list(agents),
        "alerts": [],
    }  # fmt: skip
    return _frame(kind, second) | {"snapshot": things}


def events(*happened: dict[str, Any], second: int = 0) -> dict[str, Any]:
    return _frame("EVENTS", second) | {"events": list(happened)}


def heartbeats(*beats: dict[str, Any], kind: str = "EVENTS", second: int = 0) -> dict[str, Any]:
    return events(*beats, second=second) | {"kind": kind}


def _frame(kind: str, second: int) -> dict[str, Any]:
    return {
        "kind": kind, "cursor": "1", "previousCursor": None, "at": at(second), "reason": None, "snapshot": None,
        "events": [],
    }  # fmt: skip
