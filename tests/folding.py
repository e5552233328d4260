"""What a client believes that follows a stream and keeps nothing but what it was told."""

from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]

FLEET = {
    "cluster": "id name autoNamed revision",
    "orchestrator": """id displayId connectionId version role connected liveness { state reason since } routingKeys
        hostname connectedAt disconnectedAt cluster { id }""",
    "scaler": "id name type maxAgents activeAgents labels { name kind } configSummary { key value } orchestrator { id }",
    "agent": """id agentId version hostname labels { name } paused maxConcurrency firstSeenAt liveness { state since }
        orchestrator { id } scaler { id }""",
    "alert": "id kind severity state message version flapCount openedAt acknowledgement { by note } clusterId subjectId",
}
LISTS = " ".join(f"{name}s {{ {fields} }}" for name, fields in FLEET.items())
CHANGED = " ".join(
    f"... on {name.title()}Changed {{ {name} {{ {fields} }} }}" for name, fields in FLEET.items()
)
FRAME = "kind cursor previousCursor reason"
INFRASTRUCTURE = f"""subscription ($after: Cursor) {{ infrastructure(after: $after) {{ {FRAME}
    snapshot {{ {LISTS} }}
    events {{ __typename {CHANGED} ... on OrchestratorRemoved {{ id }} ... on ScalerRemoved {{ id }}
              ... on AgentRemoved {{ id }} }} }} }}"""
BEAT = "id agentId memoryUsedMb uptimeSeconds activeJobs paused lastHeartbeatAt"
HEARTBEATS = f"""subscription ($after: Cursor) {{ heartbeats(after: $after) {{ {FRAME}
    snapshot {{ agents {{ {BEAT} }} }} events {{ __typename ... on AgentHeartbeat {{ {BEAT} folded }} }} }} }}"""
QUERY = f"{{ org {{ {' '.join(f'{name}s(first: 100) {{ nodes {{ {fields} }} }}' for name, fields in FLEET.items())} }} }}"
FIGURES = f"{{ org {{ agents(first: 100) {{ nodes {{ {BEAT} }} }} }} }}"


@dataclass
class Believer:
    """Keeps what it was told, and its cursor, and nothing else."""

    query: str
    cursor: str | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def take(self, frame: dict[str, Any]) -> None:
        self.kinds.append(frame["kind"])
        if frame["kind"] != "RESYNC" or frame["previousCursor"] is not None:
            assert frame["previousCursor"] == self.cursor, "the chain is broken"
        assert (frame["snapshot"] is not None) == (frame["kind"] in {"SNAPSHOT", "RESYNC"})
        assert bool(frame["events"]) == (frame["kind"] == "EVENTS")
        self.cursor = frame["cursor"]
        if frame["snapshot"] is not None:
            self.known = {each["id"]: each for part in frame["snapshot"].values() for each in part}
        for event in frame["events"]:
            self.apply(event)

    def apply(self, event: dict[str, Any]) -> None:
        kind = event.pop("__typename")
        if kind == "AgentHeartbeat":
            assert event.pop("folded") >= 1
            self.known[event["id"]] = event
        elif kind.endswith("Changed"):
            [row] = event.values()
            self.heard.append((kind, row["id"]))
            self.known[row["id"]] = row
        elif kind.endswith("Removed"):
            self.heard.append((kind, event["id"]))
            self.known.pop(event["id"], None)


def by_id(org: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All nodes of all lists of an org."""
    return {each["id"]: each for part in org.values() for each in part["nodes"]}


def unresolved(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A snapshot leaves resolved alerts out; whoever followed has seen them resolve."""
    return {id_: each for id_, each in known.items() if each.get("state") != "RESOLVED"}


def check_figures(believer: Believer, wanted: dict[str, Any], figures: dict[str, dict[str, Any]]) -> None:
    """Agents that beat since their orchestrator last said goodbye: a goodbye is not a heartbeat."""
    for id_, each in figures.items():
        if wanted[id_]["liveness"]["state"] not in {"OFFLINE", "NEVER_SEEN"} and each["lastHeartbeatAt"]:
            assert believer.known[id_] == each
