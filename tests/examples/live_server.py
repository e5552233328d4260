"""A real server on a SQLite file of its own, with the questions that tests have about its fleet."""

import secrets
from pathlib import Path
from typing import Any

from tests.server import Server

_INTERVALS = {
    "heartbeat_interval_seconds": "1",
    "late_after_missed_beats": "2",
    "lost_after_seconds": "4",
}


class LiveServer(Server):
    """With short intervals: a beat a second, LATE after 2 s, LOST after 4 s, or as `settings` say."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        admin = f"kgq_{secrets.token_urlsafe(32)}"
        usual = {"database_url": f"sqlite+aiosqlite:///{folder / 'fleet.db'}", **_INTERVALS}
        super().__init__(admin, bootstrap_token=admin, **{**usual, **settings})

    def revoke(self, token_id: str) -> None:
        document = "mutation ($id: ID!) { tokenRevoke(input: {tokenId: $id}) { __typename } }"
        assert self.execute(document, id=token_id)["tokenRevoke"]["__typename"] == "TokenRevokeSuccess"

    def agents(self, cluster: str) -> dict[str, dict[str, Any]]:
        """The agents of a cluster, by agent id."""
        document = """query ($name: String!) { org { cluster(name: $name) { agents { nodes {
            agentId hostname runningAs platform arch cpuCount memoryUsedMb memoryTotalMb uptimeSeconds version
            liveness { state reason } labels { name kind } scaler { name type } orchestrator { displayId connectionId }
        } } } } }"""
        found = self.execute(document, name=cluster)["org"]["cluster"]
        return {agent["agentId"]: agent for agent in found["agents"]["nodes"]} if found else {}

    def states(self, cluster: str) -> set[str]:
        """The liveness states that the agents of a cluster have."""
        return {agent["liveness"]["state"] for agent in self.agents(cluster).values()}
