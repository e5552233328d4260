"""A real server in a process of its own, on a free port, with a SQLite file."""

import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

READY_SECONDS = 120.0


class LiveServer:
    """``kici-gql serve`` with short intervals: a beat a second, LATE after 2 s, LOST after 4 s, or as `settings` say."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = {f"KICI_GQL_{name.upper()}": value for name, value in settings.items()}
        self.port = _free_port()
        self.admin_token = f"kgq_{secrets.token_urlsafe(32)}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
        environment |= {
            "KICI_GQL_PORT": str(self.port),
            "KICI_GQL_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder / 'fleet.db'}",
            "KICI_GQL_BOOTSTRAP_TOKEN": self.admin_token,
            "KICI_GQL_HEARTBEAT_INTERVAL_SECONDS": "1",
            "KICI_GQL_LATE_AFTER_MISSED_BEATS": "2",
            "KICI_GQL_LOST_AFTER_SECONDS": "4",
            **self._settings,
        }
        self._process = subprocess.Popen([sys.executable, "-m", "kici_gql", "serve"], env=environment)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server isn't ready"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it the hard way."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in good order, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(15)

    def execute(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of one operation by an admin."""
        return self.execute_as(self.admin_token, document, **variables)

    def execute_as(self, token: str, document: str, **variables: Any) -> dict[str, Any]:
        """The data of one operation by the holder of a token."""
        answer = httpx.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
            verify=False,  # there is no TLS here, and to read all certificates takes 30 ms
        ).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def token(self, scope: str) -> tuple[str, str]:
        """A new token: its id and its secret."""
        document = """mutation ($input: TokenCreateInput!) { tokenCreate(input: $input) {
            ... on TokenCreateSuccess { secret token { id } } ... on Error { message } } }"""
        name = f"{scope.lower()}-{secrets.token_hex(4)}"
        created = self.execute(document, input={"name": name, "scope": scope})["tokenCreate"]
        return created["token"]["id"], created["secret"]

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


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
