"""The workload: 50 orchestrators of 5 clusters with 20 agents each; one push carries 20 heartbeats."""

from collections.abc import Callable
from itertools import count
from typing import Any

import orjson

from tests.bench.load import post

ORCHESTRATORS, AGENTS, CLUSTERS, SCALERS = 50, 20, 5, 2
ADMIN_TOKEN = "kgq_" + "b" * 40
LABELS = [f"pool-{n}-linux-x86-64-large" for n in range(3)]
HOSTNAME = (
    "node-" + "x" * 240
)  # makes an event about as large as those that docs/performance.md compares with
TREE_HOSTNAME = "node-" + "x" * 27  # the tree is measured with names as people have them

HEARTBEAT = """mutation Beat($input: OrchestratorHeartbeatInput!) {
  orchestratorHeartbeat(input: $input) {
    __typename
    ... on OrchestratorHeartbeatSuccess { acceptedAgents unknownAgents }
    ... on Error { code message }
  }
}"""

FIELDS = (
    "id agentId hostname version liveness cpuCount memoryUsedMb memoryTotalMb uptimeSeconds activeJobs "
    "lastHeartbeatAt labels { name kind }"
)


def subscription(alias: str = "") -> str:
    """The document of all subscribers; an alias makes another one of it."""
    fields = FIELDS if not alias else FIELDS.replace("version", f"{alias}: version")
    return f"subscription {{ heartbeats {{ cursor events {{ ... on AgentHeartbeat {{ {fields} }} }} }} }}"


def connect_input(number: int, hostname: str) -> dict[str, Any]:
    host = {"hostname": hostname, "runningAs": "kici", "platform": "linux",
            "arch": "x86_64", "cpuCount": 16, "memoryTotalMb": 65536}  # fmt: skip
    return {
        "clusterName": f"cluster-{number % CLUSTERS}",
        "instanceId": f"orchestrator-{number}",
        "version": "1.4.2",
        "host": host,
        "scalers": [
            {"name": f"scaler-{n}", "type": "CONTAINER", "maxAgents": 40, "labels": LABELS[:2]}
            for n in range(SCALERS)
        ],
        "agents": [
            {"agentId": agent_name(number, n), "scaler": f"scaler-{n % SCALERS}", "host": host,
             "version": "1.4.2", "labels": LABELS, "maxConcurrency": 4}
            for n in range(AGENTS)
        ],
    }  # fmt: skip


def agent_name(orchestrator: int, number: int) -> str:
    return f"agent-{orchestrator}-{number}"


def heartbeat_body(connection_id: str, orchestrator: int) -> Callable[[], bytes]:
    """Bodies of one orchestrator's pushes, each with other figures."""
    beats = count(1)

    def body() -> bytes:
        beat = next(beats)
        agents = [
            {"agentId": agent_name(orchestrator, n), "memoryUsedMb": 1000 + (beat * 7 + n) % 5000,
             "uptimeSeconds": beat * 30, "activeJobs": beat % 4, "paused": False}
            for n in range(AGENTS)
        ]  # fmt: skip
        figures = {"connectionId": connection_id, "memoryUsedMb": 2000 + beat % 100, "uptimeSeconds": beat * 30,
                   "runningJobs": 3, "queuedJobs": 0, "agents": agents}  # fmt: skip
        return orjson.dumps({"query": HEARTBEAT, "operationName": "Beat", "variables": {"input": figures}})

    return body


_CREATE = """mutation ($input: TokenCreateInput!) {
  tokenCreate(input: $input) { ... on TokenCreateSuccess { secret } ... on Error { message } } }"""
CONNECT = """mutation ($input: OrchestratorConnectInput!) {
  orchestratorConnect(input: $input) {
    ... on OrchestratorConnectSuccess { connectionId } ... on Error { message path } } }"""


def populate(port: int, hostname: str = HOSTNAME) -> tuple[str, list[Callable[[], bytes]]]:
    """Connect the whole fleet to our server: the orchestrators' token, and each one's bodies."""
    wish = {"name": "bench", "scope": "ORCHESTRATOR"}
    created = post(port, {"query": _CREATE, "variables": {"input": wish}}, ADMIN_TOKEN)
    token = created["data"]["tokenCreate"]["secret"]
    bodies = []
    for number in range(ORCHESTRATORS):
        answer = post(
            port, {"query": CONNECT, "variables": {"input": connect_input(number, hostname)}}, token
        )
        connection_id = answer["data"]["orchestratorConnect"]["connectionId"]
        bodies.append(heartbeat_body(connection_id, number))
    return token, bodies
