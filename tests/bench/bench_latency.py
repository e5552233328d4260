"""How long after a heartbeat was answered a `heartbeats` subscriber has it: one push of 20 agents every 20 ms.

Negative figures are true: the frame may be there before the answer of the mutation that caused it.
"""

import asyncio
import json
import sys
import time
from typing import Any

import httpx
import websockets
from websockets import Subprotocol

from tests.bench.fleet import ADMIN_TOKEN, populate
from tests.bench.harness import headline, percentile, pin_client, python_peer, serving, table

BEATS, WARM_UP, EVERY_SECONDS = 1000, 50, 0.02
FOLLOW = """subscription { heartbeats { cursor previousCursor
    events { ... on AgentHeartbeat { agentId memoryUsedMb lastHeartbeatAt folded } } } }"""


async def subscribed(port: int) -> Any:
    """A socket that follows, its snapshot read."""
    socket = await websockets.connect(
        f"ws://127.0.0.1:{port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
    )
    token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    await socket.send(json.dumps({"type": "connection_init", "payload": token}))
    await socket.recv()
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}))
    await socket.recv()
    return socket


async def measure(port: int) -> list[float]:
    """Milliseconds from each answer to its frame."""
    token, bodies = await asyncio.to_thread(populate, port)
    socket = await subscribed(port)
    found: list[float] = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers) as client:
        for number in range(BEATS + WARM_UP):
            heard = asyncio.create_task(_heard(socket))
            answer = await client.post(
                f"http://127.0.0.1:{port}/graphql", content=bodies[number % len(bodies)]()
            )
            answered = time.perf_counter()
            assert b'"acceptedAgents":20' in answer.content
            at = await heard
            if number >= WARM_UP:
                found.append((at - answered) * 1e3)
            await asyncio.sleep(EVERY_SECONDS)
    await socket.close()
    return found


async def _heard(socket: Any) -> float:
    text = ""
    while '"events":[{' not in text:
        text = await socket.recv()
    return time.perf_counter()


def main() -> None:
    pin_client()
    headline("Latency: from the answer of a heartbeat mutation to the frame of a subscriber")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    found = []
    for _ in range(runs):
        with serving(python_peer("ours")) as peer:
            found += asyncio.run(measure(peer.port))
    table(
        ["beats", "p50 ms", "p99 ms", "worst ms", "wanted p99"],
        [[len(found), *(percentile(found, part) for part in (0.5, 0.99)), max(found), "< 250 (issue 2)"]],
    )


if __name__ == "__main__":
    main()
