"""The fleet as `kici-gql watch` knows it, folded from frames. Pure: frames and the time go in."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kici_gql.cli.live import Frame

Thing = dict[str, Any]
"""A cluster, orchestrator, scaler, agent or alert with the fields of OPERATIONS."""


_SEVERITIES = ["CRITICAL", "WARNING", "INFO"]

_BEAT = (
    "lastHeartbeatAt",
    "memoryUsedMb",
    "memoryTotalMb",
    "uptimeSeconds",
    "activeJobs",
    "maxConcurrency",
    "paused",
    "runningJobs",
    "queuedJobs",
)
"""What a heartbeat brings, of an agent or of an orchestrator."""

OPERATIONS = {
    "infrastructure": """
subscription Tree($org: String!, $cluster: String, $after: Cursor) {
  infrastructure(org: $org, cluster: $cluster, after: $after) {
    kind cursor previousCursor at reason
    snapshot {
      clusters { ...cluster } orchestrators { ...orchestrator } scalers { ...scaler } agents { ...agent } alerts { ...alert }
    }
    events {
      __typename
      ... on ClusterChanged { cluster { ...cluster } }
      ... on OrchestratorChanged { orchestrator { ...orchestrator } }
      ... on ScalerChanged { scaler { ...scaler } }
      ... on AgentChanged { agent { ...agent } }
      ... on AlertChanged { alert { ...alert } }
      ... on OrchestratorRemoved { id }
      ... on ScalerRemoved { id }
      ... on AgentRemoved { id }
    }
  }
}
fragment cluster on Cluster { id name autoNamed pendingName }
fragment orchestrator on Orchestrator {
  id displayId shortConnectionId connected role mode version hostname runningAs platform arch cpuCount memoryUsedMb
  memoryTotalMb uptimeSeconds runningJobs queuedJobs lastHeartbeatAt liveness { state reason } cluster { id }
}
fragment scaler on Scaler { id name type activeAgents maxAgents labels { name kind } orchestrator { id } }
fragment agent on Agent {
  id agentId platform arch version hostname runningAs cpuCount memoryUsedMb memoryTotalMb uptimeSeconds activeJobs
  maxConcurrency paused lastHeartbeatAt liveness { state reason } scaler { id } orchestrator { id }
}
fragment alert on Alert { id severity state message openedAt }
""",
    "heartbeats": """
subscription Beats($org: String!, $cluster: String, $after: Cursor) {
  heartbeats(org: $org, cluster: $cluster, after: $after) {
    kind cursor previousCursor at reason
    snapshot { orchestrators { ...orchestrator } agents { ...agent } }
    events { __typename ... on OrchestratorHeartbeat { ...orchestrator } ... on AgentHeartbeat { ...agent } }
  }
}
fragment orchestrator on OrchestratorHeartbeat {
  orchestratorId lastHeartbeatAt memoryUsedMb memoryTotalMb uptimeSeconds runningJobs queuedJobs
}
fragment agent on AgentHeartbeat {
  id agentHeartbeatAt: lastHeartbeatAt memoryUsedMb memoryTotalMb uptimeSeconds activeJobs maxConcurrency paused
}
""",
}


@dataclass
class Fleet:
    """Everything by global id, and the server's clock as of the newest frame.

    `received_at` is the monotonic time of this machine at which that frame came in: ages are told from the server's clock,
    so that a wrong clock here makes nobody late.
    """

    clusters: dict[str, Thing] = field(default_factory=dict)
    orchestrators: dict[str, Thing] = field(default_factory=dict)
    scalers: dict[str, Thing] = field(default_factory=dict)
    agents: dict[str, Thing] = field(default_factory=dict)
    alerts: dict[str, Thing] = field(default_factory=dict)
    server_time: datetime | None = None
    received_at: float = 0.0

    def apply(self, name: str, frame: Frame, received_at: float) -> None:
        """Take in one frame of the operation of this name."""
        self.server_time = max(_time(frame["at"]), self.server_time or _time(frame["at"]))
        self.received_at = received_at
        if name == "heartbeats":
            self._apply_heartbeats(frame)
        else:
            self._apply_infrastructure(frame)

    def age_seconds(self, at: str | None, now: float) -> float | None:
        """Seconds from a time of the server's to the monotonic time `now` of this machine."""
        if at is None or self.server_time is None:
            return None
        return max(0.0, (self.server_time - _time(at)).total_seconds() + now - self.received_at)

    def silent_seconds(self, now: float) -> float | None:
        """How old all of this is; None before the first frame."""
        return None if self.server_time is None else now - self.received_at

    def open_alerts(self) -> list[Thing]:
        """The unresolved ones, the worst first, the newest of equals first."""
        newest_first = sorted(self.alerts.values(), key=lambda alert: _time(alert["openedAt"]), reverse=True)
        return sorted(newest_first, key=lambda alert: _SEVERITIES.index(alert["severity"]))

    def _apply_infrastructure(self, frame: Frame) -> None:
        if frame["snapshot"] is not None:
            for kind, things in frame["snapshot"].items():
                setattr(self, kind, {thing["id"]: thing for thing in things})
        for event in frame["events"]:
            kind, change = _split(event["__typename"])
            shelf = getattr(self, f"{kind}s", None)
            if shelf is None:
                continue
            if change == "Removed":
                shelf.pop(event["id"], None)
            elif event[kind].get("state") == "RESOLVED":
                shelf.pop(event[kind]["id"], None)
            else:
                thing = event[kind]
                shelf[thing["id"]] = _newer_beat(shelf.get(thing["id"]), thing)

    def _apply_heartbeats(self, frame: Frame) -> None:
        snapshot = frame["snapshot"] or {"orchestrators": [], "agents": []}
        for beat in [*snapshot["orchestrators"], *snapshot["agents"], *frame["events"]]:
            of_agent = "id" in beat
            shelf, id_ = (
                (self.agents, beat["id"]) if of_agent else (self.orchestrators, beat["orchestratorId"])
            )
            # Who is not in the tree yet comes with the next infrastructure frame, figures and all.
            if id_ in shelf:
                figures = {name: beat[name] for name in _BEAT if name in beat}
                if (
                    of_agent
                ):  # under a name of its own: only an agent's may be null, and so GraphQL keeps them apart
                    figures["lastHeartbeatAt"] = beat["agentHeartbeatAt"]
                shelf[id_] = _newer_beat(shelf[id_], shelf[id_] | figures)


def _newer_beat(before: Thing | None, thing: Thing) -> Thing:
    """The thing, but with the heartbeat known before when that is the newer one: the two streams are not in step."""
    old, new = (before or {}).get("lastHeartbeatAt"), thing.get("lastHeartbeatAt")
    if before is None or old is None or (new is not None and _time(new) >= _time(old)):
        return thing
    return thing | {name: before[name] for name in _BEAT if name in before}


def _split(typename: str) -> tuple[str, str]:
    """`AgentChanged` → `agent`, `Changed`."""
    for change in ("Changed", "Removed"):
        if typename.endswith(change):
            return typename.removesuffix(change).lower(), change
    return "", ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
