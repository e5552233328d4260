"""Watch a fleet from Python: prints who is there, and then every change, through drops and restarts of the server.

    KICI_GQL_TOKEN=kgq_… python examples/watch_fleet.py [--url http://127.0.0.1:8080] [--org default] [--cluster lab]

It never asks for the state again: the first frame is a snapshot, everything after it is pushed.
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from typing import Any

from resuming import Frame, StreamRefused, frames

SUBSCRIPTION = """
subscription Watch($org: String!, $cluster: String, $after: Cursor) {
  infrastructure(org: $org, cluster: $cluster, after: $after) {
    kind cursor previousCursor at reason
    snapshot { orchestrators { ...orchestrator } agents { ...agent } alerts { ...alert } }
    events {
      __typename
      ... on OrchestratorChanged { orchestrator { ...orchestrator } }
      ... on OrchestratorRemoved { id }
      ... on AgentChanged { agent { ...agent } }
      ... on AgentRemoved { id }
      ... on AlertChanged { alert { ...alert } }
    }
  }
}
fragment orchestrator on Orchestrator { id displayId hostname version liveness { state reason } cluster { name } }
fragment agent on Agent { id agentId hostname version liveness { state reason } cluster { name } }
fragment alert on Alert { severity state message }
"""

Thing = dict[str, Any]
"""An orchestrator or an agent, with the fields of the fragments above."""


class Fleet:
    """The present state, folded from frames; answers each frame with the lines that tell what it changed."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.cursor: str | None = None

    def apply(self, frame: Frame) -> list[str]:
        """Take one frame in."""
        if frame["kind"] in {"SNAPSHOT", "RESYNC"}:
            lines = self._replace(frame)
        else:
            # The server names the frame before this one: proof that none was missed.
            assert frame["previousCursor"] in {None, self.cursor}, "a frame is missing"
            lines = [line for event in frame["events"] if (line := self._change(event))]
        self.cursor = frame["cursor"]
        return [f"{frame['at'][11:19]}  {line}" for line in lines]

    def _replace(self, frame: Frame) -> list[str]:
        snapshot = frame["snapshot"]
        self.things = {thing["id"]: thing for thing in [*snapshot["orchestrators"], *snapshot["agents"]]}
        why = f" ({frame['reason']})" if frame["reason"] else ""
        return [
            f"the whole fleet{why}: {len(self.things)}",
            *map(_describe, self.things.values()),
            *map(_warn, snapshot["alerts"]),
        ]

    def _change(self, event: dict[str, Any]) -> str | None:
        match event["__typename"]:
            case "OrchestratorRemoved" | "AgentRemoved":
                gone = self.things.pop(event["id"], None)
                return f"{_name(gone)} was removed" if gone else None
            case "OrchestratorChanged" | "AgentChanged":
                thing: Thing = event.get("agent") or event["orchestrator"]
                before, self.things[thing["id"]] = self.things.get(thing["id"]), thing
                return _describe(thing) if before != thing else None
            case "AlertChanged":
                return _warn(event["alert"])
        return None


def _name(thing: Thing) -> str:
    kind = "agent" if "agentId" in thing else "orchestrator"
    return f"{thing['cluster']['name']}: {kind} {thing.get('agentId') or thing['displayId']}"


def _describe(thing: Thing) -> str:
    liveness = thing["liveness"]
    return f"{_name(thing)} on {thing['hostname']} is {liveness['state']} ({liveness['reason']})"


def _warn(alert: dict[str, Any]) -> str:
    return f"alert {alert['state']}: {alert['severity']} {alert['message']}"


async def watch(url: str, token: str, variables: dict[str, Any]) -> None:
    """Print until the end of time. Raises StreamRefused."""
    fleet = Fleet()

    def dropped(reason: str) -> None:
        print(f"-- lost the connection ({reason}); what is above may be out of date", file=sys.stderr)

    async for frame in frames(url, token, SUBSCRIPTION, variables, on_drop=dropped):
        for line in fleet.apply(frame):
            print(line, flush=True)


def main() -> int:
    """The program; answers its exit status."""
    parser = argparse.ArgumentParser(description="Print a fleet and every change of it.")
    parser.add_argument("--url", default=os.environ.get("KICI_GQL_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--org", default="default")
    parser.add_argument("--cluster", help="only this cluster")
    options = parser.parse_args()
    token = os.environ.get("KICI_GQL_TOKEN")
    if not token:
        parser.error("set KICI_GQL_TOKEN to a token that may read (scope 'viewer')")
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(watch(options.url, token, {"org": options.org, "cluster": options.cluster}))
    except (StreamRefused, ValueError) as error:
        print(f"watch_fleet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
