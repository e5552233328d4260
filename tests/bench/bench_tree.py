"""The whole tree: org, 5 clusters, 50 orchestrators, 100 scalers, 1 000 agents of some 20 fields; CPU per request.

Ours with rows read from the store, the position having moved between two requests; ours unchanged, as the kept bytes
and as a conditional GET; stock Strawberry with data loaders; and bytes that a bare Starlette has ready-made.
"""

import http.client
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import orjson

from tests.bench.fleet import ADMIN_TOKEN, TREE_HOSTNAME, populate
from tests.bench.harness import Peer, headline, median, percentile, pin_client, python_peer, serving, table
from tests.bench.load import Loop, Pusher

SECONDS, PAUSE_SECONDS, WARM_UP = 4.0, 0.01, 5

MACHINE = """id version hostname runningAs platform arch cpuCount memoryUsedMb memoryTotalMb uptimeSeconds
    lastHeartbeatAt liveness { state reason since }"""
CLUSTER = "id name autoNamed pendingName createdAt revision"
ORCHESTRATOR = f"{MACHINE} instanceId connectionId role mode runningJobs queuedJobs connectedAt"
SCALER = "id name type activeAgents maxAgents labels { name kind }"
AGENT = f"{MACHINE} agentId activeJobs maxConcurrency paused firstSeenAt"
OURS = f"""{{ org {{ id slug name clusters(first: 100) {{ nodes {{ {CLUSTER}
    orchestrators(first: 100) {{ nodes {{ {ORCHESTRATOR} scalers(first: 100) {{ nodes {{ {SCALER}
    agents(first: 100) {{ nodes {{ {AGENT} }} }} }} }} }} }} }} }} }} }}"""
STOCK = f"""{{ org {{ id slug name clusters {{ {CLUSTER} orchestrators {{ {ORCHESTRATOR}
    scalers {{ {SCALER} agents {{ {AGENT} }} }} }} }} }} }}"""


@dataclass
class Cost:
    """CPU and wall-clock seconds of each request, and the size of an answer."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    size: int = 0


class Asker:
    """One keep-alive connection."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN_TOKEN}"}
        self._headers |= headers or {}
        self.etag = ""

    def get(self, path: str, wanted: int = 200) -> bytes:
        return self._ask("GET", path, None, wanted)

    def post(self, document: str) -> bytes:
        return self._ask("POST", "/graphql", orjson.dumps({"query": document}), 200)

    def _ask(self, method: str, path: str, body: bytes | None, wanted: int) -> bytes:
        headers = self._headers | ({"If-None-Match": self.etag} if wanted == 304 else {})
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != wanted or content.startswith(b'{"errors"'):
            raise RuntimeError(f"{answer.status} {content[:500].decode()}")
        self.etag = answer.headers.get("ETag", "")
        return content


def measure(peer: Peer, ask: Callable[[], bytes], between: Callable[[], object] | None = None) -> Cost:
    """Ask for some seconds, one request after the other; what happens in between costs nothing."""
    cost = Cost()
    until = time.perf_counter() + SECONDS
    for number in count(-WARM_UP):
        if between is not None:
            between()
            time.sleep(PAUSE_SECONDS)  # for what the server still has to do for it
        cpu, begun = peer.cpu_seconds(), time.perf_counter()
        size = len(ask())
        if number >= 0:
            cost.wall.append(time.perf_counter() - begun)
            cost.cpu.append(peer.cpu_seconds() - cpu)
            cost.size = size
            if time.perf_counter() > until:
                break
    return cost


def ours() -> dict[str, Cost]:
    with serving(python_peer("ours")) as peer:
        token, bodies = populate(peer.port, TREE_HOSTNAME)
        loop = Loop()
        pushers = [Pusher(peer.port, token, body) for body in bodies]
        for pusher in pushers:
            loop.add(pusher)

        def push(pusher: Pusher) -> None:
            pusher.push()
            loop.run(lambda: not pusher.waiting, 60)

        for pusher in pushers:
            push(pusher)
        asker = Asker(peer.port)
        address = f"/graphql?{urlencode({'query': OURS})}"
        found = {
            "kici_gql, rows read": measure(peer, lambda: asker.post(OURS), lambda: push(pushers[0])),
            "kici_gql, kept answer": measure(peer, lambda: asker.post(OURS)),
        }
        asker.get(address)
        found["kici_gql, 304"] = measure(peer, lambda: asker.get(address, 304))
        loop.close()
        return found


def stock() -> dict[str, Cost]:
    with serving(python_peer("stock_tree")) as peer:
        asker = Asker(peer.port)
        return {"stock Strawberry": measure(peer, lambda: asker.post(STOCK))}


def ready_made(size: int) -> dict[str, Cost]:
    with serving(python_peer("bare"), BENCH_EVENT_BYTES="100", BENCH_TREE_BYTES=str(size)) as peer:
        asker = Asker(peer.port)
        return {"bare Starlette, ready-made": measure(peer, lambda: asker.get("/tree"))}


def main() -> None:
    pin_client()
    headline("The whole tree: CPU of the server per request")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    found: dict[str, list[Cost]] = {}
    for _ in range(runs):
        our = ours()
        for name, cost in (our | stock() | ready_made(our["kici_gql, kept answer"].size)).items():
            found.setdefault(name, []).append(cost)
    cpu = {name: median(median(cost.cpu) for cost in costs) for name, costs in found.items()}
    rows = []
    for name, costs in found.items():
        times = [seconds * 1e3 for cost in costs for seconds in cost.cpu]
        wall = [seconds * 1e3 for cost in costs for seconds in cost.wall]
        rows.append([name, costs[0].size, cpu[name] * 1e3, percentile(times, 0.99), percentile(wall, 0.5),
                     percentile(wall, 0.99), cpu["stock Strawberry"] / cpu[name]])  # fmt: skip
    table(["server", "bytes", "CPU ms", "CPU p99 ms", "p50 ms", "p99 ms", "stock : this"], rows)
    print("Wanted: rows read 15, kept answer and 304 300.\n")


if __name__ == "__main__":
    main()
