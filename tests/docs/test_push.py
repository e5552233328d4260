"""The README's ways for an orchestrator to connect, as it shows them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets

from tests.docs.markdown import ROOT, blocks
from tests.docs.server import ADMIN, Running, server

README = ROOT / "README.md"
HOST = {
    "hostname": "h",
    "runningAs": "ci",
    "platform": "linux",
    "arch": "x86_64",
    "cpuCount": 4,
    "memoryTotalMb": 8192,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("push")) as started:
        yield started


@pytest.fixture(scope="module")
def token(running: Running) -> str:
    """Made with the README's own command."""
    (block,) = [block for block in blocks(README, "sh") if "--scope orchestrator" in block.text]
    (line,) = [line for line in block.text.splitlines() if "orchestrator" in line]
    return running.run(*line.split()[1:]).strip()


def ask(
    running: Running, token: str, query: str, operation: str | None = None, **variables: Any
) -> dict[str, Any]:
    answer = httpx.post(
        f"{running.url}/graphql",
        json={"query": query, "operationName": operation, "variables": variables},
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    assert "errors" not in answer
    data: dict[str, Any] = answer["data"]
    return data


@pytest.mark.e2e
def test_a_program_that_pushes_appears_in_the_first_query(running: Running, token: str) -> None:
    query, mutations = (block.text for block in blocks(README, "graphql"))
    connected = ask(running, token, mutations, "Connect", host=HOST)["orchestratorConnect"]
    assert connected == connected | {"clusterName": "lab", "heartbeatIntervalSeconds": 30}
    beat = ask(running, token, mutations, "Beat", connectionId=connected["connectionId"])[
        "orchestratorHeartbeat"
    ]
    assert beat == {"acceptedAgents": 1, "unknownAgents": []}
    (cluster,) = ask(running, ADMIN, query)["org"]["clusters"]["nodes"]
    (scaler,) = cluster["scalers"]["nodes"]
    assert (cluster["name"], cluster["connected"], scaler["maxAgents"]) == ("lab", True, 4)
    assert [agent["liveness"]["state"] for agent in scaler["agents"]["nodes"]] == ["ONLINE"]


@pytest.mark.e2e
async def test_a_stock_orchestrator_finds_its_platform_where_the_readme_says(
    running: Running, token: str
) -> None:
    (address,) = re.findall(r"KICI_PLATFORM_URL=ws://[^/]+(/\S*)", README.read_text())
    async with websockets.connect(running.url.replace("http", "ws") + address, proxy=None) as socket:
        hello = {
            "type": "auth.request",
            "token": token,
            "protocolVersion": 1,
            "capabilities": {"orchRole": "coordinator"},
        }
        await socket.send(json.dumps(hello))
        assert json.loads(await socket.recv())["type"] == "auth.success"
