"""200 stock orchestrators of 20 agents each on one process: how long from a heartbeat at /ws to a subscriber's frame.

Each orchestrator beats every `PERIOD_SECONDS`, all of them spread over that time, and answers the questions that follow. Measured is
the time from the beat to the next frame that tells of this orchestrator: in most of them the question, its answer, the
commit and the stream.
"""

import asyncio
import json
import sys
import time
from typing import Any

import orjson
import websockets
from websockets import Subprotocol

from tests.bench.fleet import ADMIN_TOKEN
from tests.bench.harness import headline, percentile, pin_client, python_peer, serving, table
from tests.bench.load import post

ORCHESTRATORS, AGENTS, CLUSTERS = 200, 20, 20
PERIOD_SECONDS, PERIODS = 30.0, 2
LAST_SECONDS = 10.0
REQUESTS = ["dashboard.diagnostics", "dashboard.registrations.list", "dashboard.backends.list"]
CREATE = """mutation ($input: TokenCreateInput!) {
  tokenCreate(input: $input) { ... on TokenCreateSuccess { secret } ... on Error { message } } }"""
FOLLOW = """subscription { heartbeats { cursor events {
    ... on OrchestratorHeartbeat { displayId memoryUsedMb } ... on AgentHeartbeat { agentId memoryUsedMb } } } }"""
HOST = {"hostname": "node", "totalMemoryMb": 65536, "cpuCount": 16, "platform": "linux", "arch": "x64"}


class Timing:
    """When each orchestrator's newest beat was sent, and how long each took to arrive."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.milliseconds: list[float] = []

    def arrived(self, name: str) -> None:
        begun = self.sent.pop(name, None)
        if begun is not None:
            self.milliseconds.append((time.perf_counter() - begun) * 1e3)


class Simulated:
    """One orchestrator."""

    def __init__(self, number: int, timing: Timing) -> None:
        self.number = number
        self.name = f"orchestrator-{number}"
        self.ready = asyncio.Event()
        self._timing = timing
        self._figure = 0

    async def run(self, url: str, token: str) -> None:
        async with websockets.connect(url, compression=None, proxy=None, open_timeout=60) as socket:
            self._socket = socket
            capabilities = {"orchRole": "coordinator", "supportedDashboardRequests": REQUESTS}
            await self._say(
                {"type": "auth.request", "token": token, "protocolVersion": 1, "capabilities": capabilities}
            )
            cluster = f"cluster-{self.number * CLUSTERS // ORCHESTRATORS}"
            await self._say(
                {"type": "source.register", "messageId": "m", "sources": [], "clusterName": cluster, "clusterId": cluster,
                 "instanceId": self.name, "version": "0.1.24", "mode": "platform"}
            )  # fmt: skip
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "source.register.ack":
                    self.ready.set()
                elif "actor" in frame:
                    await self._say(self._answer(frame["type"]) | {"requestId": frame["requestId"]})

    async def beat(self) -> None:
        self._figure += 1
        self._timing.sent[self.name] = time.perf_counter()
        await self._say({"type": "heartbeat", "timestamp": int(time.time() * 1000)})

    def _answer(self, type_: str) -> dict[str, Any]:
        if type_ != "dashboard.diagnostics":
            return {
                "type": f"{type_}.response",
                "registrations": [],
                "registryVersion": 1,
                "backends": [],
            }
        now = int(time.time() * 1000)
        agents = [
            HOST | {"agentId": f"agent-{self.number}-{n}", "labels": ["linux"], "activeJobs": 1, "maxConcurrency": 4,
                    "version": "0.1.24", "scalerName": "metal", "memoryUsedMb": 1000 + self._figure % 999,
                    "uptimeSeconds": now // 1000 % 10**6, "lastHeartbeatAt": now}
            for n in range(AGENTS)
        ]  # fmt: skip
        scaler = {
            "name": "metal",
            "type": "bare-metal",
            "maxAgents": 40,
            "activeAgents": AGENTS,
            "labelSets": [["linux"]],
        }
        figures = HOST | {"version": "0.1.24", "mode": "platform", "role": "coordinator", "runningJobs": 1, "queuedJobs": 0,
                          "memoryUsedMb": self._figure, "uptimeSeconds": now // 1000 % 10**6}  # fmt: skip
        return {"type": f"{type_}.response", "orchestrator": figures, "agents": agents, "scalers": [scaler]}

    async def _say(self, frame: dict[str, Any]) -> None:
        await self._socket.send(orjson.dumps(frame).decode())


async def follow(port: int, timing: Timing, begun: asyncio.Event) -> None:
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        proxy=None,
        max_size=None,
    ) as socket:
        token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": token}))
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}))
        async for text in socket:
            begun.set()
            message = orjson.loads(text)
            if message["type"] == "ping":
                await socket.send('{"type":"pong"}')
                continue
            for event in message["payload"]["data"]["heartbeats"]["events"]:
                if "displayId" in event:
                    timing.arrived(event["displayId"])


async def measure(port: int) -> Timing:
    wish = {"name": "bench", "scope": "ORCHESTRATOR"}
    created = await asyncio.to_thread(
        post, port, {"query": CREATE, "variables": {"input": wish}}, ADMIN_TOKEN
    )
    token, timing, begun = created["data"]["tokenCreate"]["secret"], Timing(), asyncio.Event()
    fleet = [Simulated(number, timing) for number in range(ORCHESTRATORS)]
    tasks = [asyncio.create_task(each.run(f"ws://127.0.0.1:{port}/ws", token)) for each in fleet]
    await asyncio.gather(*(each.ready.wait() for each in fleet))
    tasks.append(asyncio.create_task(follow(port, timing, begun)))
    await begun.wait()
    await asyncio.sleep(LAST_SECONDS)  # until everybody's first questions have been answered
    begin = time.perf_counter()
    for number in range(ORCHESTRATORS * PERIODS):
        due = begin + number * PERIOD_SECONDS / ORCHESTRATORS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await fleet[number % ORCHESTRATORS].beat()
    await asyncio.sleep(LAST_SECONDS)
    for task in tasks:
        if task.done():
            await task  # it should have gone on: say why it did not
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return timing


def main() -> None:
    pin_client()
    headline("Relay: from a heartbeat at /ws to the frame of a subscriber")
    rows = []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        with serving(python_peer("ours")) as peer:
            cpu = peer.cpu_seconds()
            timing = asyncio.run(measure(peer.port))
            found = timing.milliseconds
            rows.append(
                [ORCHESTRATORS, AGENTS, len(found), len(timing.sent), *(percentile(found, part) for part in (0.5, 0.99)),
                 max(found), peer.cpu_seconds() - cpu, peer.resident_kib() / 1024, "< 250"]
            )  # fmt: skip
    table(
        ["links", "agents each", "beats seen", "lost", "p50 ms", "p99 ms", "worst ms", "CPU s", "RSS MiB", "wanted p99 ms"],
        rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
