"""Orchestrators that push to a real server over HTTP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.e2e.servers import ServerProcess
from tests.world import secret_of

_MUTATION = "mutation ($input: {0}{1}Input!) {{ {2}{1}(input: $input) {{ __typename ... on Error {{ message }} {3} }} }}"


class Pushing:
    """One keep-alive client for as many orchestrators as a test needs."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def connect(self, instance: str, agents: Sequence[str], hostname: str = "h") -> str:
        """Answers the connection id."""
        host = {"hostname": hostname, "runningAs": "ci", "platform": "linux", "arch": "x", "cpuCount": 1,
                "memoryTotalMb": 1}  # fmt: skip
        known = [{"agentId": name, "host": host, "version": "1", "scaler": "metal"} for name in agents]
        scalers = [{"name": "metal", "type": "BARE_METAL", "maxAgents": 50}]
        answer = await self._push(
            "Connect", "... on OrchestratorConnectSuccess { connectionId }", clusterName="prod",
            instanceId=instance, version="1", host=host, scalers=scalers, agents=known,
        )  # fmt: skip
        connection_id: str = answer["connectionId"]
        return connection_id

    async def beat(self, connection_id: str, agents: Sequence[str], figure: int) -> bool:
        """The figure is in everything that a beat tells; false when the connection is no longer good."""
        beats = [{"agentId": name, "memoryUsedMb": figure, "uptimeSeconds": figure, "activeJobs": figure % 3,
                  "paused": False} for name in agents]  # fmt: skip
        answer = await self._push(
            "Heartbeat", connectionId=connection_id, memoryUsedMb=figure, uptimeSeconds=figure, agents=beats
        )
        return bool(answer["__typename"] == "OrchestratorHeartbeatSuccess")

    async def alert(self, connection_id: str, messages: Sequence[str], *, resolved: bool = False) -> bool:
        """Each message is an alert of its own."""
        alerts = [
            {"dedupeKey": text[:100], "severity": "INFO", "message": text, "resolved": resolved}
            for text in messages
        ]
        answer = await self._push("ReportAlerts", connectionId=connection_id, alerts=alerts)
        return bool(answer["__typename"] == "OrchestratorReportAlertsSuccess")

    async def goodbye(self, connection_id: str) -> None:
        await self._push("Disconnect", connectionId=connection_id, reason="bye")

    async def _push(self, name: str, selection: str = "", /, **given: Any) -> dict[str, Any]:
        query = _MUTATION.format("Orchestrator", name, "orchestrator", selection)
        answer = await self._http.post("/graphql", json={"query": query, "variables": {"input": given}})
        body = answer.json()
        assert "errors" not in body, body["errors"]
        result: dict[str, Any] = body["data"][f"orchestrator{name}"]
        return result


@asynccontextmanager
async def pushing(server: ServerProcess) -> AsyncIterator[Pushing]:
    headers = {"Authorization": f"Bearer {secret_of('ORCHESTRATOR')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
        yield Pushing(http)
